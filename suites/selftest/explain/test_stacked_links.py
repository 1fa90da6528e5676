"""Links that others stand on, and links whose names have dots: the right end is named, by a command that works."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import WARM, Broken, demand

from cnitest import Lab
from cnitest.kernel import features
from cnitest.lab.place import Place
from cnitest.lab.reach import Reach
from cnitest.topology import loads

NO_MACVLAN = pytest.mark.skipif(not features.link_kind("macvlan").present, reason=features.link_kind("macvlan").why)

TWO_WIRES = """
name: two-wires
hosts:
  a: {}
  b: {role: router}
veths:
  - ends:
      - {at: a, name: eth0, addresses: [10.0.1.1/24, "2001:db8:1::1/64"]}
      - {at: b, name: eth0.5, addresses: [10.0.1.2/24, "2001:db8:1::2/64"]}
  - ends:
      - {at: a, name: eth1}
      - {at: b, name: eth1}
"""
CHILD = TWO_WIRES.replace('name: eth0, addresses: [10.0.1.1/24, "2001:db8:1::1/64"]', "name: eth0")
SYSCTL = "net/ipv4/conf/eth0.5"
FORGET = "ip neigh flush dev eth0"
# The routes back that reverse path filtering and arp_filter look for.
ELSEWHERE = "ip route add 10.0.1.1 dev eth1"


def _child(kind: str) -> str:
    return (
        f"ip link add t0 link eth0 type {kind} mode source; ip link set t0 up; ip address add 10.0.1.1/24 dev t0; "
        "ip address add 2001:db8:1::1/64 dev t0 nodad"
    )


def _large(place: Place, to: str) -> Reach:
    return place.ping(to, size=1300)


DOTTED = [
    Broken(
        f"l2.{cause}",
        dropped_by,
        "b",
        f"sysctl -w {SYSCTL}/{name}=0",
        {"b": f"sysctl -w {SYSCTL}/{name}=1; {ELSEWHERE}", "a": FORGET},
        "a",
        "10.0.1.2",
        TWO_WIRES,
    )
    for cause, dropped_by, name in (
        ("arp-filter", "arp_filter", "arp_filter"),
        ("arp-rp-filter", "rp_filter of ARP", "rp_filter"),
    )
] + [
    Broken(
        "l2.arp-ignore",
        "arp_ignore",
        "b",
        f"sysctl -w {SYSCTL}/arp_ignore=0",
        {"b": f"sysctl -w {SYSCTL}/arp_ignore=8", "a": FORGET},
        "a",
        "10.0.1.2",
        TWO_WIRES,
    )
]


@WARM
@pytest.mark.parametrize("broken", DOTTED, ids=str)
def test_sysctls_of_links_with_dots_are_named_as_paths(broken: Broken, warm: bool) -> None:
    """net.ipv4.conf.eth0.5 would be that of a link eth0."""
    demand(broken, warm=warm)


@NO_MACVLAN
@pytest.mark.parametrize("to", ["10.0.1.2", "2001:db8:1::2"])
def test_the_peer_of_a_veth_is_not_what_stands_on_it(to: str) -> None:
    """A host has a macvlan of its own on its uplink, whose other end has too small an MTU."""
    demand(
        Broken(
            "limits.receiver-mtu",
            "MTU of the receiver",
            "b",
            "ip link set dev eth0.5 mtu 1500",
            {"b": "ip link set eth0.5 mtu 1290"},
            "a",
            to,
            TWO_WIRES,
            probe=_large,
            setup={"a": "ip link add shim link eth0 type macvlan mode bridge; ip link set shim up"},
        ),
        warm=False,
    )


@pytest.mark.parametrize("to", ["10.0.1.2", "2001:db8:1::2"])
@pytest.mark.parametrize("kind", ["macvlan", "macvtap"])
@NO_MACVLAN
def test_an_answer_that_only_the_parent_gets_is_none(kind: str, to: str) -> None:
    """Who asks by a link in mode source for a MAC that it does not listen to is not answered, and that is the cause."""
    with Lab(loads(CHILD)) as lab:
        if lab.place("a").execute(["ip", "link", "add", "t0", "link", "eth0", "type", kind], b"").exit_code:
            pytest.skip(f"this kernel has no {kind}")
    demand(
        Broken(
            "l2.macvlan-source",
            "macvlan mode source",
            "a",
            f"ip link set t0 type {kind} macaddr add 02:00:00:00:00:02",
            {},
            "a",
            to,
            CHILD,
            setup={"a": _child(kind), "b": "ip link set eth0.5 address 02:00:00:00:00:02"},
        ),
        warm=False,
    )


@pytest.mark.parametrize("to", ["10.40.80.12", "2001:db8:40::12"])
def test_an_entry_of_the_bridge_itself_is_taken_from_the_bridge(to: str) -> None:
    """What a bridge takes for its own is no entry of a port (``self``)."""
    mac = "02:58:2c:81:86:34"
    commands = f"bridge fdb replace {mac} dev br01 self permanent"

    demand(
        Broken(
            "l2.fdb", "fdb entry", "node", f"bridge fdb del {mac} dev br01 self", {"node": commands}, "node/ns01", to
        ),
        warm=True,
    )


@pytest.mark.parametrize("to", ["10.40.80.12", "2001:db8:40::12"])
def test_a_port_that_was_made_a_link_of_its_own_is_named(to: str) -> None:
    """It has an address now, and the topology has it as a port."""
    commands = "ip link set veth02 nomaster; ip address add 10.99.0.1/24 dev veth02"
    remedy = "ip link set veth02 master br01"

    demand(Broken("l2.no-bridge", "no bridge port", "node", remedy, {"node": commands}, "node/ns01", to), warm=True)
