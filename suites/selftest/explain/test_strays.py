"""Routes, rules and addresses that no topology has, at a place that was strict about reverse paths from the start."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.ways import WAYS, Broken, must_be_explained

STRICT = WAYS.replace("  server:\n    sysctls: {", "  server:\n    sysctls: {net.ipv4.conf.all.rp_filter: 1, ")
STRAYS = [
    ("ip route add 10.0.1.0/24 via 10.0.4.2", "ip route del 10.0.1.0/24 via 10.0.4.2 dev eth4 table main"),
    ("ip rule add pref 9 to 10.0.1.0/24 lookup 77; ip route add default via 10.0.4.2 table 77", "ip rule del pref 9"),
    ("ip address add 10.0.1.77/24 dev eth4", "ip address del 10.0.1.77/24 dev eth4"),
]


@pytest.mark.parametrize("probe", ["ping", "tcp", "udp"])
@pytest.mark.parametrize(("command", "remedy"), STRAYS)
def test_what_leads_back_otherwise_is_taken_away(command, remedy, probe):
    """Not the filter is to be loosened, but what the topology does not have goes."""
    broken = Broken("routing.rp-filter", (f"server: {command}",), "rp_filter", "server", remedy, (4,), probe=probe)

    must_be_explained(broken, 4, STRICT)


def test_what_leads_back_to_who_asks_for_a_mac_is_taken_away():
    """A router that is not believed when it asks gets no answer: the route goes here, too."""
    stray = ("server: ip route add 10.0.3.2/32 via 10.0.4.2; ip neigh flush all", "r1: ip neigh flush all")
    remedy = "ip route del 10.0.3.2/32 via 10.0.4.2 dev eth4 table main"

    must_be_explained(Broken("l2.arp-rp-filter", stray, "rp_filter of ARP", "server", remedy), 4, STRICT)


def test_a_declared_route_stays():
    """Where the topology itself leads back by another link, the filter is what is wrong."""
    topology = STRICT.replace("{via: 10.0.3.2}", "{via: 10.0.3.2}, {to: 10.0.1.0/24, via: 10.0.4.2}")
    remedy = "sysctl -w net.ipv4.conf.eth3.rp_filter=2"
    broken = Broken("routing.rp-filter", (), "rp_filter", "server", remedy, (4,), works_first=False)

    must_be_explained(broken, 4, topology)
