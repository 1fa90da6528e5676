"""ipvlan by traffic: one MAC for all, what each mode lets through, and which chains of the host see it."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.lan_networks import ready_sandbox, static
from cnitest.suites.plugins.seen import source

from cnitest import PluginError, ProbeUnproven
from cnitest.topology import loads

LAN = loads("""
name: ipvlan-lan
hosts:
  node: {}
  peer:
    routes: [10.66.0.0/16 via 192.168.80.101, fd66::/32 via 2001:db8:80::101]
switches: {lan: {}}
veths:
  - ends: [{at: node, name: ens33, addresses: [192.168.80.101/24, "2001:db8:80::101/64"]}, {at: lan}]
  - ends: [{at: peer, name: ens33, addresses: [192.168.80.102/24, "2001:db8:80::102/64"]}, {at: lan}]
""")
pytestmark = [pytest.mark.topology(LAN), pytest.mark.requires(kernel=["ipvlan"], plugin=["ipvlan", "static"])]

FAMILY = pytest.mark.parametrize("family", [4, 6])
MODE = pytest.mark.parametrize("mode", ["l2", "l3", "l3s"])
ROUTED = pytest.mark.parametrize("mode", ["l3", "l3s"])
NODE = {4: "192.168.80.101", 6: "2001:db8:80::101"}
PEER = {4: "192.168.80.102", 6: "2001:db8:80::102"}
#: In mode l2 containers are of the LAN's subnet; in the others of one of their own, behind the node.
ON_LAN = {4: ("192.168.80.120/24", "192.168.80.121/24"), 6: ("2001:db8:80::120/64", "2001:db8:80::121/64")}
BEHIND = {4: ("10.66.1.5/24", "10.66.2.5/24"), 6: ("fd66:0:0:1::5/64", "fd66:0:0:2::5/64")}
DEFAULT = {4: "0.0.0.0/0", 6: "::/0"}


def network(*addresses, mode="l2", name="lan", **keys):
    """An ipvlan network that gives these addresses; in the modes that route everything leaves by the interface."""
    families = {6 if ":" in address else 4 for address in addresses}
    routes = {} if mode == "l2" else {"routes": [{"dst": DEFAULT[family]} for family in sorted(families)]}
    own = {"type": "ipvlan", "master": "ens33", "mode": mode, "ipam": static(*addresses, **routes)}
    return {"cniVersion": "1.0.0", "name": name, **own, **keys}


def addresses(mode, family):
    """The addresses that two containers may have in a mode."""
    return (ON_LAN if mode == "l2" else BEHIND)[family]


def attach(cni, node, mode, family, number=0, **keys):
    """The first or second container of a mode."""
    wanted = network(addresses(mode, family)[number], mode=mode, name=f"net{number}", **keys)
    return cni.add(ready_sandbox(node, f"c{number}"), wanted)


@MODE
@FAMILY
@pytest.mark.covers("ipvlan.mode", "kernel", "packet")
@pytest.mark.covers("ipvlan.ipam", "kernel", "packet")
@pytest.mark.covers("ipvlan.master", "kernel", "packet")
def test_a_child_reaches_the_lan(node, peer, cni, mode, family):
    """In each mode the child has its address and reaches the LAN under it, and is reached from there."""
    child = attach(cni, node, mode, family).sandbox
    address = addresses(mode, family)[0].partition("/")[0]

    link = child.link("eth0")
    assert (link.kind, dict(link.detail)["mode"], link.up) == ("ipvlan", mode, True)
    assert child.addresses_on("eth0") == (address,)
    assert source(child.ping(PEER[family])) == address
    assert source(child.tcp(PEER[family], 80)) == address
    assert source(peer.udp(address, 53)) == PEER[family]


@pytest.mark.covers("ipvlan", "kernel", "packet")
def test_dual_stack(node, peer, cni):
    """One child with an address of each family, both of which work."""
    attachment = cni.add(ready_sandbox(node, "c1"), network(ON_LAN[4][0], ON_LAN[6][0]))

    assert attachment.addresses == ("192.168.80.120", "2001:db8:80::120")
    assert source(attachment.sandbox.ping(PEER[4])) == "192.168.80.120"
    assert source(attachment.sandbox.ping(PEER[6])) == "2001:db8:80::120"


@MODE
@pytest.mark.covers("ipvlan", "kernel", "packet")
def test_all_have_the_parents_mac(node, peer, cni, mode):
    """Children have their parent's MAC, on their links, in the result, and in what the LAN sees of them."""
    first, second = (attach(cni, node, mode, 4, number) for number in (0, 1))
    with peer.capture("ens33") as wire:
        assert first.sandbox.ping(PEER[4])
        assert second.sandbox.ping(PEER[4])

    mac = node.link("ens33").mac
    assert {first.sandbox.link("eth0").mac, second.sandbox.link("eth0").mac} == {mac}
    assert {interface.mac for interface in first.result.interfaces} == {mac}
    requests = wire.matching("ICMP", type="echo-request")
    assert {(packet.src, packet["IP"].src) for packet in requests} == {(mac, first.address), (mac, second.address)}


