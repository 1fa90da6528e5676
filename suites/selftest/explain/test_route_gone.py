"""Nodes that lost their route to another node's pods, and send what is for these to a gateway that has none."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import PROBES, Broken, demand

TOPOLOGY = """
name: host-gateways
switches: {lan: {}}
hosts:
  node1:
    sysctls: {net.ipv4.ip_forward: 1, net.ipv6.conf.all.forwarding: 1}
    bridges: {br0: {addresses: [10.244.1.1/24, "fd00:1::1/64"]}}
    routes:
      - default via 192.0.2.1
      - "default via 2001:db8:2::1"
      - 10.244.2.0/24 via 192.0.2.12
      - "fd00:2::/64 via 2001:db8:2::12"
    sandboxes: {pod: {routes: [default via 10.244.1.1, "default via fd00:1::1"]}}
  node2:
    sysctls: {net.ipv4.ip_forward: 1, net.ipv6.conf.all.forwarding: 1}
    bridges: {br0: {addresses: [10.244.2.1/24, "fd00:2::1/64"]}}
    routes:
      - default via 192.0.2.1
      - "default via 2001:db8:2::1"
      - 10.244.1.0/24 via 192.0.2.11
      - "fd00:1::/64 via 2001:db8:2::11"
    sandboxes: {pod: {routes: [default via 10.244.2.1, "default via fd00:2::1"]}}
  router: {role: router}
veths:
  - ends:
      - {at: node1/pod, name: eth0, addresses: [10.244.1.11/24, "fd00:1::11/64"]}
      - {at: node1, name: v1, bridge: br0}
  - ends:
      - {at: node2/pod, name: eth0, addresses: [10.244.2.12/24, "fd00:2::12/64"]}
      - {at: node2, name: v1, bridge: br0}
  - ends: [{at: node1, name: up0, addresses: [192.0.2.11/24, "2001:db8:2::11/64"]}, {at: lan}]
  - ends: [{at: node2, name: up0, addresses: [192.0.2.12/24, "2001:db8:2::12/64"]}, {at: lan}]
  - ends: [{at: router, name: lan0, addresses: [192.0.2.1/24, "2001:db8:2::1/64"]}, {at: lan}]
"""
POD2 = {4: "10.244.2.12", 6: "fd00:2::12"}
ROUTES = {
    (4, "node1"): "ip route add 10.244.2.0/24 via 192.0.2.12",
    (4, "node2"): "ip route add 10.244.1.0/24 via 192.0.2.11",
    (6, "node1"): "ip -6 route add fd00:2::/64 via 2001:db8:2::12",
    (6, "node2"): "ip -6 route add fd00:1::/64 via 2001:db8:2::11",
}


def _broken(cause: str, dropped_by: str, place: str, remedy: str, command: str, to: str, **more: object) -> Broken:
    given = {"sender": "node1/pod", "to": to, "topology": TOPOLOGY, **more}
    return Broken(cause, dropped_by, place, remedy, {place: command}, **given)


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize(("family", "place"), ROUTES)
def test_the_node_that_lacks_it_is_named(family, place, probe):
    """Of requests and of replies; the router, where they end, is to have no route to pods."""
    remedy = ROUTES[family, place]
    gone = remedy.replace(" add ", " del ")
    demand(
        _broken("routing.route-gone", "route gone", place, remedy, gone, POD2[family], probe=PROBES[probe]), warm=False
    )


def test_a_bridge_that_is_down_is_named_behind_another_node():
    """Its node sends what is for its own pods to the router."""
    demand(
        _broken("l2.own-link-down", "link down", "node2", "ip link set br0 up", "ip link set br0 down", POD2[4]),
        warm=False,
    )
