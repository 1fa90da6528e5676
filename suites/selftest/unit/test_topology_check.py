"""Checking a topology before the kernel is touched: what is rejected, and what is left alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cnitest.errors import TopologyError
from cnitest.topology import (
    Bond,
    Bridge,
    Dummy,
    Host,
    Ipvlan,
    Link,
    Macvlan,
    Problem,
    Route,
    Rule,
    Sandbox,
    Switch,
    Topology,
    Veth,
    VethEnd,
    Vlan,
    Vrf,
    check,
    find,
    load,
    problems,
    shipped,
)
from cnitest.topology.building.plan import plan


def _host(**more: Any) -> Topology:
    return Topology(name="t", hosts={"h": Host(**more)})


def _dummy(**more: Any) -> Topology:
    return _host(dummies={"d": Dummy(**more)})


def _wired(*ends: VethEnd, **more: Any) -> Topology:
    return Topology(name="t", hosts={"h1": Host(), "h2": Host()}, veths=(Veth(ends=ends),), **more)


def _on_eth0(*routes: Route, **more: Any) -> Topology:
    addresses = ("10.0.0.1/24", "2001:db8::1/64")
    return _host(dummies={"eth0": Dummy(addresses=addresses)}, routes=routes, **more)


def test_a_topology_is_validated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was loaded is not validated once more to be built; a changed copy is."""
    topology = load(find("bridge-walkthrough"))
    changed = replace(topology, name="changed")

    with monkeypatch.context() as patch:
        patch.setattr("cnitest.topology.rules.check._RULES", (lambda _: [Problem("", "validated again")],))
        assert plan(topology).places
        with pytest.raises(TopologyError, match="validated again"):
            plan(changed)


def test_a_stand_in_is_validated_again_without_it() -> None:
    """Problems that a broken path hides are not forgotten: what was asked with it is not the answer without it."""
    topology = _dummy(mtu=1)

    assert problems(topology, broken={"hosts.h.dummies.d.mtu"}) == ()
    assert problems(topology)


def test_check_raises_every_problem_at_once() -> None:
    """A topology built in Python is rejected with one line a problem, under its name."""
    topology = Topology(name="mine", hosts={"h": Host(dummies={"lo": Dummy(mtu=1)})})

    with pytest.raises(TopologyError) as caught:
        check(topology)

    assert str(caught.value).splitlines() == [
        "topology mine: hosts.h.dummies.lo: 'lo' cannot name a link: "
        "every place has its loopback; give it addresses with 'loopback'",
        "topology mine: hosts.h.dummies.lo.mtu: 1 is not an MTU (68-65535)",
    ]


@pytest.mark.parametrize("name", shipped())
def test_check_passes_what_is_shipped(name: str) -> None:
    """No rule rejects a topology that is known to build."""
    assert problems(load(find(name))) == ()


def test_problems_are_plain_values() -> None:
    """A problem is its path and its message: two of them are equal when these are."""
    problem = Problem("hosts.h", "is odd")

    assert problem == Problem("hosts.h", "is odd", needs=("hosts",))
    assert str(problem) == "hosts.h: is odd"


