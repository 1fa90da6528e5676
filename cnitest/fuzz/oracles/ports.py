"""Ports of the host that lead to a container: a model of portmap's rule table, and packets that go the way.

The rules are read in the words of iptables-save and of ``nft list ruleset``; what has to be there is worked out from
the mappings alone (plugins/meta/portmap/README.md).
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from cnitest.conformance.bench.bench import Bench
from cnitest.conformance.model import form
from cnitest.conformance.observe import traffic
from cnitest.conformance.observe.traffic import TrafficProbe
from cnitest.fuzz.oracles.attached import Attached, new_rules

Conf = Mapping[str, Any]
_IPTABLES = re.compile(r"-A \S+ .*-j DNAT --to-destination (\S+)")
_NFT = re.compile(r": .*\bdnat (?:ip6? )?to (\S+)")
_WORDS = {
    "protocol": re.compile(r"-p (\w+)|\b(tcp|udp|sctp|dccp) dport"),
    "port": re.compile(r"--dport (\d+)|\bdport (\d+)"),
    "host": re.compile(r"-d ([^/\s]+)|\bip6? daddr (\S+)"),
}
# By backend: the chain of an attachment, and what marks packets or hides their sources.
_CHAIN = {"iptables": re.compile(r"nat: :CNI-DN-"), "nft": re.compile(r"table ip cni_hostport")}
_MARKS = {
    "iptables": re.compile(r"-j CNI-HOSTPORT-SETMARK"),
    "nft": re.compile(r"table ip cni_hostport chain masquerading: .* masquerade"),
}


_ENTRY = "nat: -A CNI-HOSTPORT-DNAT "


class Forward(NamedTuple):
    """A port of the host and where it leads; ``host`` is empty for every address, ``to`` is ``10.1.0.2:80``."""

    protocol: str
    host: str
    port: int
    to: str


def wrong(one: Attached, conf: Conf) -> Iterator[str]:
    """What differs between the rules that an ADD brought and those that its mappings ask for."""
    wanted, has = Counter(promised(one, conf)), Counter(forwards(line for _, line in new_rules(one)))
    yield from (f"no rule for {_forward_words(row)}" for row in sorted(wanted - has))
    yield from (f"a rule too many for {_forward_words(row)}" for row in sorted(has - wanted))
    marked = _has(one, _MARKS)
    hides = conf.get("snat") is not False
    is_new = _has(one, _CHAIN)  # else the container's other interface has brought the marks
    if is_new and any(not row.to.startswith("[") for row in wanted) and marked is not hides:
        yield f"snat is {hides}, and sources are {'hidden' if marked else 'not hidden'}"
    yield from _conditions(one, conf, wanted)


def _has(one: Attached, patterns: Mapping[str, re.Pattern[str]]) -> bool:
    """Whether an ADD brought a rule or chain that matches the pattern of its backend."""
    return any(backend in patterns and patterns[backend].search(line) for backend, line in new_rules(one))


def _conditions(one: Attached, conf: Conf, wanted: Iterable[Forward]) -> Iterator[str]:
    """Every entry of the table has the conditions of its family, so that only what meets them comes further."""
    families = {6 if row.to.startswith("[") else 4 for row in wanted}
    for family, program in ((4, "iptables"), (6, "ip6tables")):
        words = " ".join(map(str, conf.get(f"conditionsV{family}") or ()))
        entries = [line for backend, line in new_rules(one) if backend == program and line.startswith(_ENTRY)]
        if words and family in families and entries and not all(words in line for line in entries):
            yield f"conditionsV{family} is {words!r}, and a port is open without"


def _forward_words(row: Forward) -> str:
    return f"{row.protocol} {row.host or 'any'}:{row.port} to {row.to}"


def promised(one: Attached, conf: Conf) -> Iterator[Forward]:
    """What the mappings lead to the container: to its first address of each family, for host addresses of that."""
    addresses = [ip.address.partition("/")[0] for ip in form.ips(one.result or {}, one.version)]
    for family in (4, 6):
        address = next((text for text in addresses if (":" in text) == (family == 6)), "")
        at = f"[{address}]" if family == 6 else address
        for row in mappings(one, conf) if address else ():
            host = ipaddress.ip_address(row["hostIP"]) if row.get("hostIP") else None
            if host is None or host.version == family:
                name = "" if host is None or host.is_unspecified else str(host)
                protocol = str(row.get("protocol", "tcp")).lower()
                yield Forward(protocol, name, row["hostPort"], f"{at}:{row['containerPort']}")


def mappings(one: Attached, conf: Conf) -> list[Conf]:
    """The mappings that the runtime passes to a plugin: those of the capability that it declares."""
    declared = (conf.get("capabilities") or {}).get("portMappings")
    return list(one.example.capabilities.get("portMappings") or ()) if declared else []


def forwards(lines: Iterable[str]) -> Iterator[Forward]:
    """The rules among some lines that change a packet's destination."""
    for line in lines:
        target = _IPTABLES.search(line) or _NFT.search(line)
        if target:
            protocol, port, host = (_first(pattern, line) for pattern in _WORDS.values())
            yield Forward(protocol, host, int(port or 0), target[1])


def _first(pattern: re.Pattern[str], line: str) -> str:
    found = pattern.search(line)
    return next(filter(None, found.groups()), "") if found else ""


def flows(bench: Bench, one: Attached, conf: Conf) -> list[TrafficProbe]:
    """A packet to one port of the host for each protocol, from outside, where it has a way there and back."""
    beside = traffic.outside(bench.lab, bench.node).get(4)
    if beside is None or conf.get("conditionsV4"):
        return []
    outside, target = beside
    first: dict[str, Forward] = {}
    for row in promised(one, conf):
        if not row.to.startswith("[") and row.host in ("", target) and row.protocol in ("tcp", "udp"):
            first.setdefault(row.protocol, row)
    receiver = one.target.sandbox
    return [
        traffic.through_port(outside, target, row.protocol, row.port, receiver, int(row.to.rpartition(":")[2]))
        for row in first.values()
    ]
