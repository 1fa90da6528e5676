"""Neighbours of IPv6 are asked for from a link-local address: without one, routers and gateways of IPv6 are out."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import Broken, demand, run

from cnitest import Lab, Verdict, load
from cnitest.topology import find

VIA_IPV6 = "ip route replace 192.168.80.0/24 via inet6 2001:db8:40::1 dev eth01"
BACK = {"router": "ip -6 route add 2001:db8:40::/64 via 2001:db8:80::100"}
OF_BR01 = "fe80::41:4cff:fefd:59f/64 dev br01"
OF_ENS33 = "fe80::7e:46ff:fe15:d9aa/64 dev ens33"
OF_ETH01 = "fe80::12:19ff:fe63:ddc2/64 dev eth01"
TWICE = "fe80::77/64 dev ens33"
REFUSED = (
    f"ip -6 address flush dev ens33 scope link; sysctl -w net.ipv6.conf.ens33.accept_dad=1; ip address add {TWICE}; "
    "while ip -6 address show dev ens33 | grep tentative | grep -qv dadfailed; do sleep 0.1; done"
)


def _without(place: str, remedy: str, commands: str, sender: str, to: str) -> Broken:
    """What is asked for already the kernel gives up soon, with the packet that waits for it, hence ``afterwards``."""
    forgotten = {place: "ip -6 neigh flush all"}
    return Broken(
        "l2.no-link-local", "no link-local address", place, remedy, {place: commands}, sender, to,
        setup=BACK, afterwards=forgotten,
    )  # fmt: skip


@pytest.mark.parametrize(
    "broken",
    [
        _without(
            "node",
            f"ip address add {OF_BR01} nodad",
            "ip -6 address flush dev br01 scope link; ip -6 neigh flush dev br01",
            "router",
            "2001:db8:40::12",
        ),
        _without(
            "node",
            f"ip address add {OF_ENS33} nodad",
            "ip -6 address flush dev ens33 scope link; ip -6 neigh flush dev ens33",
            "node/ns01",
            "2001:db8:80::2",
        ),
        _without(
            "node/ns01",
            f"ip address add {OF_ETH01} nodad",
            f"ip -6 address flush dev eth01 scope link; {VIA_IPV6}",
            "node/ns01",
            "192.168.80.100",
        ),
    ],
    ids=str,
)
def test_who_has_no_link_local_address_is_named(broken: Broken) -> None:
    """What is forwarded has no source of the link, and no packet of IPv4 has one."""
    demand(broken, warm=False)


def test_a_link_local_address_that_is_refused_is_none() -> None:
    """Duplicate address detection found it at the neighbour."""
    with Lab(load(find("bridge-walkthrough"))) as lab:
        run(lab, BACK | {"node": "true"})
        run(lab, {"router": "ip address add fe80::77/64 dev lan0 nodad"})
        run(lab, {"node": REFUSED})

        cause = lab.place("node/ns01").ping("2001:db8:80::2").cause

        assert cause is not None
        assert (cause.id, cause.place) == ("l2.no-link-local", "node")
        assert cause.remedy == f"ip address del {TWICE} && ip address add {TWICE} nodad"


@pytest.mark.parametrize("probe", ["ping", "udp"])
def test_a_gateway_of_ipv6_is_reached_once_duplicate_detection_is_over(probe: str) -> None:
    """IPv4 by such a gateway waits for the sender's link-local address, as IPv6 does: it is no drop."""
    with Lab(load(find("bridge-walkthrough"))) as lab:
        ns01 = lab.place("node/ns01")
        run(lab, {"node/ns01": VIA_IPV6})

        reach = ns01.ping("192.168.80.100") if probe == "ping" else ns01.udp("192.168.80.100", 53)

        assert reach.verdict is Verdict.DELIVERED
