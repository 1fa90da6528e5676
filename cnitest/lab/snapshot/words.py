"""Rows in ip(8)'s own words, where it has some: tables by name, rules as ``ip rule`` prints them, octal modes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cnitest.kernel.rows.ipsec import Policy
from cnitest.kernel.rows.records import Fdb, Filter, Mdb, Route, Rule

_TABLE_NAMES = {253: "default", 254: "main", 255: "local"}
_ALL_BITS = 0xFFFFFFFF


def table(number: int) -> str:
    """A routing table: its name when every host has that, else its number."""
    return _TABLE_NAMES.get(number, str(number))


def without_full_length(prefix: str) -> str:
    """A prefix as ip(8) prints it: a host without its length."""
    return prefix.removesuffix("/128" if ":" in prefix else "/32")


def route_key(route: Route) -> str:
    """What tells one route from another: ``default via 10.0.0.1 dev eth0 table main metric 100``."""
    return " ".join(_route_words(route))


def route_in_command(route: Route) -> str:
    """The same as ``ip route`` takes it, which wants no gateway and no link of a next hop object."""
    return route_key(route._replace(via="", link="") if route.nhid else route)


def _route_words(route: Route) -> Iterator[str]:
    if route.kind != "unicast":
        yield route.kind
    yield route.to
    via = f"inet6 {route.via}" if route.family == 4 and ":" in route.via else route.via
    for word, value in (("from", route.origin), ("via", via), ("dev", route.link), ("nhid", route.nhid)):
        if value:
            yield f"{word} {value}"
    if route.tos:
        yield f"tos {route.tos:#x}"
    yield f"table {table(route.table)}"
    if route.metric:
        yield f"metric {route.metric}"


def fdb_key(entry: Fdb) -> str:
    """What tells one forwarding entry from another: ``02:00:00:00:00:01 on vxlan0 dst 192.0.2.1``."""
    rest = (("vlan", entry.vlan), ("dst", entry.dst), ("src_vni", entry.src_vni))
    return " ".join((f"{entry.mac} on {entry.link}", *(f"{word} {value}" for word, value in rest if value)))


def mdb_key(row: Mdb) -> str:
    """What tells one multicast group of a bridge from another: ``239.0.0.7 port eth0 on br0 vid 5 src 192.0.2.1``."""
    rest = (("vid", row.vlan), ("src", row.source))
    named = [f"{word} {value}" for word, value in rest if value]
    return " ".join((f"{row.group} port {row.port} on {row.bridge}", *named))


def policy_key(row: Policy) -> str:
    """As ip(8) tells policies apart: ``src 10.0.0.0/24 dst 10.1.0.0/24 dir out priority 0``."""
    ports = (("proto", row.protocol), ("sport", row.source_port[0]), ("dport", row.destination_port[0]))
    rest = (*ports, ("if", row.link), ("mark", row.mark[0]), ("if_id", row.if_id), ("priority", row.priority))
    named = [f"{word} {value}" for word, value in rest if value]
    return " ".join((f"src {row.source} dst {row.destination} dir {row.direction}", *named))


def filter_key(row: Filter) -> str:
    """As tc(8) tells filters apart: ``u32 on eth0 parent 1: protocol ip pref 1 handle 80000800``."""
    chain = f" chain {row.chain}" if row.chain else ""
    parent = f" parent {row.parent}" if row.parent else ""
    return f"{row.kind} on {row.link}{parent} protocol {row.protocol} pref {row.pref}{chain} handle {row.handle}"


def rule(row: Rule) -> str:
    """A rule's selector and action: ``not from 10.0.0.1 fwmark 0x80/0xff lookup 100``."""
    return " ".join((*_selector(row), *_action(row)))


def _selector(row: Rule) -> Iterator[str]:
    if row.inverted:
        yield "not"
    yield f"from {without_full_length(row.source) or 'all'}"
    for word, value in (
        ("to", without_full_length(row.to)),
        ("tos", hex(row.tos) if row.tos else ""),
        ("fwmark", _mark(row)),
        ("iif", row.iif),
        ("oif", row.oif),
        ("uidrange", row.uidrange),
        ("ipproto", row.ipproto),
        ("sport", row.sport),
        ("dport", row.dport),
        ("tun_id", row.tun_id),
        *row.others,
    ):
        if value:
            yield f"{word} {value}"


def _mark(row: Rule) -> str:
    if not row.mark and not row.mask:
        return ""
    return f"{row.mark:#x}" if row.mask == _ALL_BITS else f"{row.mark:#x}/{row.mask:#x}"


def _action(row: Rule) -> Iterator[str]:
    if row.action == "goto":
        yield f"goto {row.goto}"
    elif row.action != "lookup":
        yield row.action
    elif row.l3mdev:
        yield "lookup [l3mdev-table]"
    else:
        yield f"lookup {table(row.table)}"
    if row.suppress_prefixlength is not None:
        yield f"suppress_prefixlength {row.suppress_prefixlength}"
    if row.suppress_ifgroup is not None:
        yield f"suppress_ifgroup {row.suppress_ifgroup}"
    if row.realms:
        yield f"realms {row.realms}"
    if row.protocol not in ("", "kernel"):
        yield f"proto {row.protocol}"


def plain(name: str, value: Any) -> str:
    """A value without Python's punctuation: pairs as ``name=value``, sequences with commas, modes in octal."""
    if name == "mode" and isinstance(value, int):
        return f"{value:04o}"
    if isinstance(value, tuple):
        return ",".join("=".join(map(str, item)) if isinstance(item, tuple) else str(item) for item in value)
    return str(value)
