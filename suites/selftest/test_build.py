"""What a topology declares is what the kernel then has."""

from __future__ import annotations

import dataclasses

import pytest

from cnitest import FeatureMissing, Lab, Topology, TopologyError
from cnitest.kernel import features
from cnitest.topology import (
    Bond,
    Bridge,
    Dummy,
    Host,
    Ipvlan,
    Macvlan,
    Route,
    Rule,
    Sandbox,
    Switch,
    Tap,
    Veth,
    VethEnd,
    Vlan,
    Vrf,
    find,
    load,
    shipped,
)
from cnitest.topology.building.link_local import of_mac
from cnitest.topology.building.plan import plan
from cnitest.topology.building.steps import Ready


def host(*veths, switches=None, **declared):
    """A lab with one host ``h`` and, when wires are given, a second one ``peer``."""
    hosts = {"h": Host(**declared)} | ({"peer": Host()} if veths else {})
    return Lab(Topology(name="t", hosts=hosts, veths=veths, switches=switches or {}))


def wire(**end):
    """A veth pair from ``h`` to ``peer``."""
    return Veth(ends=[VethEnd(at="h", name="up", **end), VethEnd(at="peer", name="eth0", addresses=["192.0.2.2/24"])])


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_topology_builds(name):
    """Each topology that we ship is built without a complaint, and each of its links that is up carries."""
    with Lab(load(find(name))) as lab:
        for place in lab.places:
            assert all(link.carrier for link in place.links if link.up)


def test_links_are_as_declared():
    """MAC, MTU, state and addresses of both families, prefix included."""
    declared = {"mac": "02:aa:bb:cc:dd:ee", "mtu": 1400, "addresses": ["192.0.2.1/24", "2001:db8::1/64"]}
    with host(wire(**declared), bridges={"down": Bridge(state="down")}) as lab:
        h = lab.host("h")
        up, down = h.link("up"), h.link("down")

        assert (up.mac, up.mtu, up.up, up.carrier) == ("02:aa:bb:cc:dd:ee", 1400, True, True)
        assert {"192.0.2.1/24", "2001:db8::1/64"} <= {a.address for a in h.addresses if a.link == "up"}
        assert not down.up


def test_two_builds_are_equal():
    """The same topology built twice has the same links: indexes, MACs and all."""
    topology = load(find("three-nodes-one-lan"))
    with Lab(topology) as one, Lab(topology) as other:
        for place in one.places:
            assert place.links == other.place(place.full_name).links


def test_bridges_have_their_ports_and_flags():
    """STP, MTU, hairpin and isolated are the kernel's own flags."""
    with host(wire(bridge="br", hairpin=True, isolated=True), bridges={"br": Bridge(stp=True, mtu=1450)}) as lab:
        h = lab.host("h")
        (port,) = h.state(firewall=False).ports

        assert dict(h.link("br").detail)["stp"] == 1
        assert h.link("br").mtu == 1450
        assert (port.name, port.bridge, port.hairpin, port.isolated) == ("up", "br", True, True)


@pytest.mark.parametrize(
    ("default", "own", "expected"), [(True, None, True), (False, True, True), (True, False, False)]
)
def test_a_switch_gives_hairpin_to_its_ports(default, own, expected):
    """Hairpin is the switch's unless the port says otherwise."""
    end = VethEnd(at="sw", hairpin=own)
    topology = Topology(
        name="t",
        hosts={"h": Host()},
        switches={"sw": Switch(hairpin=default)},
        veths=[Veth(ends=[VethEnd(at="h", name="eth0"), end])],
    )
    with Lab(topology) as lab:
        (port,) = lab.place("sw").state().ports

        assert (port.name, port.state, port.hairpin) == ("p1", "forwarding", expected)


def test_routes_and_rules_are_as_declared():
    """Gateway, source, table, metric, MTU, kind; rules with source, table, priority and mark."""
    routes = [
        Route(via="192.0.2.2"),
        Route(to="198.51.100.0/24", via="192.0.2.2", table=1000, metric=7, mtu=1300, source="192.0.2.1"),
        Route(to="203.0.113.0/24", kind="blackhole"),
        Route(to="2001:db8:1::/64", via="2001:db8::2"),
    ]
    rules = [Rule(source="192.0.2.0/24", table=1000, priority=100, mark=5), Rule(to="2001:db8:1::/64", table=1001)]
    with host(wire(addresses=["192.0.2.1/24", "2001:db8::1/64"]), routes=routes, rules=rules) as lab:
        h = lab.host("h")
        found = {(r.to, r.table): r for r in h.routes if r.protocol == "static"}
        policy = [rule for rule in h.rules if rule.table in (1000, 1001)]

    special = found["198.51.100.0/24", 1000]
    assert found["default", 254].via == "192.0.2.2"
    assert (special.via, special.metric, special.mtu, special.source) == ("192.0.2.2", 7, 1300, "192.0.2.1")
    assert found["203.0.113.0/24", 254].kind == "blackhole"
    assert found["2001:db8:1::/64", 254].via == "2001:db8::2"
    assert [(r.family, r.source, r.to, r.priority, r.mark) for r in policy if r.table == 1000] == [
        (4, "192.0.2.0/24", "", 100, 5)
    ]
    assert [(r.family, r.to) for r in policy if r.table == 1001] == [(6, "2001:db8:1::/64")]


