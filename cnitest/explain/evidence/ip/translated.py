"""What a packet's destination becomes where it is translated before the routing decision: by rules, or by the
connection that is tracked."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from cnitest.explain.evidence.rows import MetRule
from cnitest.kernel.netfilter.conntrack import Flow
from cnitest.lab.probe import wire

# ``--to-destination 10.0.0.1:80`` of iptables, ``dnat ip to 10.0.0.1:80`` of nft.
_TO = re.compile(r"(?:--to-destination|\bdnat (?:ip6? )?to) \[?([0-9a-fA-F]*:[0-9a-fA-F:.]+|[0-9.]+)")
_NETMAP = re.compile(r"-j NETMAP --to (\S+)")
_HOOKS = ("PREROUTING", "OUTPUT")


def by_rule(steps: Iterable[MetRule]) -> str:
    """The address that the last rule before routing translates a destination to; empty when none does."""
    found = ""
    for step in steps:
        matched = _TO.search(step.rule) if step.hook.upper() in _HOOKS else None
        found = matched[1].rstrip("]") if matched else netmap(step) or found
    return found


def netmap(step: MetRule) -> str:
    """The address that NETMAP translates a destination to: the same host of another network; empty of another rule."""
    matched = _NETMAP.search(step.rule) if step.hook.upper() in _HOOKS else None
    if matched is None:
        return ""
    network, old = ipaddress.ip_network(matched[1], strict=False), ipaddress.ip_address(step.packet.destination)
    host = int(old) & int(network.hostmask)
    return str(type(old)(int(network.network_address) | host))


def by_connection(packet: wire.Headers, flows: Iterable[Flow]) -> str:
    """The address that a tracked connection's packet is for once translated; empty when it is of none."""
    ends = ends_of(packet)
    for flow in flows:
        if ends == (flow.source, flow.destination):
            return address_of(flow.reply_source, packet)
        if ends == (flow.reply_source, flow.reply_destination):
            return address_of(flow.source, packet)
    return ""


def ends_of(packet: wire.Headers) -> tuple[str, str]:
    """Both ends of a packet's connection, as conntrack's entries have them: ``10.0.0.1:80``."""
    return _end(packet.source, packet.source_port), _end(packet.destination, packet.destination_port)


def _end(address: str, port: int) -> str:
    return f"{address}:{port}" if port else address


def address_of(end: str, packet: wire.Headers) -> str:
    """The address of one end of a packet's connection, such as ``10.0.0.1`` of ``10.0.0.1:80``."""
    return end.rpartition(":")[0] if packet.source_port else end
