"""Two nodes with a bridge each, as clusters have them: what a node lost, and what its bridge translates."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import Broken, demand

from cnitest.lab.place import Place

PODS = """
name: pods
hosts:
  n1:
    role: router
    bridges: {cni0: {addresses: [10.1.0.1/24, "2001:db8:1::1/64"]}}
    sandboxes: {p1: {routes: [default via 10.1.0.1, "default via 2001:db8:1::1"]}}
    routes: [10.2.0.0/24 via 192.168.0.2, "2001:db8:2::/64 via 2001:db8::2"]
  n2:
    role: router
    bridges: {cni0: {addresses: [10.2.0.1/24, "2001:db8:2::1/64"]}}
    sandboxes: {p3: {routes: [default via 10.2.0.1, "default via 2001:db8:2::1"]}}
    routes: [10.1.0.0/24 via 192.168.0.1, "2001:db8:1::/64 via 2001:db8::1"]
veths:
  - ends:
      - {at: n1, name: eth0, addresses: [192.168.0.1/24, "2001:db8::1/64"]}
      - {at: n2, name: eth0, addresses: [192.168.0.2/24, "2001:db8::2/64"]}
  - ends:
      - {at: n1/p1, name: eth0, addresses: [10.1.0.11/24, "2001:db8:1::11/64"]}
      - {at: n1, name: v1, bridge: cni0}
  - ends:
      - {at: n2/p3, name: eth0, addresses: [10.2.0.13/24, "2001:db8:2::13/64"]}
      - {at: n2, name: v3, bridge: cni0}
"""


@pytest.mark.parametrize(
    "probe", [Place.ping, lambda place, to: place.tcp(to, 80), lambda place, to: place.udp(to, 80)]
)
@pytest.mark.parametrize(
    ("to", "remedy"),
    [
        ("10.2.0.13", "ip address add 10.1.0.1/24 dev cni0"),
        ("2001:db8:2::13", "ip address add 2001:db8:1::1/64 dev cni0 nodad"),
    ],
)
def test_a_bridge_that_lost_its_address_is_no_missing_masquerade(to, remedy, probe):
    """A node that no longer has its pods' subnet is named for the lost reply, not the other node's rules of NAT."""
    six = "-6" if ":" in to else ""
    broken = Broken(
        "host.address-missing",
        "address missing",
        "n1",
        remedy,
        {"n1": f"ip {six} address flush dev cni0 scope global"},
        "n1/p1",
        to,
        PODS,
        probe=probe,
    )

    demand(broken, warm=True)


def test_a_bridged_packet_that_is_translated_to_loopback_is_named():
    """Where br_netfilter has the bridge translate it, route_localnet of the bridge counts."""
    rule = "iptables -t nat -A PREROUTING -p tcp --dport 80 -d 10.1.0.1 -j DNAT --to-destination 127.0.0.1:80"
    broken = Broken(
        "routing.localnet",
        "route_localnet off",
        "n1",
        "sysctl -w net.ipv4.conf.cni0.route_localnet=1",
        {"n1": rule},
        "n1/p1",
        "10.1.0.1",
        PODS,
        probe=lambda place, to: place.tcp(to, 80),
    )

    demand(broken, warm=False)