def test_sysctls_are_as_declared():
    """Global sysctls, and those of a link, which has to exist first; a router forwards both families."""
    with host(
        wire(), role="router", sysctls={"net.ipv4.conf.up.rp_filter": 2, "net.ipv4.conf.all.arp_ignore": 1}
    ) as lab:
        h = lab.host("h")

        assert h.sysctl("net.ipv4.conf.up.rp_filter") == "2"
        assert h.sysctl("net.ipv4.conf.all.arp_ignore") == "1"
        assert (h.sysctl("net.ipv4.ip_forward"), h.sysctl("net.ipv6.conf.all.forwarding")) == ("1", "1")


@pytest.mark.requires(binary=["iptables", "nft"])
def test_firewalls_are_as_declared():
    """Lines for both iptables and a script for nft are loaded, and the state shows each of them."""
    declared = {
        "iptables": ["-P FORWARD DROP", '-A INPUT -m comment --comment "two words" -j ACCEPT'],
        "ip6tables": ["-A FORWARD -j REJECT"],
        "nft": "table inet mine {\n chain c { type filter hook input priority 5; tcp dport 9 drop; }\n}",
    }
    with host(**declared) as lab:
        rules = lab.host("h").state().firewall

    assert "filter: :FORWARD DROP" in rules["iptables"]
    assert 'filter: -A INPUT -m comment --comment "two words" -j ACCEPT' in rules["iptables"]
    assert any("-A FORWARD -j REJECT" in line for line in rules["ip6tables"])
    assert any("tcp dport 9 drop" in line for line in rules["nft"])


@pytest.mark.requires(binary="iptables-legacy")
def test_both_variants_of_iptables_are_seen():
    """A rule of the legacy variant is in the state, apart from the others."""
    with host() as lab:
        h = lab.host("h")
        h.run(["iptables-legacy", "-A", "INPUT", "-j", "DROP"])
        rules = h.state().firewall

    assert rules["iptables-legacy"][-1] == "filter: -A INPUT -j DROP"
    assert "iptables" not in rules


def test_a_rule_that_iptables_refuses_is_named():
    """A line that the program does not take fails the build with its words."""
    with (
        pytest.raises(TopologyError, match="h: iptables -w -A NOWHERE") as failure,
        host(iptables=["-A NOWHERE -j DROP"]),
    ):
        pass

    assert "NOWHERE" in str(failure.value)


def test_a_sysctl_that_is_not_there_is_named():
    """A sysctl this kernel lacks fails the build with its name."""
    with (
        pytest.raises(TopologyError, match="net.ipv4.no_such_thing: this kernel has none of that name"),
        host(sysctls={"net.ipv4.no_such_thing": 1}),
    ):
        pass


def test_macvlan_children_live_where_they_are_declared():
    """A child is created in its own place on a parent elsewhere, with mode, MAC and address."""
    child = Macvlan(parent="h:up", mode="vepa", addresses=["192.0.2.5/24"], mac="02:00:00:00:00:05")
    with host(wire(), sandboxes={"c": Sandbox(macvlans={"eth0": child})}) as lab:
        link = lab.sandbox("c").link("eth0")

        assert (link.kind, link.mac, dict(link.detail)["mode"]) == ("macvlan", "02:00:00:00:00:05", "vepa")
        assert lab.sandbox("c").ping("192.0.2.2")


@pytest.mark.requires(kernel="tap")
def test_taps_are_made():
    """A tap link is there, persistent, with its address."""
    with host(taps={"tap0": Tap(addresses=["192.0.2.1/24"])}) as lab:
        h = lab.host("h")

        assert h.link("tap0").kind == "tun"
        assert any(a.address == "192.0.2.1/24" for a in h.addresses)


@pytest.mark.requires(kernel="vlan")
def test_vlans_tag():
    """A VLAN sub-interface has its parent and its id."""
    with host(wire(), vlans={"up.5": Vlan(parent="up", id=5, addresses=["198.51.100.1/24"])}) as lab:
        link = lab.host("h").link("up.5")

        assert (link.parent, dict(link.detail)["id"]) == ("up", 5)


@pytest.mark.requires(kernel="ipvlan")
def test_ipvlans_share_their_parents_mac():
    """An ipvlan child has its parent's MAC and its mode."""
    with host(wire(), ipvlans={"ipv0": Ipvlan(parent="up", mode="l3")}) as lab:
        h = lab.host("h")

        assert h.link("ipv0").mac == h.link("up").mac


@pytest.mark.requires(kernel="dummy")
def test_dummies_are_made():
    """A dummy link is there, up."""
    with host(dummies={"d0": Dummy(addresses=["192.0.2.1/24"])}) as lab:
        assert lab.host("h").link("d0").up


