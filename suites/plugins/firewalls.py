"""Networks with the firewall plugin, and a host that forwards nothing but what the plugin lets through."""

from __future__ import annotations

from typing import Any

from cnitest.suites.plugins.lan_networks import chained
from cnitest.suites.plugins.node_networks import OTHER_RANGES, RANGES, network, other, without_dad

from cnitest import Host
from cnitest.lab.lab import Lab

TABLES = {4: "iptables", 6: "ip6tables"}
#: The host's addresses on its uplink, and the router at the other end of it, by family.
UPLINK = {4: "192.168.80.100", 6: "2001:db8:80::100"}
ROUTER = {4: "192.168.80.2", 6: "2001:db8:80::2"}


def filtered(*families: int, bridge: dict[str, Any] | None = None, **keys: Any) -> dict[str, Any]:
    """A bridge network that the firewall plugin is chained to; ``keys`` are its own, but for those of None."""
    first = network(*families, isDefaultGateway=True, **(bridge or {}))
    return chained(first, _firewall(**keys))


def _firewall(**keys: Any) -> dict[str, Any]:
    own = {"type": "firewall", "backend": "iptables", **keys}
    return {key: value for key, value in own.items() if value is not None}


def other_filtered(*families: int, **keys: Any) -> dict[str, Any]:
    """The same on a second bridge."""
    return chained(other(*families, isDefaultGateway=True), _firewall(**keys))


def closed(lab: Lab, policy: str = "DROP") -> Host:
    """The host of ``node-with-uplink``, whose FORWARD has a policy, for bridged packets too; its router knows the way
    to its containers, so that nothing has to be translated."""
    node = without_dad(lab.host("node"))
    for family, program in TABLES.items():
        node.sysctl(f"net.bridge.bridge-nf-call-{program}", 1)
        node.load_rules(program, f"-P FORWARD {policy}")
        for ranges in (RANGES, OTHER_RANGES):
            route(lab, ranges[family][0]["subnet"], family)
    return node


def route(lab: Lab, subnet: str, family: int) -> None:
    """Have the router send what is for a subnet to the host."""
    lab.host("router").run(["ip", "route", "add", subnet, "via", UPLINK[family]])