_FINE = {
    "an empty host": _host(),
    "fifteen bytes": _host(dummies={"fifteen-letters": Dummy()}),
    "a point-to-point /31": _dummy(addresses=["10.0.0.0/31"]),
    "a second address as /32": _dummy(addresses=["10.0.0.1/24", "10.0.0.2/32"]),
    "two subnets": _dummy(addresses=["10.0.0.1/24", "10.0.1.1/24", "2001:db8::1/64"]),
    "unnumbered links": _host(dummies={"d1": Dummy(addresses=["10.0.0.1/32"]), "d2": Dummy(addresses=["10.0.0.1/32"])}),
    "link-local on two links": _host(
        dummies={"d1": Dummy(addresses=["fe80::1/64"]), "d2": Dummy(addresses=["fe80::1/64"])}
    ),
    "a child of the same subnet as its parent": _host(
        dummies={"d": Dummy(addresses=["10.0.0.1/24"])},
        macvlans={"macv-host": Macvlan(parent="d", addresses=["10.0.0.2/24"])},
    ),
    "addresses on a bridge's port": _host(
        bridges={"br0": Bridge()}, dummies={"d": Dummy(bridge="br0", addresses=["10.0.0.1/24"])}
    ),
    "the smallest MTU": _dummy(mtu=68),
    "the smallest MTU of IPv6": _dummy(mtu=1280, addresses=["2001:db8::1/64"]),
    "a child as large as its parent": _host(
        dummies={"d": Dummy(mtu=9000)}, vlans={"v": Vlan(parent="d", id=1, mtu=9000)}
    ),
    "a wire inside one host": _wired(VethEnd(at="h1", name="a"), VethEnd(at="h1", name="b")),
    "unnamed ends at a switch": _wired(VethEnd(at="h1", name="a"), VethEnd(at="lan"), switches={"lan": Switch()}),
    "a macvlan on a switch": Topology(
        name="t", switches={"lan": Switch()}, hosts={"h": Host(macvlans={"m": Macvlan(parent="lan:br0")})}
    ),
    "a macvlan on a macvlan": _host(
        dummies={"d": Dummy()}, macvlans={"m1": Macvlan(parent="d"), "m2": Macvlan(parent="m1")}
    ),
    "a parent that is the host's": _host(
        dummies={"d": Dummy()}, sandboxes={"c": Sandbox(ipvlans={"i": Ipvlan(parent="h:d")})}
    ),
    "a vlan of a bond of dummies": _host(
        dummies={"d1": Dummy(), "d2": Dummy()},
        bonds={"b": Bond(ports=["d1", "d2"])},
        vlans={"v": Vlan(parent="b", id=5)},
    ),
    "the same VLAN of two parents": _host(
        dummies={"d1": Dummy(), "d2": Dummy()}, vlans={f"v{n}": Vlan(parent=f"d{n}", id=7) for n in (1, 2)}
    ),
    "a bridge's port in no VRF, another in one": _host(
        bridges={"br0": Bridge()},
        dummies={"d1": Dummy(bridge="br0"), "d2": Dummy()},
        vrfs={"red": Vrf(table=10, ports=["d2", "br0"])},
    ),
    "a default route for each family": _on_eth0(Route(via="10.0.0.2"), Route(via="2001:db8::2")),
    "two defaults by metric": _on_eth0(Route(via="10.0.0.2"), Route(via="10.0.0.3", metric=10)),
    "two IPv6 next hops": _on_eth0(Route(via="2001:db8::2"), Route(via="2001:db8::3")),
    "a link-local gateway with its link": _on_eth0(Route(via="fe80::2", link="eth0")),
    "a gateway behind a link route": _on_eth0(Route(to="169.254.1.1/32", link="eth0"), Route(via="169.254.1.1")),
    "a blackhole": _on_eth0(Route(to="10.9.0.0/16", kind="blackhole")),
    "a link's default of either family": _on_eth0(Route(link="eth0", family=4), Route(link="eth0", family=6)),
    "a route over the loopback": _on_eth0(Route(to="10.9.0.0/16", link="lo")),
    "a source of the loopback": _on_eth0(Route(via="10.0.0.2", source="10.9.9.9"), loopback=["10.9.9.9/32"]),
    "a gateway in a place that a plugin fills": _host(sandboxes={"c": Sandbox(routes=[Route(via="10.0.0.1")])}),
    "rules of both families": _host(rules=[Rule(table=7), Rule(table=7, family=6)]),
    "a rule for a link that comes later": _host(rules=[Rule(table=7, iif="cali1")]),
    "sysctls of every link": _host(sysctls={"net.ipv4.conf.all.rp_filter": 0, "net/ipv6/conf/lo/disable_ipv6": 1}),
    "a sysctl of a dotted link": _host(
        dummies={"eth0": Dummy()},
        vlans={"eth0.5": Vlan(parent="eth0", id=5)},
        sysctls={"net/ipv4/conf/eth0.5/rp_filter": 0},
    ),
    "a quoted comment": _host(iptables=["-A FORWARD -m comment --comment 'a; b' -j ACCEPT"]),
    "a range that is no address": _host(iptables=["-A INPUT -p tcp --dport 80:90 -j ACCEPT"]),
    "a MAC, which is no IPv6 address": _host(iptables=["-A INPUT -m mac --mac-source 02:00:00:00:00:01"]),
    "a loop under STP": Topology(
        name="t",
        hosts={"h": Host(bridges={"a": Bridge(stp=True), "b": Bridge()})},
        veths=[
            Veth(ends=[VethEnd(at="h", name=f"a{n}", bridge="a"), VethEnd(at="h", name=f"b{n}", bridge="b")])
            for n in (1, 2)
        ],
    ),
    "a loop with a wire that is down": Topology(
        name="t",
        hosts={"h": Host()},
        switches={"a": Switch(), "b": Switch()},
        veths=[
            Veth(ends=[VethEnd(at="a"), VethEnd(at="b")]),
            Veth(ends=[VethEnd(at="a", state="down"), VethEnd(at="b")]),
        ],
    ),
    "the same address where duplicates are looked for": Topology(
        name="t",
        hosts={"h1": Host(), "h2": Host()},
        veths=[
            Veth(
                ends=[
                    VethEnd(at="h1", name="a", addresses=["2001:db8::1/64"]),
                    VethEnd(at="h2", name="b", addresses=["2001:db8::1/64"], dad=True),
                ]
            )
        ],
    ),
    "one sandbox name in two hosts": Topology(
        name="t", hosts={name: Host(sandboxes={"c1": Sandbox()}) for name in ("h1", "h2")}
    ),
}


