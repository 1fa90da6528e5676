"""Addresses behind a neighbour that is to answer for them, as routed NICs of lxd and incus are, and no longer does.

As in canonical/lxd issues 6668 and 11631, and lxc/incus issues 3341 and 3485.
"""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import PROBES, run

from cnitest import Lab
from cnitest.topology import loads

TOPOLOGY = """
name: routed-nic
hosts:
  node:
    role: router
    routes: [10.0.0.50 dev veth1, "2001:db8::50 dev veth1", default via 10.0.0.254, "default via 2001:db8::ff"]
    sysctls: {SYSCTLS}
    neighbours: [ENTRIES]
    sandboxes: {c1: {routes: [169.254.0.1 dev eth0, default via 169.254.0.1, "default via fe80::1 dev eth0"]}}
  gw: {role: router}
  far: {routes: [default via 192.168.7.1, "default via 2001:db8:7::1"]}
veths:
  - ends:
      - {at: node, name: eth0, addresses: [10.0.0.1/24, "2001:db8::1/64"]}
      - {at: gw, name: lan, addresses: [10.0.0.254/24, "2001:db8::ff/64"]}
  - ends:
      - {at: node, name: veth1, addresses: [169.254.0.1/32, "fe80::1/64"]}
      - {at: node/c1, name: eth0, addresses: [10.0.0.50/32, "2001:db8::50/128"]}
  - ends:
      - {at: gw, name: wan, addresses: [192.168.7.1/24, "2001:db8:7::1/64"]}
      - {at: far, name: eth0, addresses: [192.168.7.2/24, "2001:db8:7::2/64"]}
"""
FAR, POD = {4: "192.168.7.2", 6: "2001:db8:7::2"}, {4: "10.0.0.50", 6: "2001:db8::50"}
ENTRIES = '"proxy 2001:db8::50 dev eth0", proxy 10.0.0.50 dev eth0'
DELAYS = "net/ipv6/neigh/eth0/proxy_delay: 0, net/ipv4/neigh/eth0/proxy_delay: 0"
BY_ENTRY = TOPOLOGY.replace("SYSCTLS", f"net/ipv6/conf/eth0/proxy_ndp: 1, {DELAYS}").replace("ENTRIES", ENTRIES)
BY_SYSCTL = TOPOLOGY.replace("SYSCTLS", f"net/ipv4/conf/eth0/proxy_arp: 1, {DELAYS}").replace("ENTRIES", "")
BROKEN = [
    (BY_ENTRY, 4, "ip neigh del proxy 10.0.0.50 dev eth0", "ip neigh add proxy 10.0.0.50 dev eth0"),
    (BY_ENTRY, 4, "ip route del 10.0.0.50", "ip route add 10.0.0.50/32 dev veth1"),
    (BY_SYSCTL, 4, "sysctl -qw net.ipv4.conf.eth0.proxy_arp=0", "sysctl -w net.ipv4.conf.eth0.proxy_arp=1"),
    (BY_ENTRY, 6, "ip neigh del proxy 2001:db8::50 dev eth0", "ip -6 neigh add proxy 2001:db8::50 dev eth0"),
    (
        BY_ENTRY,
        6,
        "ip neigh del proxy 2001:db8::50 dev eth0; ip neigh add proxy 2001:db8::50 dev veth1",
        "ip -6 neigh add proxy 2001:db8::50 dev eth0",
    ),
    (BY_ENTRY, 6, "sysctl -qw net.ipv6.conf.eth0.proxy_ndp=0", "sysctl -w net.ipv6.conf.eth0.proxy_ndp=1"),
]


@pytest.mark.parametrize(("topology", "family", "command", "remedy"), BROKEN)
@pytest.mark.parametrize("way", ["there", "back"])
@pytest.mark.parametrize("kind", PROBES)
def test_who_is_to_answer_for_an_address_behind_it_is_named(kind, way, topology, family, command, remedy):
    """The neighbour that no longer answers is the cause, and what it lacks the remedy, for a packet and for a reply."""
    with Lab(loads(topology)) as lab:
        sender, to = (lab.host("far"), POD) if way == "there" else (lab.sandbox("c1"), FAR)
        run(lab, {"node": command})

        reach = PROBES[kind](sender, to[family])

        assert not reach
        assert (reach.cause.id, reach.cause.place) == ("l2.proxy-off", "node"), reach.explanation
        assert reach.cause.remedy == remedy
        run(lab, {"node": reach.cause.remedy})
        assert PROBES[kind](sender, to[family]), reach.cause.remedy


def test_routes_that_went_with_the_last_address_come_back():
    """The link's last address of IPv4 takes its routes with it: the remedy has both."""
    with Lab(loads(BY_ENTRY)) as lab:
        run(lab, {"node": "ip address del 169.254.0.1/32 dev veth1"})

        reach = lab.sandbox("c1").ping(FAR[4])

        assert reach.cause.id == "host.address-missing", reach.explanation
        assert (
            reach.cause.remedy == "ip address add 169.254.0.1/32 dev veth1 && ip route replace 10.0.0.50/32 dev veth1"
        )
        run(lab, {"node": reach.cause.remedy})
        assert lab.sandbox("c1").ping(FAR[4])
