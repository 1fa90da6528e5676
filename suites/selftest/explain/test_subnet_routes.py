"""A router that lost the route to a subnet of its own, and sends what is for a neighbour there to its gateway: which
sends it back, or has no route either."""

from __future__ import annotations

from functools import partial

import pytest
from cnitest.suites.selftest.explain.breaking import PROBES, Broken, demand

from cnitest.lab.place import Place

LAN = """
name: lan
switches: {lan: {}}
hosts:
  node:
    sysctls: {net.ipv4.ip_forward: 1, net.ipv6.conf.all.forwarding: 1}
    bridges: {br0: {addresses: [10.244.1.1/24, "fd00:1::1/64"]}}
    routes: [default via 192.0.2.1, "default via 2001:db8:2::1"]
    sandboxes:
      pod: {routes: [default via 10.244.1.1, "default via fd00:1::1"]}
  other:
    sysctls: {net.ipv4.ip_forward: 1, net.ipv6.conf.all.forwarding: 1}
    routes:
      - 10.244.1.0/24 via 192.0.2.11
      - "fd00:1::/64 via 2001:db8:2::11"
      - default via 192.0.2.1
      - "default via 2001:db8:2::1"
  router:
    role: router
    routes: [10.244.1.0/24 via 192.0.2.11, "fd00:1::/64 via 2001:db8:2::11"]
  client: {routes: [default via 203.0.113.1, "default via 2001:db8:3::1"]}
veths:
  - ends:
      - {at: node/pod, name: eth0, addresses: [10.244.1.11/24, "fd00:1::11/64"]}
      - {at: node, name: v1, bridge: br0}
  - ends: [{at: node, name: up0, addresses: [192.0.2.11/24, "2001:db8:2::11/64"]}, {at: lan}]
  - ends: [{at: other, name: up0, addresses: [192.0.2.12/24, "2001:db8:2::12/64"]}, {at: lan}]
  - ends: [{at: router, name: lan0, addresses: [192.0.2.1/24, "2001:db8:2::1/64"]}, {at: lan}]
  - ends:
      - {at: router, name: wan0, addresses: [203.0.113.1/24, "2001:db8:3::1/64"]}
      - {at: client, name: eth0, addresses: [203.0.113.9/24, "2001:db8:3::9/64"]}
"""
POD, POD6 = "10.244.1.11", "fd00:1::11"
CLIENT, CLIENT6 = "203.0.113.9", "2001:db8:3::9"
OLD, OLD6 = "10.244.1.1/24", "fd00:1::1/64"
LINK_LOCAL = "fe80::b2:d8ff:fe08:29ae/64"


def _lost(remedy: str, command: str, **more: object) -> Broken:
    given = {"topology": LAN, "sender": "client", "to": POD6 if ":" in remedy else POD, **more}
    return Broken("routing.subnet-route", "no subnet route", "node", remedy, {"node": command}, **given)


ROUTE, ROUTE6 = "ip route replace 10.244.1.0/24 dev br0", "ip -6 route replace fd00:1::/64 dev br0"
ADDRESS, ADDRESS6 = f"ip address add {OLD} dev br0", f"ip address add {OLD6} dev br0 nodad"
CASES = [
    _lost(ROUTE, "ip route del 10.244.1.0/24 dev br0"),
    _lost(ROUTE6, "ip -6 route del fd00:1::/64 dev br0"),
    _lost(ROUTE, f"ip address del {OLD} dev br0; ip address add {OLD} dev br0 noprefixroute"),
    _lost(ROUTE6, f"ip address del {OLD6} dev br0; ip address add {OLD6} dev br0 noprefixroute nodad"),
    _lost(ROUTE, "ip route replace 10.244.1.0/24 via 192.0.2.1"),
    _lost(ROUTE6, "ip -6 route del fd00:1::/64 dev br0; ip -6 route add fd00:1::/64 dev br0 table 99"),
    _lost(ADDRESS, f"ip address del {OLD} dev br0"),
    _lost(ADDRESS6, f"ip address del {OLD6} dev br0"),
    _lost(
        f"ip address del 10.244.1.1/32 dev lo && {ADDRESS}",
        f"ip address del {OLD} dev br0; ip address add 10.244.1.1 dev lo",
    ),
]  # fmt: skip
DESK = LAN.replace(
    "veths:\n",
    """  desk: {routes: [default via 192.0.2.1, "default via 2001:db8:2::1"]}
veths:
  - ends: [{at: desk, name: eth0, addresses: [192.0.2.13/24, "2001:db8:2::13/64"]}, {at: lan}]
""",
)
OTHERS = [
    Broken("l2.own-link-down", "link down", "node", "ip link set br0 up", {"node": "ip link set br0 down"},
           sender="client", to=POD, topology=LAN),
    Broken("host.mtu-below-ipv6", "MTU below IPv6", "node",
           f"ip link set dev br0 mtu 1280 && ip address replace {LINK_LOCAL} dev br0 nodad && {ADDRESS6}",
           {"node": "ip link set br0 mtu 1200"}, sender="client", to=POD6, topology=LAN),
    Broken("host.ipv6-disabled", "disable_ipv6", "node",
           "sysctl -w net.ipv6.conf.br0.disable_ipv6=0 && "
           f"ip address replace {LINK_LOCAL} dev br0 nodad && {ADDRESS6}",
           {"node": "sysctl -qw net.ipv6.conf.br0.disable_ipv6=1"}, sender="client", to=POD6, topology=LAN),
    *(
        Broken("limits.routing-loop", "routing loop", "router", again,
               {"router": f"ip route replace {prefix} via {wrong}", "other": f"ip route del {prefix}"},
               sender=sender, to=to, topology=DESK, probe=partial(Place.ping, ttl=ttl))
        for sender in ("client", "desk")  # which is on the link of the circle
        for ttl in (63, 64)  # the one or the other gets it last
        for to, prefix, wrong, again in (
            (POD, "10.244.1.0/24", "192.0.2.12", "ip route replace 10.244.1.0/24 via 192.0.2.11"),
            (POD6, "fd00:1::/64", "2001:db8:2::12", "ip -6 route replace fd00:1::/64 via 2001:db8:2::11"),
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize("broken", [*CASES, *OTHERS], ids=str)
def test_who_lacks_its_own_subnet_is_named(broken):
    """Whoever sends it back is not to blame, nor is there a loop to be corrected elsewhere."""
    demand(broken, warm=False)


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize(("to", "broken"), [(CLIENT, CASES[0]), (CLIENT6, CASES[1])], ids=["IPv4", "IPv6"])
def test_replies_are_sent_back_as_well(to, broken, probe):
    """The pod's probe reaches the client, whose answer the node hands to the router again."""
    demand(_lost(broken.remedy, broken.commands["node"], sender="node/pod", to=to, probe=PROBES[probe]), warm=False)


@pytest.mark.parametrize("probe", PROBES)
def test_its_own_packets_end_where_nobody_has_a_route(probe):
    """The internet, where the packet ends, is to have no route to a container."""
    again = "ip route replace 10.40.80.0/24 dev br01"
    given = {"topology": "bridge-walkthrough", "sender": "node", "to": "10.40.80.11"}
    demand(_lost(again, "ip route del 10.40.80.0/24 dev br01", probe=PROBES[probe], **given), warm=False)
