"""A pod's answers that its node sends by another uplink than the one that the request came in by."""

from __future__ import annotations

from cnitest.suites.selftest.explain.breaking import Broken, demand

from cnitest.lab.place import Place
from cnitest.lab.reach import Reach

TOPOLOGY = """
name: uplinks
switches: {wan: {}}
hosts:
  node:
    sysctls: {net.ipv4.ip_forward: 1}
    bridges: {br0: {addresses: [10.244.1.1/24]}}
    routes: [default via 192.0.2.1]
    iptables: ["-t nat -A PREROUTING -i up6 -p tcp --dport 8080 -j DNAT --to-destination 10.244.1.11:8080"]
    sandboxes: {pod: {routes: [default via 10.244.1.1]}}
  r5: {role: router}
  r6: {role: router}
  client: {routes: [default via 203.0.113.5, 198.51.100.0/24 via 203.0.113.6]}
veths:
  - ends: [{at: node/pod, name: eth0, addresses: [10.244.1.11/24]}, {at: node, name: v1, bridge: br0}]
  - ends:
      - {at: node, name: up5, addresses: [192.0.2.11/24]}
      - {at: r5, name: lan0, addresses: [192.0.2.1/24]}
  - ends:
      - {at: node, name: up6, addresses: [198.51.100.11/24]}
      - {at: r6, name: lan0, addresses: [198.51.100.1/24]}
  - ends: [{at: r5, name: wan0, addresses: [203.0.113.5/24]}, {at: wan}]
  - ends: [{at: r6, name: wan0, addresses: [203.0.113.6/24]}, {at: wan}]
  - ends: [{at: client, name: eth0, addresses: [203.0.113.9/24]}, {at: wan}]
"""


def _published(place: Place, to: str) -> Reach:
    return place.tcp(to, 8080, listener=place.lab.place("node/pod"))


def test_a_router_that_does_not_believe_who_asks_for_its_mac_is_named():
    """The node asks from the address that the answer is translated to: no MASQUERADE is missing anywhere."""
    demand(
        Broken(
            "l2.arp-rp-filter",
            "rp_filter of ARP",
            "r5",
            "sysctl -w net.ipv4.conf.lan0.rp_filter=0",
            {"r5": "sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.lan0.rp_filter=1"},
            sender="client",
            to="198.51.100.11",
            topology=TOPOLOGY,
            probe=_published,
        ),
        warm=False,
    )
