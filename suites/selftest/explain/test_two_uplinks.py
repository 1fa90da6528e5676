"""A server with two uplinks, or a tunnel for all it sends: private sources everywhere, and nobody lacks MASQUERADE."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import PROBES, Broken, demand

TOPOLOGY = """
name: two-uplinks-of-a-server
hosts:
  server:
    routes: [{via: 10.1.0.1}, {via: "2001:db8:1::1"}]
    # With arp_announce it asks for a router from the address of that link, whatever the answer's source is.
    sysctls: {net.ipv4.conf.all.rp_filter: 0, net.ipv4.conf.default.rp_filter: 0, net.ipv4.conf.all.arp_announce: 2}
  isp1:
    role: router
    routes: [10.2.0.0/24 via 10.8.0.9, 10.9.0.0/24 via 10.8.0.9]
    sysctls: {net.ipv4.conf.all.rp_filter: 0, net.ipv4.conf.default.rp_filter: 0}
  isp2: {role: router}
  client:
    role: router
    routes: [10.1.0.0/24 via 10.8.0.1, 10.2.0.0/24 via 10.9.0.1, "2001:db8:1::/64 via 2001:db8:8::1"]
    sysctls: {net.ipv4.conf.all.rp_filter: 0, net.ipv4.conf.default.rp_filter: 0}
veths:
  - ends:
      - {at: server, name: eth0, addresses: [10.1.0.9/24, "2001:db8:1::9/64"]}
      - {at: isp1, name: cust, addresses: [10.1.0.1/24, "2001:db8:1::1/64"]}
  - ends: [{at: server, name: eth1, addresses: [10.2.0.9/24]}, {at: isp2, name: cust, addresses: [10.2.0.1/24]}]
  - ends:
      - {at: isp1, name: core, addresses: [10.8.0.1/24, "2001:db8:8::1/64"]}
      - {at: client, name: eth1, addresses: [10.8.0.9/24, "2001:db8:8::9/64"]}
  - ends: [{at: isp2, name: core, addresses: [10.9.0.1/24]}, {at: client, name: eth2, addresses: [10.9.0.9/24]}]
"""
# What wg-quick sets for AllowedIPs = 0.0.0.0/0; the tunnel is a link on which nobody answers.
ALL_BY_TUNNEL = (
    "ip link add wg0 type veth peer name wg1; ip link set wg0 up; ip link set wg1 up; "
    "{ip} route add default dev wg0 table 51820; {ip} rule add not fwmark 51820 lookup 51820; "
    "{ip} rule add lookup main suppress_prefixlength 0"
)
BROKEN = [
    *(
        Broken(
            "routing.rp-filter",
            "rp_filter",
            "isp1",
            "sysctl -w net.ipv4.conf.cust.rp_filter=2",
            {"isp1": "sysctl -qw net.ipv4.conf.cust.rp_filter=1"},
            "client",
            "10.2.0.9",
            TOPOLOGY,
            probe=probe,
        )
        for probe in PROBES.values()
    ),
    *(
        Broken(
            "routing.rule-table",
            "rule to table 51820",
            "server",
            f"{ip} rule del pref 32765",
            {"server": ALL_BY_TUNNEL.replace("{ip}", ip)},
            "client",
            to,
            TOPOLOGY,
            probe=probe,
        )
        for ip, to in (("ip", "10.1.0.9"), ("ip -6", "2001:db8:1::9"))
        for probe in PROBES.values()
    ),
]


@pytest.mark.parametrize("number", range(len(BROKEN)), ids=[f"{n}-{broken}" for n, broken in enumerate(BROKEN)])
def test_an_answer_by_another_uplink_lacks_no_masquerade(number):
    """What ends the answer where it goes, or the rule that sends it there, is the cause: a way back there is."""
    demand(BROKEN[number], warm=False)