@pytest.mark.parametrize("topology", _FINE.values(), ids=_FINE)
def test_what_the_kernel_builds_is_not_rejected(topology: Topology) -> None:
    """A rule is there to help: what works, however unusual, passes."""
    assert problems(topology) == ()


_WRONG = {
    "no name": (Topology(name=" ", hosts={"h": Host()}), "name"),
    "a long sandbox name": (_host(sandboxes={"s" * 256: Sandbox()}), f"hosts.h.sandboxes.{'s' * 256}"),
    "a name that bytes make too long": (_host(dummies={"é" * 8: Dummy()}), f"hosts.h.dummies[{'é' * 8!r}]"),
    "a byte that the kernel takes for a blank": (_host(dummies={"à": Dummy()}), "hosts.h.dummies['à']"),
    "a bridge in a bridge": (_host(bridges={"a": Bridge(), "b": Bridge(bridge="a")}), "hosts.h.bridges.b.bridge"),
    "a bond of a bond": (_host(bonds={"a": Bond(ports=["b"]), "b": Bond()}), "hosts.h.bonds.a.ports[0]"),
    "a circle through a bond": (
        _host(bonds={"b": Bond(ports=["v"])}, vlans={"v": Vlan(parent="b", id=1)}),
        "hosts.h.vlans.v.parent",
    ),
    "a circle through a bridge": (
        _host(bridges={"br": Bridge()}, vlans={"v": Vlan(parent="br", id=1, bridge="br")}),
        "hosts.h.bridges.br.ports",
    ),
    "passthru after bridge": (
        _host(dummies={"d": Dummy()}, macvlans={"m1": Macvlan(parent="d"), "m2": Macvlan(parent="d", mode="passthru")}),
        "hosts.h.macvlans.m2.parent",
    ),
    "an ipvlan on a macvlan of a mixed family": (
        _host(dummies={"d": Dummy()}, macvlans={"m": Macvlan(parent="d")}, ipvlans={"i": Ipvlan(parent="m")}),
        "hosts.h.ipvlans.i.parent",
    ),
    "jumbo on an ordinary parent": (
        _host(dummies={"d": Dummy()}, macvlans={"m": Macvlan(parent="d", mtu=9000)}),
        "hosts.h.macvlans.m.mtu",
    ),
    "an address of a host and its sandbox on one bridge": (
        Topology(
            name="t",
            hosts={"h": Host(bridges={"br0": Bridge(addresses=["10.0.0.1/24"])}, sandboxes={"c": Sandbox()})},
            veths=[
                Veth(
                    ends=[
                        VethEnd(at="h/c", name="eth0", addresses=["10.0.0.1/24"]),
                        VethEnd(at="h", name="v", bridge="br0"),
                    ]
                )
            ],
        ),
        "veths[0].ends[0].addresses[0]",
    ),
    "a MAC at both ends": (
        _wired(
            VethEnd(at="h1", name="a", mac="02:00:00:00:00:01"), VethEnd(at="h2", name="b", mac="02:00:00:00:00:01")
        ),
        "veths[0].ends[1].mac",
    ),
    "an own gateway": (_on_eth0(Route(via="10.0.0.1")), "hosts.h.routes[0].via"),
    "a gateway on another link": (
        _host(
            dummies={"d1": Dummy(addresses=["10.0.0.1/24"]), "d2": Dummy()}, routes=[Route(via="10.0.0.2", link="d2")]
        ),
        "hosts.h.routes[0].via",
    ),
    "a wire to itself through one switch": (
        _wired(VethEnd(at="lan"), VethEnd(at="lan"), switches={"lan": Switch()}),
        "veths[0]",
    ),
    "a port name that was given before": (
        _wired(VethEnd(at="lan"), VethEnd(at="lan", name="p1"), switches={"lan": Switch(stp=True)}),
        "veths[0].ends[1]",
    ),
    "a sysctl that leaves the network": (
        _host(sysctls={"net.ipv4...kernel": 1}),
        "hosts.h.sysctls['net.ipv4...kernel']",
    ),
    "an IPv4 address in ip6tables": (_host(ip6tables=["-A INPUT -s 10.0.0.1 -j DROP"]), "hosts.h.ip6tables[0]"),
}