@pytest.mark.requires(kernel="vrf")
def test_vrfs_hold_their_ports():
    """A VRF has its table, and its ports are enslaved to it."""
    with host(wire(), vrfs={"red": Vrf(table=10, ports=["up"])}) as lab:
        assert lab.host("h").link("up").master == "red"


@pytest.mark.requires(kernel="bond")
def test_bonds_hold_their_ports():
    """The ports of a bond are enslaved to it."""
    with host(wire(), bonds={"bond0": Bond(ports=["up"])}) as lab:
        assert lab.host("h").link("up").master == "bond0"


def test_what_the_kernel_lacks_is_one_sentence():
    """A topology with kinds of links that this kernel has not is refused with all of them in one reason."""
    lacking = [kind for kind in ("dummy", "vrf") if not features.link_kind(kind).present]
    if not lacking:
        pytest.skip("this kernel has both dummy and vrf")
    with pytest.raises(FeatureMissing) as failure, host(dummies={"d0": Dummy()}, vrfs={"red": Vrf(table=10)}):
        pass

    assert all(f"this kernel has no links of kind {kind}" in str(failure.value) for kind in lacking)


def test_addresses_on_loopback_answer():
    """An address on lo is reached through the host's links."""
    with host(wire(addresses=["192.0.2.1/24"]), loopback=["203.0.113.7/32"]) as lab:
        peer = lab.host("peer")
        peer.run(["ip", "route", "add", "203.0.113.7/32", "via", "192.0.2.1"])

        assert peer.ping("203.0.113.7")


def test_a_fresh_sandbox_is_as_the_kernel_makes_it():
    """A sandbox that nobody declared has a loopback link, down, and nothing else."""
    with host() as lab:
        sandbox = lab.host("h").sandbox("fresh")

        assert [(link.name, link.up) for link in sandbox.links] == [("lo", False)]
        assert lab.sandbox("fresh") is sandbox
        assert sandbox.path == "/run/netns/fresh"


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda lab: lab.host("nod"), "bridge-walkthrough has no host 'nod'; it has node, router, internet"),
        (lambda lab: lab.sandbox("ns3"), "has no sandbox 'ns3': node/ns01, node/ns02"),
        (lambda lab: lab.host("node").link("eth9"), "node has no link 'eth9'; it has lo,"),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_ones(ask, words):
    """Looking for what is not there tells what is."""
    with Lab(load(find("bridge-walkthrough"))) as lab, pytest.raises(LookupError) as failure:
        ask(lab)

    assert words in str(failure.value)


def test_first_probes_are_never_lost():
    """Two hundred builds in a row: the first probe of each is answered at the first attempt."""
    topology = load(find("bridge-walkthrough"))
    attempts = []
    for _ in range(200):
        with Lab(topology) as lab:
            attempts.append(lab.sandbox("ns01").ping("10.40.80.12").attempts)

    assert attempts == [1] * 200


@pytest.mark.parametrize(
    ("sender", "address"),
    [("node/ns01", "2001:db8:40::12"), ("node/ns01", "2001:db8:40::1"), ("node", "2001:4860:4860::8888")],
)
def test_first_probes_of_ipv6_are_never_lost(sender, address):
    """Neighbour, gateway, and a loopback behind a router: all are found and answer at the first attempt.

    What is lost at first the kernel asks for again after a second, which is longer than is waited for.
    """
    topology = load(find("bridge-walkthrough"))
    attempts = []
    for _ in range(50):
        with Lab(topology) as lab:
            attempts.append(lab.place(sender).ping(address, wait=0.9).attempts)

    assert attempts == [1] * 50


def test_link_local_addresses_of_routers_are_usable_at_once():
    """They are those that the kernel forms, once each, and nobody checks them for duplicates any more."""
    with Lab(load(find("bridge-walkthrough"))) as lab:
        for name, links in {"node": ("br01", "ens33"), "router": ("lan0", "wan0"), "internet": ("eth0",)}.items():
            found = [row for row in lab.host(name).addresses if row.link in links and row.scope == "link"]

            assert sorted(row.link for row in found) == sorted(links)
            assert [row.address for row in found] == [of_mac(lab.host(name).link(row.link).mac) for row in found]
            assert not any(row.tentative for row in found)


def test_readiness_by_events_works_too(monkeypatch):
    """Where nothing makes links ready at once (before Linux 6.8) they are waited for, and no first probe is lost."""
    monkeypatch.setattr(features, "flush_makes_ready", lambda: False)
    whole = plan(load(find("bridge-walkthrough")))
    without_flushing = dataclasses.replace(whole, steps=tuple(s for s in whole.steps if not isinstance(s, Ready)))
    attempts = []
    for _ in range(10):
        with Lab(without_flushing) as lab:
            attempts.append(lab.sandbox("ns01").ping("10.40.80.12").attempts)

    assert attempts == [1] * 10