@FAMILY
@pytest.mark.covers("ipvlan.mode", "packet")
def test_in_l2_the_child_answers_for_its_address(node, peer, cni, family):
    """In mode l2 the child answers ARP and neighbour discovery for itself, by the one MAC."""
    address = attach(cni, node, "l2", family).address

    assert peer.arp(address, on="ens33")
    assert peer.ping(address)
    assert [row.mac for row in peer.neighbours if row.ip == address] == [node.link("ens33").mac]


@ROUTED
@FAMILY
@pytest.mark.covers("ipvlan.mode", "packet")
def test_in_routing_modes_nobody_answers_for_the_child(node, peer, cni, mode, family):
    """In the modes l3 and l3s nobody on the LAN finds the child by ARP or neighbour discovery: it is reached by a
    route through the node alone."""
    address = attach(cni, node, mode, family).address
    routed = peer.ping(address)
    prefix = f"{address}/{32 if family == 4 else 128}"
    peer.run(["ip", f"-{family}", "route", "add", prefix, "dev", "ens33"])

    assert routed
    assert not peer.arp(address, on="ens33")
    assert not peer.ping(address)


@ROUTED
@pytest.mark.covers("ipvlan.mode", "kernel", "packet")
def test_in_routing_modes_the_child_asks_nobody(node, cni, mode):
    """A child that routes has no ARP: it asks nothing, and what it sends has the node's neighbours."""
    child = attach(cni, node, mode, 4).sandbox
    with child.capture("eth0") as own:
        reach = child.ping(PEER[4])

    assert reach
    assert "NOARP" in child.link("eth0").flags
    assert own.matching("ARP") == []
    assert PEER[4] in [row.ip for row in node.neighbours]


@pytest.mark.parametrize(("mode", "family"), [("l2", 4), ("l2", 6), ("l3", 4), ("l3s", 4)])
@pytest.mark.covers("ipvlan.mode", "packet")
def test_host_and_child_do_not_reach_each_other(node, cni, mode, family):
    """The host and its children are apart in each mode, while both reach the LAN."""
    attachment = attach(cni, node, mode, family)
    address = attachment.address

    assert attachment.sandbox.ping(PEER[family])
    assert node.ping(PEER[family])
    assert _unanswered(lambda: attachment.sandbox.ping(NODE[family]))
    if mode == "l2":
        assert _unanswered(lambda: node.ping(address))


@pytest.mark.parametrize(("mode", "family"), [("l2", 4), ("l3", 4), ("l3", 6), ("l3s", 4)])
@pytest.mark.covers("ipvlan.mode", "packet")
def test_siblings_reach_each_other_inside(node, peer, cni, mode, family):
    """Children of one parent reach each other, in routing modes across subnets, and the LAN sees nothing of it."""
    first, second = (attach(cni, node, mode, family, number) for number in (0, 1))
    with peer.capture("ens33") as wire:
        reach = first.sandbox.ping(second.address)
        back = second.sandbox.tcp(first.address, 80)

    assert source(reach) == first.address
    assert source(back) == second.address
    assert [packet for packet in wire.packets if _is_between(packet, first.address, second.address)] == []