@pytest.mark.parametrize(("topology", "path"), _WRONG.values(), ids=_WRONG)
def test_what_the_kernel_refuses_is_named_once(topology: Topology, path: str) -> None:
    """One mistake is one problem, at the place where it is fixed."""
    assert [problem.path for problem in problems(topology)] == [path]


def test_a_fault_has_no_echo() -> None:
    """Who depends on a wrong value is not blamed as well."""
    topology = _host(dummies={"d": Dummy(addresses=["10.0.0.1/33"])}, routes=[Route(via="10.0.0.2", source="10.0.0.1")])

    assert [problem.path for problem in problems(topology)] == ["hosts.h.dummies.d.addresses[0]"]


def test_a_veth_end_at_an_unknown_place_has_no_echo() -> None:
    """The routes that would have used a misplaced end are not blamed."""
    topology = Topology(
        name="t",
        hosts={"node": Host(routes=[Route(via="10.0.0.1"), Route(to="10.1.0.0/16", link="eth0")]), "peer": Host()},
        veths=[
            Veth(ends=[VethEnd(at="nod", name="eth0", addresses=["10.0.0.2/24"]), VethEnd(at="peer", name="eth0")]),
            Veth(ends=[VethEnd(at="node", name="eth1"), VethEnd(at="peer", name="eth1")]),
        ],
    )

    assert [str(problem) for problem in problems(topology)] == [
        "veths[0].ends[0].at: unknown place 'nod'. Did you mean 'node'?"
    ]


def test_broken_paths_are_not_checked() -> None:
    """What a loader replaced by a stand-in is not checked, nor is what depends on it; its neighbours are."""
    topology = _host(dummies={"d": Dummy(addresses=["", "10.0.0.1/33"], mtu=1)}, routes=[Route(via="10.0.0.2")])

    found = problems(topology, broken={"hosts.h.dummies.d.addresses[0]", "hosts.h.dummies.d.mtu"})

    assert [problem.path for problem in found] == ["hosts.h.dummies.d.addresses[1]"]


def test_every_kind_of_link_is_checked() -> None:
    """The groups that the rules walk are those of the model; a new kind cannot be forgotten."""
    from cnitest.topology.link_kinds import GROUPS
    from cnitest.topology.survey import Survey

    kinds = {each for each in Link.__subclasses__() if each is not VethEnd}
    host = Host(
        bridges={"a": Bridge()},
        dummies={"b": Dummy()},
        macvlans={"c": Macvlan(parent="b")},
        bonds={"d": Bond()},
        ipvlans={"e": Ipvlan(parent="a")},
        vlans={"f": Vlan(parent="b", id=1)},
        vrfs={"g": Vrf(table=1)},
    )
    seen = {type(item.link) for item in Survey(Topology(name="t", hosts={"h": host})).declared}

    assert len(GROUPS) == len(kinds)
    assert len(seen) == len([*host.links()]) == 7
