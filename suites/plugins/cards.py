"""A node with two network cards, and networks that move one of them into a container."""

from __future__ import annotations

from typing import Any

from cnitest.suites.plugins.lan_networks import static

from cnitest import Place
from cnitest.topology import loads

WIRE = loads("""
name: two-cables
about: A node with two network cards, each wired to a peer of its own
hosts: {node: {}, peer: {}, other: {}}
veths:
  - ends:
      - {at: node, name: nic1, mac: "02:00:5e:00:53:01"}
      - {at: peer, name: eth0, addresses: [192.168.90.1/24, "2001:db8:90::1/64"]}
  - ends:
      - {at: node, name: nic2, mac: "02:00:5e:00:53:02"}
      - {at: other, name: eth0, addresses: [192.168.91.1/24]}
""")
ADDRESS, ADDRESS6, PEER, PEER6 = "192.168.90.2", "2001:db8:90::2", "192.168.90.1", "2001:db8:90::1"
FIRST_MAC = "02:00:5e:00:53:01"
RANGE = {"subnet": "192.168.90.0/24", "rangeStart": ADDRESS, "rangeEnd": ADDRESS, "gateway": "192.168.90.254"}
LEASED = {"type": "host-local", "ranges": [[RANGE]], "routes": [{"dst": "203.0.113.0/24", "gw": PEER}]}


def network(*addresses: str, **keys: Any) -> dict[str, Any]:
    """A network that moves a device; with addresses it has IPAM."""
    conf: dict[str, Any] = {"cniVersion": "1.0.0", "name": "cards", "type": "host-device", **keys}
    return {**conf, "ipam": static(*addresses)} if addresses else conf


def names(place: Place) -> list[str]:
    """The names of a place's links but lo."""
    return [link.name for link in place.links if link.name != "lo"]
