"""Routes that take the address of one place for that of many: broadcast, multicast, anycast, at each place."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.ways import Broken, must_be_explained

PROBES = ("ping", "tcp", "udp")


def _group(kind: str, place: str, does: str, remedy: str, **more: object) -> Broken:
    return Broken("routing.group-route", (f"{place}: {does}",), f"{kind} route", place, remedy, **more)


BROKEN = [
    _group("multicast", "r1", "{ip} route add multicast {S} dev eth3 table local", "route del multicast {S}/{128}"),
    _group("multicast", "client", "{ip} route replace multicast default dev eth1", "route add default via {1.2}"),
    _group("multicast", "server", "{ip} route add multicast {1.1} dev eth3 table local", "route del multicast {1.1}"),
    _group("anycast", "client", "{ip} route add anycast {S} dev eth1", "route del anycast {S}/{128}"),
    _group("anycast", "r1", "ip route replace anycast {S} dev eth3", "route del anycast {S}", families=(4,)),
    _group("broadcast", "r1", "ip route add broadcast {S} dev eth3 table local", "del broadcast", families=(4,)),
    _group(
        "multicast",
        "client",
        "{ip} rule add pref 5 lookup 77; {ip} route add multicast default dev eth1 table 77",
        "{ip} rule del pref 5",
    ),
    # The directed broadcast address of an address that nobody declared, which has the subnet of others, too.
    _group(
        "broadcast",
        "server",
        "ip address add 10.0.1.2/30 brd 10.0.1.1 dev eth3",
        "ip address del 10.0.1.2/30 dev eth3",
        families=(4,),
    ),
    _group(
        "broadcast",
        "r1",
        "ip address add 10.0.3.1/30 dev eth3",
        "ip address del 10.0.3.1/30 dev eth3",
        families=(4,),
        to="{3.3}",
    ),
]
CASES = [pytest.param(one, family, id=f"{one.label}-{family}") for one in BROKEN for family in one.families]


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize(("broken", "family"), CASES)
def test_an_address_that_is_taken_for_that_of_many_is_named(broken: Broken, family: int, probe: str) -> None:
    """The route is named with its kind and place, and without it (or the address that made it) the probe passes."""
    must_be_explained(broken._replace(probe=probe), family)
