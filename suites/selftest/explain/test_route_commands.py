"""Commands that take routes and rules away: they name the very one, and what is left leads on."""

from __future__ import annotations

from functools import partial

import pytest
from cnitest.suites.selftest.explain.breaking import WARM, Broken, demand

from cnitest import Lab
from cnitest.lab.place import Place
from cnitest.topology.load import loads

NS01, NODE, NODE6 = "node/ns01", "192.168.80.100", "2001:db8:80::100"
# An IPv4 packet's gateway of IPv6 is asked for from the link's own link-local address.
LINK_LOCAL = "ip address add fe80::11/64 dev eth01 nodad; "
STRAY = "192.168.80.0/24 via inet6 2001:db8:40::99 dev eth01"
STRAY_HOST = "192.168.80.100/32 via inet6 2001:db8:40::12 dev eth01"

_PAIR = """
name: pair
hosts:
  a:
    routes: [{via: 10.40.80.1}, {via: "2001:db8:40::1"}]
  b: {role: router}
veths:
  - ends:
      - {at: a, name: eth01, addresses: [10.40.80.11/24, "2001:db8:40::11/64"]}
      - {at: b, name: eth01, addresses: [10.40.80.1/24, "2001:db8:40::1/64"]}
"""

BROKEN = (
    [
        Broken(
            "routing.preferred-route",
            "preferred route",
            NS01,
            f"ip -4 route del {STRAY} table main",
            {NS01: f"{LINK_LOCAL}ip route add {STRAY}"},
            to=NODE,
        ),
        Broken(
            "routing.no-router",
            "no router",
            NS01,
            f"ip -4 route del {STRAY_HOST} table main",
            {NS01: f"{LINK_LOCAL}ip route add {STRAY_HOST}"},
            to=NODE,
        ),
    ]
    + [
        Broken(
            "routing.blackhole",
            "blackhole rule",
            NS01,
            f"{ip} rule del pref 100 from all to {to} blackhole",
            {NS01: f"{ip} rule add pref 100 from {other} lookup main; {ip} rule add pref 100 to {to} blackhole"},
            to=to,
        )
        for ip, to, other in (("ip", NODE, "10.9.0.0/16"), ("ip -6", NODE6, "2001:db8:9::/48"))
    ]
    + [
        # A rule that passes by the one for main is not the packet's.
        Broken(
            "routing.table-not-asked",
            "no rule to table main",
            NS01,
            f"{ip} rule add pref 32766 lookup main",
            {
                NS01: f"{ip} rule add pref 40000 nop; {ip} rule add pref 100 from {other} goto 40000; "
                f"{ip} rule del pref 32766; {ip} rule add pref 32766 lookup main suppress_prefixlength 0"
            },
            to=to,
        )
        for ip, to, other in (("ip", NODE, "10.9.0.0/16"), ("ip -6", NODE6, "2001:db8:9::/48"))
    ]
)


@WARM
@pytest.mark.parametrize("broken", BROKEN, ids=str)
def test_the_very_route_or_rule_is_taken_away(broken: Broken, warm: bool) -> None:
    """Gateways of the other family, and rules that share a priority with others."""
    demand(broken, warm=warm)


@pytest.mark.parametrize(
    ("broken", "to", "remedy"),
    [
        (
            "ip route add 10.77.0.0/24 via 10.40.80.99",
            "10.77.0.1",
            "ip route del 10.77.0.0/24 via 10.40.80.99 dev eth01",
        ),
        (
            "ip -6 route add 2001:db8:77::/64 via 2001:db8:40::99",
            "2001:db8:77::1",
            "ip -6 route del 2001:db8:77::/64 via 2001:db8:40::99 dev eth01",
        ),
        (
            "ip route replace default via 10.40.80.1 metric 9; ip route replace default via 10.40.80.99",
            "203.0.113.1",
            "ip route del default via 10.40.80.99 dev eth01",
        ),
        ("ip route replace default via 10.40.80.99", "203.0.113.1", "ip route replace default via 10.40.80.1"),
    ],
)
def test_a_route_that_hides_the_declared_one_is_taken_away(broken: str, to: str, remedy: str) -> None:
    """The declared route is made again where it is gone, and not where a longer prefix or a lower metric hides it."""
    with Lab(loads(_PAIR)) as lab:
        ns01 = lab.place("a")
        ns01.run(["sh", "-ec", broken])

        cause = ns01.ping(to).cause

        assert cause is not None
        assert (cause.id, cause.remedy.partition(" table ")[0]) == ("routing.no-such-gateway", remedy)


@pytest.mark.parametrize(
    ("has", "to", "remedy"),
    [
        ("2001:db8:40::1", "203.0.113.1", "ip route add default via …"),
        ("10.40.80.1", "2001:db8:99::1", "ip -6 route add default via …"),
    ],
)
def test_a_default_route_of_the_other_family_is_none(has: str, to: str, remedy: str) -> None:
    """A place that has a default route of the other family alone lacks one for the packet's."""
    topology = _PAIR.replace('{via: 10.40.80.1}, {via: "2001:db8:40::1"}', f'{{via: "{has}"}}')
    with Lab(loads(topology)) as lab:
        cause = lab.place("a").ping(to).cause

        assert cause is not None
        assert (cause.id, cause.remedy) == ("routing.no-route", remedy)


@pytest.mark.parametrize(
    ("source", "to", "remedy"),
    [
        ("10.55.0.1/32", "10.40.80.12", "ip route add 10.55.0.1 via 10.40.80.11"),
        ("2001:db8:55::1/128", "2001:db8:40::12", "ip -6 route add 2001:db8:55::1 via 2001:db8:40::11"),
    ],
)
def test_the_way_back_by_a_bridge_is_by_its_sender(source: str, to: str, remedy: str) -> None:
    """What came in by a port came by the bridge, and who sent it is the last that routed it."""
    probe = partial(Place.ping, source=source.partition("/")[0])
    added = f"ip address add {source} dev lo{' nodad' if ':' in source else ''}"

    demand(
        Broken("routing.reply-by-default", "no route back", "node", remedy, {NS01: added}, NS01, to, probe=probe),
        warm=False,
    )
