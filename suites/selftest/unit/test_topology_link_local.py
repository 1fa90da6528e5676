"""Who asks for neighbours from link-local addresses has them from the start; others get them from the kernel."""

from __future__ import annotations

import pytest

from cnitest.topology import Bridge, Host, Macvlan, Sandbox, Topology, Veth, VethEnd, Vlan
from cnitest.topology.building import link_local
from cnitest.topology.building.plan import plan
from cnitest.topology.building.steps import AddAddress, AddLink, Ready, SetLink

FORWARDING = {"net.ipv6.conf.all.forwarding": 1}
MAC = "02:00:00:00:00:01"


def given(host: Host, **end: object) -> list[str]:
    """The link-local addresses that a host's end of a wire to another host gets."""
    ends = [VethEnd(at="h", name="up", mac=MAC, **end), VethEnd(at="peer", name="eth0")]
    steps = plan(Topology(name="t", hosts={"h": host, "peer": Host()}, veths=[Veth(ends=ends)])).steps
    return [str(step) for step in steps if isinstance(step, AddAddress) and "fe80:" in step.address]


@pytest.mark.parametrize(
    ("mac", "address"), [(MAC, "fe80::ff:fe00:1/64"), ("aa:bb:cc:dd:ee:ff", "fe80::a8bb:ccff:fedd:eeff/64")]
)
def test_the_address_is_the_one_that_the_kernel_forms(mac: str, address: str) -> None:
    """RFC 4291, appendix A: the MAC with one bit turned and two bytes in its middle."""
    assert link_local.of_mac(mac) == address


@pytest.mark.parametrize(
    "host",
    [
        Host(role="router"),
        Host(sysctls=FORWARDING),
        Host(sysctls={"net/ipv6/conf/all/forwarding": "1"}),
        Host(loopback=["2001:db8:8::8/128"]),
    ],
)
def test_who_asks_from_there_gets_one(host: Host) -> None:
    """What forwards by its role or its sysctl, and what has an address on its loopback, on a link with IPv6."""
    assert given(host, addresses=["2001:db8::1/64"]) == ["h: ip address replace fe80::ff:fe00:1/64 dev up"]


@pytest.mark.parametrize(
    ("host", "end"),
    [
        (Host(), {"addresses": ["2001:db8::1/64"]}),
        (Host(loopback=["192.0.2.1/32"]), {"addresses": ["2001:db8::1/64"]}),
        (Host(role="router"), {"addresses": ["10.0.0.1/24"]}),
        (Host(role="router"), {"addresses": ["2001:db8::1/64"], "dad": True}),
        (Host(role="router"), {"addresses": ["2001:db8::1/64"], "state": "down"}),
        (Host(role="router", sysctls={"net.ipv6.conf.all.forwarding": 0}), {"addresses": ["2001:db8::1/64"]}),
        (Host(role="router", sysctls={"net.ipv6.conf.up.addr_gen_mode": 1}), {"addresses": ["2001:db8::1/64"]}),
        (Host(role="router", sysctls={"net.ipv6.conf.default.accept_ra": 2}), {"addresses": ["2001:db8::1/64"]}),
    ],
)
def test_what_does_not_need_one_is_left_alone(host: Host, end: dict[str, object]) -> None:
    """No forwarding, no IPv6, a check that was asked for, a link that is down, a sysctl with a say in it."""
    assert given(host, **end) == []


def test_an_own_link_local_address_is_enough() -> None:
    """Who declares one gets no other."""
    declared = ["2001:db8::1/64", "fe80::1/64"]

    assert given(Host(role="router"), addresses=declared) == ["h: ip address add fe80::1/64 dev up"]


def test_it_comes_before_the_link_can_carry() -> None:
    """Afterwards the kernel has made one itself, and checks it for duplicates."""
    router = Host(
        role="router",
        bridges={"br": Bridge(addresses=["2001:db8:1::1/64"])},
        macvlans={"child": Macvlan(parent="up", addresses=["2001:db8:3::1/64"])},
        vlans={"tagged": Vlan(parent="up", id=7, addresses=["2001:db8:4::1/64"])},
        sandboxes={"c": Sandbox(sysctls=FORWARDING)},
    )
    inner = VethEnd(at="h/c", name="in", addresses=["2001:db8:1::2/64"])
    veths = [
        Veth(ends=[VethEnd(at="h", name="up", addresses=["2001:db8:2::1/64"]), VethEnd(at="peer", name="eth0")]),
        Veth(ends=[VethEnd(at="h", name="port", bridge="br"), inner]),
    ]
    steps = plan(Topology(name="t", hosts={"h": router, "peer": Host()}, veths=veths)).steps
    given = {step.link: at for at, step in enumerate(steps) if isinstance(step, AddAddress) and "fe80" in step.address}

    assert {link.name for link in given} == {"br", "up", "child", "tagged", "in"}
    assert len({step.address for step in steps if isinstance(step, AddAddress) and "fe80" in step.address}) == 4
    for link, at in given.items():
        before, after = steps[:at], steps[at:]
        made = [step for step in before if isinstance(step, AddLink) and link in (step.link, step.peer)]
        assert made, f"{link} is made before it"
        assert not [step for step in before if isinstance(step, SetLink) and step.link == link]
        assert [step for step in after if isinstance(step, SetLink | Ready) and step.link == link]
