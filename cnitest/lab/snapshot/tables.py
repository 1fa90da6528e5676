"""How the rows of each table of a state are identified, which of their fields count, and how they are written."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

from cnitest.kernel.rows import link_details
from cnitest.lab.snapshot import words

_LOCAL_TABLE = 255
_MAC_LENGTH = len("33:33:00:00:00:01")
_KERNELS_GROUPS = re.compile(r"224\.0\.0\.(1|106)$|ff0[125]::[12]$|ff02::1:ff|ff02::6a$")
# Fields that hold pairs of a name and a value: each counts as a field of its own.
_PAIRS = frozenset(("detail", "metrics", "options", "others", "resilient"))


class Table(NamedTuple):
    """How rows of one table are identified, which of their fields do not count, and which rows do not.

    ``in_key`` are the fields that its key has said, ``usual`` the values that go without saying of a row that came or
    went; ``whole`` puts all of a row in words: such a row never changes, another one comes. ``view`` is a row
    less what does not count of this one.
    """

    key: Callable[[Any], str]
    in_key: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    ignored: Callable[[Any], bool] = lambda _: False
    usual: Mapping[str, tuple[Any, ...]] = {}
    whole: Callable[[Any], str] | None = None
    view: Callable[[Any], Any] = lambda row: row


def _mirrors_an_address(route: Any) -> bool:
    """Whether the kernel keeps a route just because of an IPv6 address, from the end of its duplicate detection on."""
    return bool(route.family == 6 and route.table == _LOCAL_TABLE and route.protocol == "kernel")


def _is_chatter(flow: Any) -> bool:
    """Whether a flow is the kernel's own: multicast memberships and neighbour discovery."""
    return flow.protocol in ("2", "icmpv6") and flow.destination.startswith(("224.", "ff0"))


def _is_learned(entry: Any) -> bool:
    """Whether a bridge has learned an entry from the traffic."""
    return entry.state == "learned" and "extern_learn" not in entry.flags


def _lasting_state(neighbour: Any) -> Any:
    """A neighbour without what its state makes of it by itself."""
    return neighbour if neighbour.state in ("permanent", "noarp") else neighbour._replace(state="")


def _is_kernels_own(group: Any) -> bool:
    """Whether the kernel listens to a group by itself: for all hosts and routers, neighbour discovery and snooping;
    and the MAC of each group that is joined."""
    return not group.static if len(group.address) == _MAC_LENGTH else bool(_KERNELS_GROUPS.match(group.address))


def _handle_if_chosen(qdisc: Any) -> Any:
    """A discipline without the handle that the kernel chose for it."""
    chosen = not re.match(r"0:|[89a-f][0-9a-f]{3}:", qdisc.handle)
    return qdisc if chosen else qdisc._replace(handle="")


_OF_KERNEL = {"protocol": ("kernel_lo", "kernel_ra", "kernel_ll")}

