"""Addresses whose scope keeps them from being sources of what goes beyond it, so that packets have none."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import PROBES, Broken, demand


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize("scope", ["link", "host"])
def test_who_sends_from_no_address_at_all_is_named(scope, probe):
    """The router drops a packet from 0.0.0.0, which the sender's kernel chose."""
    again = f"ip address del 10.40.80.11/24 dev eth01; ip address add 10.40.80.11/24 scope {scope} dev eth01"
    broken = Broken(
        "routing.martian-source",
        "no source address",
        "node/ns01",
        "ip route change default via 10.40.80.1 dev eth01 table main src 10.40.80.11",
        {"node/ns01": f"{again}; ip route add default via 10.40.80.1"},
        to="192.168.80.2",
        setup={"node": "iptables -t nat -A POSTROUTING -o ens33 -j MASQUERADE"},
        probe=PROBES[probe],
    )
    demand(broken, warm=False)
