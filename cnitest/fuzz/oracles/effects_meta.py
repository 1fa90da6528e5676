"""What a key of a plugin that works on another's interface does, seen in the kernel and in the host's rules.

What an ADD brought are rows (see `Attached.own`). Sources: README.md of each plugin in containernetworking/plugins,
plugins/meta.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cnitest.cni.result import Ip
from cnitest.conformance.bench.bench import Bench
from cnitest.fuzz.oracles import ports
from cnitest.fuzz.oracles.attached import Attached, new_rules
from cnitest.fuzz.oracles.registry import effect
from cnitest.kernel.rows.records import Qdisc, Route, Rule
from cnitest.lab.snapshot import words
from cnitest.plugins import files

Conf = Mapping[str, Any]
# The kernel counts a shaper's burst in ticks of 64 ns.
_TICKS = 15_625_000


@effect("tuning")
def tuning(_: Bench, one: Attached, conf: Conf) -> Iterator[str]:
    """Attributes of the interface, and sysctls of the container."""
    link = one.link
    if link is None:
        return
    wanted = conf.get("mac")
    if isinstance(wanted, str) and wanted and wanted.lower() != link.mac:
        yield f"mac is {wanted}, the interface has {link.mac}"
    if isinstance(conf.get("mtu"), int) and conf["mtu"] > 0 and link.mtu != conf["mtu"]:
        yield f"mtu is {conf['mtu']}, the interface has {link.mtu}"
    if conf.get("promisc") and not link.promiscuity:
        yield "promisc is true, the interface is not promiscuous"
    if isinstance(conf.get("txQLen"), int) and link.txqlen != conf["txQLen"]:
        yield f"txQLen is {conf['txQLen']}, the interface has {link.txqlen}"
    for name, value in (conf.get("sysctl") or {}).items():
        path = name.replace("IFNAME", one.target.ifname)
        has = one.target.sandbox.sysctl(path)
        if has is not None and has.split() != str(value).split():
            yield f"sysctl {name} is {value}, the container has {has}"


@effect("portmap")
def portmap(_: Bench, one: Attached, conf: Conf) -> Iterator[str]:
    """Ports of the host."""
    yield from ports.wrong(one, conf)


@effect("bandwidth")
def bandwidth(_: Bench, one: Attached, conf: Conf) -> Iterator[str]:
    """A shaper with that rate and burst for each way: of what comes on the host's end, of what goes on an ifb."""
    limits = {**conf, **_provided(one, conf, "bandwidth")}
    found = list(_shapers(one))
    ends = {str(row.get("name")) for row in (one.result or {}).get("interfaces") or () if not row.get("sandbox")}
    for way in ("ingress", "egress"):
        rate, burst = limits.get(f"{way}Rate"), limits.get(f"{way}Burst")
        if rate and burst:
            mine = [row for row in found if row[0].startswith("bwp") is (way == "egress") and row[0] in ends]
            yield from _misshaped(way, rate, burst, mine)


def _misshaped(way: str, rate: int, burst: int, shapers: Sequence[tuple[str, int, int]]) -> Iterator[str]:
    """What the shapers of one way have else than a rate and burst in bits."""
    if not any(has == rate // 8 for _, has, _ in shapers):
        yield f"{way}Rate is {rate}, shapers have {', '.join(str(has * 8) for _, has, _ in shapers) or 'none'}"
    elif not any(abs(buffer - burst / rate * _TICKS) <= 0.02 * buffer + 16 for _, _, buffer in shapers):
        yield f"{way}Burst is {burst}, the shaper has another"


def _provided(one: Attached, conf: Conf, name: str) -> Conf:
    """What the runtime passes to a plugin for a capability that it declares."""
    declared = (conf.get("capabilities") or {}).get(name)
    return one.example.capabilities.get(name) or {} if declared else {}


def _came(one: Attached) -> list[Any]:
    """The rows that an ADD brought."""
    return [left.difference.after for left in sorted(one.own, key=str) if left.difference.appeared]


def _shapers(one: Attached) -> Iterator[tuple[str, int, int]]:
    """Each shaper that an ADD brought: its link, rate and buffer in the kernel's units."""
    for row in _came(one):
        match row:
            case Qdisc(kind="tbf", parent="root"):
                options = dict(row.options)
                yield row.link, int(options.get("rate", 0)), int(options.get("buffer", 0))


@effect("firewall")
def firewall(_: Bench, one: Attached, __: Conf) -> Iterator[str]:
    """Rules that let pass what comes from each address, and what belongs to that."""
    if any(files.known(plugin).allocation == "listed" for plugin, _ in one.example.ipam):
        return  # which gives one address to all, and so one rule
    accepted = [line for _, line in new_rules(one) if line.parent == "filter" and line.words[-2:] == ("-j", "ACCEPT")]
    for ip in one.addresses:
        whole = _whole(ip)
        for way in ("-s", "-d"):
            if not any(line.follows(way) == whole for line in accepted):
                yield f"no rule accepts what {'comes from' if way == '-s' else 'goes to'} {whole}"


def _whole(ip: Ip) -> str:
    address = ip.address.partition("/")[0]
    return f"{address}/{128 if ':' in address else 32}"


@effect("sbr")
def sbr(_: Bench, one: Attached, conf: Conf) -> Iterator[str]:
    """A rule for each address that leads to a table; in it a way to the gateway, unless the table was given."""
    rows = _came(one)
    policies = (row for row in rows if isinstance(row, Rule) and row.action == "lookup" and not row.to)
    tables = {words.without_full_length(row.source): row.table for row in policies}
    defaults = (row for row in rows if isinstance(row, Route) and row.to == "default")
    ways = {(via, row.table) for row in defaults for via in row.gateways}
    for ip in one.addresses:
        address = ip.address.partition("/")[0]
        if address not in tables:
            yield f"no rule leads packets from {address} to a table"
        elif "table" in conf and tables[address] != conf["table"]:
            yield f"table is {conf['table']}, packets from {address} are led to {words.table(tables[address])}"
        elif "table" not in conf and ip.gateway and (ip.gateway, tables[address]) not in ways:
            yield f"the table of {address} has no default route by {ip.gateway}"
