"""A trunk with a peer in three VLANs, networks of the vlan plugin on it, and the tags that frames have there."""

from __future__ import annotations

from typing import Any

import pytest
from cnitest.suites.plugins.lan_networks import static

from cnitest import Capture
from cnitest.topology import loads

TRUNK = loads("""
name: vlan-trunk
hosts:
  node: {}
  peer:
    vlans:
      ens33.5: {parent: ens33, id: 5, addresses: [10.5.0.1/24, "2001:db8:5::1/64"]}
      ens33.100: {parent: ens33, id: 100, addresses: [10.100.0.1/24, "2001:db8:100::1/64"]}
      ens33.4094: {parent: ens33, id: 4094, addresses: [10.94.0.1/24]}
veths:
  - ends:
      - {at: node, name: ens33, addresses: [192.168.80.101/24]}
      - {at: peer, name: ens33, addresses: [192.168.80.102/24]}
""")
#: What a test of the vlan plugin takes.
MARKS = [pytest.mark.topology(TRUNK), pytest.mark.requires(kernel=["vlan"], plugin=["vlan", "static", "host-local"])]

FAMILY = pytest.mark.parametrize("family", [4, 6])
GATEWAYS = {
    5: {4: "10.5.0.1", 6: "2001:db8:5::1"},
    100: {4: "10.100.0.1", 6: "2001:db8:100::1"},
    4094: {4: "10.94.0.1"},
}
OWN = {
    5: {4: "10.5.0.20/24", 6: "2001:db8:5::20/64"},
    100: {4: "10.100.0.20/24", 6: "2001:db8:100::20/64"},
    4094: {4: "10.94.0.20/24"},
}


def network(*addresses: str, vid: int | None = 5, **keys: Any) -> dict[str, Any]:
    """A network of one VLAN of the trunk that gives these addresses, or one that host-local has."""
    one = {"subnet": "10.5.0.0/24", "rangeStart": "10.5.0.20", "rangeEnd": "10.5.0.20"}
    ipam = static(*addresses) if addresses else {"type": "host-local", "ranges": [[one]]}
    own = {"cniVersion": "1.0.0", "name": "tagged", "type": "vlan", "master": "ens33", "vlanId": vid, "ipam": ipam}
    return {key: value for key, value in {**own, **keys}.items() if value is not None}


NET = network(OWN[5][4])


def tags(capture: Capture) -> set[tuple[int, int] | None]:
    """The (VID, priority) of each frame of ICMP in a capture; None for one without tag."""
    packets = [packet for packet in capture.packets if packet.haslayer("ICMP") or packet.haslayer("ICMPv6EchoRequest")]
    found = [packet.getlayer("Dot1Q") for packet in packets]
    return {None if tag is None else (tag.vlan, tag.prio) for tag in found}