#: What a table is called in words, where its name alone does not say what it has.
TITLES: Mapping[str, str] = {
    "ports": "bridge ports",
    "flows": "conntrack entries",
    "policies": "IPsec policies",
    "associations": "IPsec associations",
    "endpoints": "MPTCP endpoints",
}
#: By the field of `State`. What the kernel changes by itself as time goes by does not count.
TABLES: Mapping[str, Table] = {
    "links": Table(lambda row: row.name, ("name",), usual=link_details.USUAL),
    "addresses": Table(
        lambda row: f"{row.address} on {row.link}", ("address", "link"), ("tentative", "deprecated"), usual=_OF_KERNEL
    ),
    "routes": Table(
        words.route_key,
        ("table", "to", "via", "link", "kind", "metric", "tos", "nhid", "origin"),
        ("state",),
        _mirrors_an_address,
        {"family": (4,), "scope": ("global",)},
    ),
    "rules": Table(lambda row: f"IPv{row.family} {row.priority}", whole=words.rule),
    "nexthops": Table(lambda row: f"id {row.id}", ("id",), usual={"scope": ("global",)}),
    "neighbours": Table(
        lambda row: f"{row.ip} on {row.link}", ("ip", "link"), ignored=lambda row: not row.lasts, view=_lasting_state
    ),
    "ports": Table(lambda row: row.name, ("name",), usual=link_details.USUAL),
    "fdb": Table(words.fdb_key, ("mac", "link", "vlan", "dst", "src_vni"), ignored=_is_learned),
    "vlans": Table(lambda row: f"{row.link} vid {row.vid}", ("link", "vid")),
    "mdb": Table(words.mdb_key, ("group", "port", "bridge", "vlan", "source"), ignored=lambda row: row.state == "temp"),
    "maddresses": Table(lambda row: f"{row.address} on {row.link}", ("address", "link"), ignored=_is_kernels_own),
    "addrlabels": Table(lambda row: f"{row.prefix}{f' dev {row.link}' * bool(row.link)}", ("prefix", "link")),
    "policies": Table(words.policy_key, ("source", "destination", "direction", "priority", "if_id"), ("number",)),
    "associations": Table(
        lambda row: f"{row.protocol} spi {row.spi} dst {row.destination}", ("protocol", "spi", "destination")
    ),
    "endpoints": Table(lambda row: f"{row.address} id {row.id}", ("address", "id")),
    "qdiscs": Table(
        lambda row: f"{row.kind} parent {row.parent} on {row.link}", ("kind", "parent", "link"), view=_handle_if_chosen
    ),
    "classes": Table(lambda row: f"{row.kind} {row.handle} on {row.link}", ("kind", "handle", "link"), ("leaf",)),
    "filters": Table(words.filter_key, ("link", "parent", "kind", "pref", "protocol", "handle", "chain")),
    "chains": Table(lambda row: f"{row.chain} parent {row.parent} on {row.link}", ("chain", "parent", "link")),
    "flows": Table(
        lambda row: f"{row.protocol} {row.source} -> {row.destination}",
        ("protocol", "source", "destination"),
        ("number",),
        ignored=_is_chatter,
    ),
    "files": Table(lambda row: row.path, ("path",)),
}


def counted(table: Table, row: Any) -> Any:
    """A row less the fields that do not count, for comparison."""
    return row._replace(**dict.fromkeys(table.without)) if table.without else row


def fields(table: Table, row: Any) -> dict[str, Any]:
    """The fields of a row that count, by name."""
    found: dict[str, Any] = dict(zip(row._fields, row, strict=True))
    for name in (*table.without, *_PAIRS.intersection(found)):
        if name in _PAIRS and found[name]:
            return _with_pairs(table, row)
        del found[name]
    return found


def _with_pairs(table: Table, row: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in zip(row._fields, row, strict=True):
        if name in _PAIRS:
            found.update(value)
        elif name not in table.without:
            found[name] = value
    return found


def telling(table: Table, row: Any) -> list[tuple[str, Any]]:
    """The fields of a row that say something unusual, less what its key has said, with their names."""
    if table.whole:
        return [("", table.whole(row))]
    kind: Any = type(row)
    plain, pairs = _shape(kind, table.without, table.in_key)
    if any(map(row.__getitem__, pairs)):
        return _telling_with_pairs(table, row)
    usual = table.usual
    return [
        (name, value)
        for place, name, default in plain
        if (value := row[place]) and value is not True and value != default and value not in usual.get(name, ())
    ]


def _telling_with_pairs(table: Table, row: Any) -> list[tuple[str, Any]]:
    defaults, usual = row._field_defaults, table.usual
    return [
        (name, value)
        for name, value in _with_pairs(table, row).items()
        if value and value is not True and value != defaults.get(name) and name not in table.in_key
        if value not in usual.get(name, ())
    ]


@cache
def _shape(kind: Any, *silent: tuple[str, ...]) -> tuple[list[tuple[int, str, Any]], list[int]]:
    """Of a kind of rows: where its fields are, with names and defaults, and where its pairs are; less silent fields."""
    placed = [(place, name) for place, name in enumerate(kind._fields) if not any(name in one for one in silent)]
    plain = [(place, name, kind._field_defaults.get(name)) for place, name in placed if name not in _PAIRS]
    return plain, [place for place, name in placed if name in _PAIRS]
