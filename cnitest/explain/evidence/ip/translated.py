"""What a packet's destination becomes where it is translated before the routing decision: by rules, or by the
connection that is tracked."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from cnitest.explain.evidence.rows import MetRule
from cnitest.kernel.netfilter.conntrack import Flow, protocol_name
from cnitest.lab.probe import wire

# ``--to-destination 10.0.0.1:80`` of iptables, ``dnat ip to 10.0.0.1:80`` of nft; ``10.0.0.1-10.0.0.9`` is a range.
_ADDRESS = r"\[?(?:[0-9a-fA-F]*:[0-9a-fA-F:.]+|[0-9.]+)\]?"
_TO = re.compile(rf"(?:--to-destination|\bdnat (?:ip6? )?to) ({_ADDRESS}(?:-{_ADDRESS})?)")
_NETMAP = re.compile(r"-j NETMAP --to (\S+)")
_HOOKS = ("PREROUTING", "OUTPUT")


def by_rule(steps: Iterable[MetRule]) -> str:
    """The address that the last rule before routing translates a destination to; empty when none does, and of one that
    has several to choose from."""
    found = ""
    for step in steps:
        to = written(step.rule) if step.hook.upper() in _HOOKS else ""
        found = ("" if "-" in to else to) or netmap(step) or ("" if to else found)
    return found


def by_range(steps: Iterable[MetRule], asked: Iterable[str]) -> str:
    """The one address among some that are ``asked`` for in vain that a rule may have chosen; empty where none is."""
    ranges = [written(step.rule) for step in steps if step.hook.upper() in _HOOKS]
    found = {address for address in asked if any("-" in one and names(one, address) for one in ranges)}
    return found.pop() if len(found) == 1 else ""


def names(span: str, address: str) -> bool:
    """Whether an address is one that another one, or a range of them, is written for."""
    first, _, last = span.partition("-")
    low, it, high = (ipaddress.ip_address(each) for each in (first, address, last or first))
    return low.version == it.version and int(low) <= int(it) <= int(high)


def written(rule: str) -> str:
    """The address, or the range of them, that a rule of DNAT names; empty where it names none."""
    matched = _TO.search(rule)
    return re.sub(r"[][]", "", matched[1]) if matched else ""


def netmap(step: MetRule) -> str:
    """The address that NETMAP translates a destination to: the same host of another network; empty of another rule."""
    matched = _NETMAP.search(step.rule) if step.hook.upper() in _HOOKS else None
    if matched is None:
        return ""
    network, old = ipaddress.ip_network(matched[1], strict=False), ipaddress.ip_address(step.packet.destination)
    host = int(old) & int(network.hostmask)
    return str(type(old)(int(network.network_address) | host))


def by_connection(packet: wire.Headers, flows: Iterable[Flow]) -> str:
    """The address that a tracked connection's packet is for once translated; empty when it is of none, and where it may
    be of several that go elsewhere."""
    known, ends = _alike(packet, flows), _ends(packet)
    first = {one.reply_source for one in known if ends == (one.source, one.destination)}
    to = first or {one.source for one in known if ends == (one.reply_source, one.reply_destination)}
    return address_of(to.pop(), packet) if len(to) == 1 else ""


def flow_of(packet: wire.Headers, flows: Iterable[Flow]) -> Flow | None:
    """The connection that a packet of its first direction is of; None of none, and where it may be of several that go
    elsewhere."""
    found = [one for one in _alike(packet, flows) if (one.source, one.destination) == _ends(packet)]
    return found[0] if len({one.reply_source for one in found}) == 1 else None


def _alike(packet: wire.Headers, flows: Iterable[Flow]) -> list[Flow]:
    """The connections of a packet's protocol, and of its echo's identifier where that is known."""
    name = protocol_name(packet.protocol)
    return [one for one in flows if one.protocol == name and packet.echo in (0, one.number)]


def _ends(packet: wire.Headers) -> tuple[str, str]:
    """Both ends of a packet, as conntrack's entries have them: ``10.0.0.1:80``."""
    return _end(packet.source, packet.source_port), _end(packet.destination, packet.destination_port)


def _end(address: str, port: int) -> str:
    return f"{address}:{port}" if port else address


def address_of(end: str, packet: wire.Headers) -> str:
    """The address of one end of a packet's connection, such as ``10.0.0.1`` of ``10.0.0.1:80``."""
    return end.rpartition(":")[0] if packet.source_port else end
