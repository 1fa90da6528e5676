"""Replies in another conntrack zone than their requests, of which the destination was translated."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import Broken, demand

from cnitest.lab.place import Place
from cnitest.lab.reach import Reach

NODE = {4: "192.168.80.100", 6: "2001:db8:80::100"}
POD = {4: "10.40.80.12", 6: "[2001:db8:40::12]"}


def _published(place: Place, to: str) -> Reach:
    return place.tcp(to, 8080, listener=place.lab.place("node/ns02"), listener_port=80)


@pytest.mark.parametrize("family", [4, 6])
def test_a_reply_that_is_not_translated_back_is_put_down_to_its_zone(family):
    """It comes by the node that translated the request, which does not know its connection."""
    program = "iptables" if family == 4 else "ip6tables"
    zone = "PREROUTING -i br01 -j CT --zone 5"
    dnat = f"{program} -t nat -A PREROUTING -p tcp --dport 8080 -j DNAT --to-destination {POD[family]}:80"
    broken = Broken(
        "conntrack.zone",
        "conntrack zone",
        "node",
        f"{program} -t raw -D {zone}",
        {"node": f"{dnat}; {program} -t raw -A {zone}"},
        sender="router",
        to=NODE[family],
        probe=_published,
    )
    demand(broken, warm=False)
