"""A node's routes to single containers behind unnumbered links, in the subnet of its bridge: gone, or another one."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import PROBES, Broken, demand

TOPOLOGY = """
name: host-routes
hosts:
  node:
    role: router
    bridges: {br0: {addresses: [10.65.0.1/24, "fd00:65::1/64"]}}
    sysctls: {net/ipv4/conf/cali1/proxy_arp: 1}
    routes: [default via 192.168.7.2, 10.65.0.200/32 dev cali1, "fd00:65::200/128 dev cali1"]
    sandboxes:
      pod: {routes: [169.254.1.1/32 dev eth0, default via 169.254.1.1, "-6 default via fe80::ee dev eth0"]}
      other: {routes: [{via: 10.65.0.1}, {via: "fd00:65::1"}]}
  far: {routes: [{via: 192.168.7.1}, {via: "fd00:7::1"}]}
veths:
  - ends:
      - {at: node/pod, name: eth0, addresses: [10.65.0.200/32, "fd00:65::200/128"]}
      - {at: node, name: cali1, addresses: ["fe80::ee/64"]}
  - ends:
      - {at: node/other, name: eth0, addresses: [10.65.0.11/24, "fd00:65::11/64"]}
      - {at: node, name: v1, bridge: br0}
  - ends:
      - {at: node, name: up, addresses: [192.168.7.1/24, "fd00:7::1/64"]}
      - {at: far, name: eth0, addresses: [192.168.7.2/24, "fd00:7::2/64"]}
"""
POD = {4: "10.65.0.200", 6: "fd00:65::200"}
FAR = {4: "192.168.7.2", 6: "fd00:7::2"}
OTHER = {4: "10.65.0.11", 6: "fd00:65::11"}
IP = {4: "ip", 6: "ip -6"}
HOST = {4: "10.65.0.200/32", 6: "fd00:65::200/128"}
FAMILY = pytest.mark.parametrize("family", [4, 6])
FILTERS = {
    "rp_filter": ("routing.rp-filter", "rp_filter", "sysctl -qw net.ipv4.conf.cali1.rp_filter=1"),
    "iptables": ("firewall.rpfilter", "ip raw PREROUTING rule 1",
                 "iptables -t raw -A PREROUTING -i cali1 -m rpfilter --invert -j DROP"),
    "legacy": ("firewall.rpfilter", "ip6 raw PREROUTING rule 1",
               "ip6tables-legacy -t raw -A PREROUTING -i cali1 -m rpfilter --invert -j DROP"),
    "nft": ("firewall.rpfilter", "inet f c rule 1",
            "nft 'add table inet f; add chain inet f c { type filter hook prerouting priority -300; }; "
            "add rule inet f c iifname cali1 meta nfproto { ipv4, ipv6 } fib saddr . iif oif 0 drop'"),
}  # fmt: skip
FILTERED = [("rp_filter", 4), ("iptables", 4), ("legacy", 6), ("nft", 4), ("nft", 6)]


@FAMILY
@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize("does", ["del {0} dev cali1", "replace {0} dev br0"], ids=["gone", "another-link"])
@pytest.mark.parametrize("sender", ["node", "far", "node/pod"])
def test_a_container_that_is_looked_for_on_the_bridge(sender, does, probe, family):
    """The route is named, of requests (of the node's own, too) and of replies, and no link is to be a bridge's port."""
    to = FAR[family] if sender == "node/pod" else POD[family]
    word = "add" if does.startswith("del") else "replace"
    command = f"{IP[family]} route {does.format(HOST[family])}"

    demand(Broken("routing.route-gone", "route gone", "node", f"{IP[family]} route {word} {HOST[family]} dev cali1",
                  {"node": command}, sender, to, TOPOLOGY, probe=PROBES[probe]), warm=True)  # fmt: skip


@FAMILY
@pytest.mark.parametrize("sender", ["far", "node/pod"])
def test_a_neighbour_that_is_no_router_instead_of_the_link(sender, family):
    """A route by a gateway that forwards nothing stands where the topology has the container's link."""
    to = FAR[family] if sender == "node/pod" else POD[family]
    command = f"{IP[family]} route replace {HOST[family]} via {OTHER[family]}"

    demand(Broken("routing.no-router", "no router", "node", f"{IP[family]} route replace {HOST[family]} dev cali1",
                  {"node": command}, sender, to, TOPOLOGY), warm=True)  # fmt: skip


@pytest.mark.parametrize(("way", "family"), FILTERED)
@pytest.mark.parametrize("via", ["dev br0", "via {0}"], ids=["link", "gateway"])
def test_a_filter_for_the_way_back_is_right_about_a_wrong_route(via, way, family):
    """The topology's route is given back: without the filter the reply would go astray."""
    cause, dropped_by, rule = FILTERS[way]
    remedy = f"{IP[family]} route replace {HOST[family]} dev cali1"
    command = f"{IP[family]} route replace {HOST[family]} {via.format(OTHER[family])}"

    demand(Broken(cause, dropped_by, "node", remedy, {"node": command}, "node/pod", FAR[family], TOPOLOGY,
                  setup={"node": rule}), warm=True)  # fmt: skip