@pytest.mark.parametrize(
    ("mode", "family", "seen"),
    [
        ("l2", 4, []),
        ("l3", 4, ["OUTPUT"]),
        ("l3", 6, ["OUTPUT"]),
        ("l3s", 4, ["INPUT", "OUTPUT"]),
        ("l3s", 6, ["INPUT", "OUTPUT"]),
    ],
)
@pytest.mark.requires(binary=["iptables", "ip6tables"])
@pytest.mark.covers("ipvlan.mode", "packet")
def test_which_chains_of_the_host_see_the_child(node, cni, mode, family, seen):
    """No chain of the host sees a child of mode l2; what leaves one of mode l3 passes OUTPUT, and what comes to one
    of mode l3s INPUT, too. FORWARD sees none."""
    child = attach(cni, node, mode, family).sandbox
    before = child.ping(PEER[family])
    lost = []
    for chain in ("FORWARD", "INPUT", "OUTPUT"):
        program, lines = _dropping_echo(family, chain)
        node.load_rules(program, *lines)
        if _unanswered(lambda: child.ping(PEER[family])):
            lost.append(chain)
        node.load_rules(program, f"-F {chain}")

    assert before
    assert lost == seen


@pytest.mark.covers("ipvlan.mode", "packet")
def test_the_mode_is_l2_unless_said(node, peer, cni):
    """Without mode, and with an empty one, the child is of mode l2."""
    wanted = network(ON_LAN[4][0])
    del wanted["mode"]
    first = cni.add(node.sandbox("c1"), wanted)
    second = cni.add(node.sandbox("c2"), {**network(ON_LAN[4][1]), "mode": "", "name": "second"})

    assert {dict(one.sandbox.link("eth0").detail)["mode"] for one in (first, second)} == {"l2"}
    assert peer.arp(first.address, on="ens33")
    assert peer.arp(second.address, on="ens33")


@pytest.mark.covers("ipvlan.mode", "packet")
def test_another_mode_leaves_those_there_are_alone(node, peer, cni):
    """All children of a parent have one mode: a network of another mode must not change that of those there are."""
    first = attach(cni, node, "l2", 4)
    before = peer.arp(first.address, on="ens33")
    _try_to_add(cni, node, network(BEHIND[4][1], mode="l3", name="other"))
    peer.run(["ip", "neighbour", "flush", "dev", "ens33"])

    assert before
    assert dict(first.sandbox.link("eth0").detail)["mode"] == "l2"
    assert peer.arp(first.address, on="ens33")


@pytest.mark.covers("ipvlan", "packet")
def test_the_lan_is_told_of_the_child(node, peer, cni):
    """ADD announces the address in mode l2: the LAN sees who has it before anybody asks (arp_notify)."""
    with peer.capture("ens33") as wire:
        attachment = attach(cni, node, "l2", 4)
        reported = wire.wait_for("ARP", psrc=attachment.address, pdst=attachment.address)

    assert reported.src == node.link("ens33").mac


def _try_to_add(cni, node, wanted):
    """ADD that may be rejected: what is asked is what it does to others."""
    try:
        cni.add(node.sandbox("c9"), wanted)
    except PluginError:
        return


def _dropping_echo(family, chain):
    """A program and its lines that drop echo requests and replies, and nothing that finds neighbours."""
    if family == 4:
        return "iptables", [f"-A {chain} -p icmp -j DROP"]
    kinds = ("echo-request", "echo-reply")
    return "ip6tables", [f"-A {chain} -p icmpv6 --icmpv6-type {kind} -j DROP" for kind in kinds]


def _unanswered(probe):
    """Whether a probe got no answer: dropped, rejected on its way out (which the sender is reported in the modes that
    route), or with no neighbour that answers for the address."""
    try:
        return not probe()
    except ProbeUnproven:
        return True


def _is_between(packet, *ends):
    layer = packet.getlayer("IP") or packet.getlayer("IPv6")
    return layer is not None and layer.src in ends and layer.dst in ends
