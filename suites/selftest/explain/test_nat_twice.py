"""Sources that are to be translated twice, by a host and by the router behind it; and answers that never left."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import PROBES, Broken, demand
from cnitest.suites.selftest.explain.ways import Broken as OnTwoWays
from cnitest.suites.selftest.explain.ways import must_be_explained

HOME = """
name: home
hosts:
  host:
    role: router
    bridges: {docker0: {addresses: [172.17.0.1/16]}}
    routes: [{via: 192.168.1.1}]
    iptables: ["-t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE"]
    sandboxes: {c1: {routes: [{via: 172.17.0.1}]}}
  gw: {role: router, routes: [ROUTES], iptables: ["-t nat -A POSTROUTING -o wan -j MASQUERADE"]}
  web: {routes: [{via: 203.0.113.1}]}
switches: {lan: {}}
veths:
  - ends: [{at: host/c1, name: eth0, addresses: [172.17.0.2/16]}, {at: host, name: vc1, bridge: docker0}]
  - ends: [{at: host, name: eth0, addresses: [192.168.1.10/24]}, {at: lan}]
  - ends: [{at: gw, name: lan, addresses: [192.168.1.1/24]}, {at: lan}]
  - ends: [{at: gw, name: wan, addresses: [203.0.113.1/24]}, {at: web, name: eth0, addresses: [203.0.113.2/24]}]
"""
DEFAULT = "{via: 203.0.113.2}"
LOST = [
    (
        "nat.masquerade-missing",
        "no MASQUERADE",
        "iptables -t nat -F POSTROUTING",
        "iptables -t nat -A POSTROUTING -s 172.17.0.0/16 -o eth0 -j MASQUERADE",
    ),
    (
        "nat.masquerade-skipped",
        "rule before MASQUERADE",
        "iptables -t nat -I POSTROUTING -d 203.0.113.0/24 -j RETURN",
        "iptables -t nat -I POSTROUTING -s 172.17.0.0/16 -o eth0 -j MASQUERADE",
    ),
    (
        "nat.source-untracked",
        "not tracked",
        "iptables -t raw -A PREROUTING -i docker0 -j NOTRACK",
        "iptables -t raw -D PREROUTING -i docker0 -j NOTRACK",
    ),
]


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize("routes", [DEFAULT, ""], ids=["default", "none"])
@pytest.mark.parametrize(("cause", "dropped_by", "command", "remedy"), LOST)
def test_the_host_that_does_not_translate_is_named(cause, dropped_by, command, remedy, routes, probe):
    """Not the router behind it that lacks a route to the containers, which it never had to have."""
    topology = HOME.replace("ROUTES", routes)
    broken = Broken(
        cause, dropped_by, "host", remedy, {"host": command}, "host/c1", "203.0.113.2", topology, probe=PROBES[probe]
    )

    demand(broken, warm=False)


def test_a_router_that_lost_its_route_to_the_containers_is_named():
    """Where the topology has that route, it is what is missing."""
    topology = HOME.replace("ROUTES", f"{DEFAULT}, 172.17.0.0/16 via 192.168.1.10")
    topology = "\n".join(line for line in topology.splitlines() if "! -o docker0" not in line)
    remedy = "ip route add 172.17.0.0/16 via 192.168.1.10"
    lost = {"gw": "ip route del 172.17.0.0/16"}

    demand(
        Broken("routing.route-gone", "route gone", "gw", remedy, lost, "host/c1", "203.0.113.2", topology), warm=True
    )


@pytest.mark.parametrize("probe", PROBES)
def test_an_answer_that_waits_for_its_router_lacks_no_masquerade(probe):
    """Where the next hop is asked for in vain and somebody has it, that is the cause."""
    works = ("client: ip route replace default via 10.0.2.2", "r1: ip route add 10.0.2.0/24 via 10.0.1.1")
    deaf = ("r1: sysctl -qw net.ipv4.conf.eth3.arp_ignore=8", "server: ip neigh flush dev eth3")
    remedy = "sysctl -w net.ipv4.conf.eth3.arp_ignore=0"

    must_be_explained(OnTwoWays("l2.arp-ignore", deaf, "arp_ignore", "r1", remedy, prepares=works, probe=probe), 4)
