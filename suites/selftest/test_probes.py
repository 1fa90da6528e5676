"""Verdicts that can be trusted: what is delivered, what is proved dropped, and what is neither."""

from __future__ import annotations

import time

import pytest

from cnitest import Lab, ProbeUnproven, Topology, Verdict
from cnitest.deadline import Deadline
from cnitest.topology import Bridge, Host, Macvlan, Route, Sandbox, Veth, VethEnd, find, load

SERVER = "import socket, time; s = socket.create_server((str(), 8080)); [s.accept() for _ in iter(int, 1)]"
NS01, NS02 = "10.40.80.11", "10.40.80.12"


@pytest.fixture
def lab():
    """Two sandboxes on a bridge, with a way to the internet."""
    with Lab(load(find("bridge-walkthrough"))) as built:
        yield built


@pytest.fixture
def ns01(lab):
    """The sender."""
    return lab.sandbox("ns01")


def test_a_delivered_probe_tells_all(ns01):
    """A delivered echo names who answered, the source that was seen, its time and the path it took."""
    reach = ns01.ping(NS02)

    assert reach.verdict is Verdict.DELIVERED
    assert (reach.source_seen, reach.answered_by, reach.attempts) == (NS01, NS02, 1)
    assert 0 < reach.rtt < 1
    assert reach.path == ("node/ns01:eth01 out", "node/ns02:eth02 in")
    assert reach.return_path == ("node/ns02:eth02 out", "node/ns01:eth01 in")
    assert reach.copies == 1
    assert [packet.haslayer("ICMP") for packet in reach.packets] == [1, 1, 1, 1]


@pytest.mark.parametrize("address", ["2001:db8:40::12", "2001:db8:40::1", "2001:4860:4860::8888"])
def test_ipv6_is_probed_like_ipv4(lab, ns01, address):
    """Echo, TCP and UDP over IPv6 are delivered on the link; the internet does not know the sandbox's prefix."""
    on_link = address.startswith("2001:db8:40:")

    assert bool(ns01.ping(address)) is on_link
    assert bool(ns01.tcp(address, 80)) is on_link
    assert bool(ns01.udp(address, 53)) is on_link


def test_two_probes_never_share_a_payload(ns01):
    """Each probe's payload is its own, so that a late answer to one is no answer to another."""
    payloads = {bytes(ns01.ping(NS02).packets[0]["ICMP"].payload) for _ in range(50)}

    assert len(payloads) == 50


def test_a_drop_is_proved_by_controls(lab, ns01):
    """A dropped echo names where it was last seen, and a control that got through."""
    lab.host("node").sysctl("net.bridge.bridge-nf-call-iptables", 1)
    lab.host("node").load_rules("iptables", "-P FORWARD DROP")
    reach = ns01.ping(NS02)

    assert reach.verdict is Verdict.DROPPED
    assert not reach
    assert reach.path == ("node/ns01:eth01 out", "node:veth01 in")
    assert reach.controls == ("10.40.80.12 answers ARP on node/ns01:eth01",)


def test_a_probe_without_a_route_is_unproven(ns01):
    """A probe that has no route was never sent: neither true nor false."""
    ns01.run(["ip", "route", "del", "default"])
    reach = ns01.ping("8.8.8.8")

    assert reach.verdict is Verdict.UNPROVEN
    with pytest.raises(ProbeUnproven, match="no route to 8.8.8.8"):
        bool(reach)


@pytest.mark.parametrize("probe", ["ping", "tcp", "udp"])
def test_a_dead_sender_proves_nothing(ns01, probe):
    """With the sender's link down every negative is unproven."""
    ns01.run(["ip", "link", "set", "eth01", "down"])
    reach = ns01.ping(NS02) if probe == "ping" else getattr(ns01, probe)(NS02, 80)

    with pytest.raises(ProbeUnproven):
        assert not reach


def test_a_sender_cut_off_at_the_other_end_proves_nothing(lab, ns01):
    """When the host's end of the wire is down nothing gets anywhere, the controls included."""
    lab.host("node").run(["ip", "link", "set", "veth01", "down"])

    with pytest.raises(ProbeUnproven):
        assert not ns01.ping(NS02)


def test_a_bridge_that_is_down_is_a_drop(lab, ns01):
    """Frames that reach the host's end of the wire and get no further are proved to be dropped there."""
    lab.host("node").run(["ip", "link", "set", "br01", "down"])
    reach = ns01.ping(NS02)

    assert not reach
    assert "marker frame from there arrived at node:veth01" in " ".join(reach.controls)


def test_a_firewall_at_the_far_end_is_a_drop(lab, ns01):
    """INPUT DROP in the receiver: the request is seen to arrive, and no answer comes."""
    lab.sandbox("ns02").load_rules("iptables", "-P INPUT DROP")

    for reach in (ns01.ping(NS02), ns01.tcp(NS02, 80), ns01.udp(NS02, 53)):
        assert not reach
        assert "node/ns02:eth02 in" in reach.path


@pytest.mark.parametrize("probe", ["ping", "tcp", "udp"])
def test_the_senders_own_firewall_is_a_drop(ns01, probe):
    """OUTPUT DROP in the sender is the kernel's own verdict on the packet, with the path behind it alive."""
    ns01.load_rules("iptables", f"-A OUTPUT -d {NS02} -j DROP")
    reach = ns01.ping(NS02) if probe == "ping" else getattr(ns01, probe)(NS02, 80)

    assert not reach
    assert "own firewall" in reach.reason


def test_a_rejected_connection_is_a_drop_at_once(lab, ns01):
    """A reset or an unreachable message is an answer: the verdict does not wait."""
    lab.sandbox("ns02").load_rules(
        "iptables", "-A INPUT -p tcp -j REJECT --reject-with tcp-reset", "-A INPUT -p udp -j REJECT"
    )

    for reach, words in ((ns01.tcp(NS02, 80), "refused"), (ns01.udp(NS02, 53), f"{NS02} answered: port unreachable")):
        assert not reach
        assert reach.attempts == 1
        assert words in reach.reason


@pytest.mark.parametrize("probe", ["ping", "tcp", "udp"])
def test_whoever_turns_a_probe_down_is_named(lab, ns01, probe):
    """An ICMP error that a router on the way sends is the reason, for each kind of probe, and none is needed twice."""
    lab.host("router").load_rules("iptables", "-A FORWARD -j REJECT --reject-with icmp-host-prohibited")
    lab.host("node").load_rules("iptables", "-t nat -A POSTROUTING -s 10.40.80.0/24 -j MASQUERADE")
    reach = ns01.ping("8.8.8.8") if probe == "ping" else getattr(ns01, probe)("8.8.8.8", 443)

    assert not reach
    assert reach.reason == "192.168.80.2 answered: host prohibited"


def test_a_redirect_is_no_refusal(ns01):
    """A router that tells of a shorter way has passed the packet on: it is delivered."""
    ns01.run(["ip", "route", "add", f"{NS02}/32", "via", "10.40.80.1"])

    assert ns01.ping(NS02)


def test_a_nat_that_changes_everything_is_seen_through(lab, ns01):
    """MASQUERADE with random identities and ports: the far end's view and the path are still known."""
    lab.host("node").load_rules("iptables", "-t nat -A POSTROUTING -s 10.40.80.0/24 -j MASQUERADE --random-fully")

    for reach in (ns01.ping("8.8.8.8"), ns01.tcp("8.8.8.8", 443), ns01.udp("8.8.8.8", 53)):
        assert reach.source_seen == "192.168.80.100"
        assert any(hop.startswith("internet:") for hop in reach.path)


def test_a_flood_does_not_hold_a_probe_up(lab, ns01):
    """While someone floods the link, a probe does not go on for as long as frames come: it costs little work."""
    flood = (
        f"import socket, time\ns = socket.socket(2, 2)\nend = time.monotonic() + 20\n"
        f"while time.monotonic() < end: s.sendto(b'x' * 1000, ('{NS02}', 9))"
    )
    ns01.run(["sh", "-c", f'setsid python3 -c "{flood}" >/dev/null 2>&1 </dev/null &'])
    began = time.process_time()
    ns01.arp(NS02)
    ns01.ping("10.40.80.99")

    assert time.process_time() - began < 5


def test_duplicate_address_detection_on_the_way_is_waited_for():
    """A router whose address is still checked for duplicates does not make a drop."""

    def wire(*names, net):
        ends = [
            VethEnd(at=name, name=f"net{net}", addresses=[f"2001:db8:{net}::{number}/64"], dad=name == "r")
            for number, name in enumerate(names, 1)
        ]
        return Veth(ends=ends)

    topology = Topology(
        name="dad",
        hosts={
            "a": Host(routes=[Route(to="2001:db8:2::/64", via="2001:db8:1::2")]),
            "r": Host(role="router"),
            "b": Host(routes=[Route(to="2001:db8:1::/64", via="2001:db8:2::1")]),
        },
        veths=[wire("a", "r", net=1), wire("r", "b", net=2)],
    )
    with Lab(topology) as lab:
        assert lab.host("a").ping("2001:db8:2::2")


def test_link_local_addresses_need_their_link(lab, ns01):
    """A link-local address is probed on the link it is given with, as soon as it is ready."""
    address = next(a.ip for a in lab.sandbox("ns02").addresses if a.scope == "link" and a.link == "eth02")

    assert ns01.ping(f"{address}%eth01")


def test_an_address_that_nobody_has_is_a_drop(ns01):
    """An address of the subnet that no one has: ARP for it is not answered, ARP for a neighbour is."""
    reach = ns01.ping("10.40.80.99")

    assert not reach
    assert "10.40.80.99 does not answer ARP" in reach.controls[0]


def test_isolated_ports_do_not_talk_but_reach_the_bridge():
    """Ports with ``isolated`` are cut off from each other only."""
    topology = two_on_a_bridge(isolated=True)
    with Lab(topology) as lab:
        assert not lab.sandbox("a").ping("192.0.2.2")
        assert lab.sandbox("a").ping("192.0.2.254")


def two_on_a_bridge(**end):
    """Two sandboxes, 192.0.2.1 and .2, on a bridge with .254."""
    return Topology(
        name="two",
        hosts={
            "h": Host(bridges={"br": Bridge(addresses=["192.0.2.254/24"])}, sandboxes={"a": Sandbox(), "b": Sandbox()})
        },
        veths=[
            Veth(
                ends=[
                    VethEnd(at="h", name=f"v{name}", bridge="br", **end),
                    VethEnd(at=f"h/{name}", name="eth0", addresses=[f"192.0.2.{number}/24"]),
                ]
            )
            for number, name in ((1, "a"), (2, "b"))
        ],
    )


def test_size_df_and_ttl_are_what_was_asked(lab, ns01):
    """Payload size, the don't-fragment bit and the hop limit are in the packet, and have their effects."""
    with ns01.capture("eth01") as wire:
        assert ns01.ping(NS02, size=1472, df=True, ttl=9)
        request = wire.matching("ICMP", type="echo-request")[0]

    assert (request["IP"].len, request["IP"].flags.DF, request["IP"].ttl) == (1500, 1, 9)
    assert not ns01.ping(NS02, size=1473, df=True)
    assert ns01.ping(NS02, size=4000)


@pytest.mark.parametrize("address", ["192.0.2.130", "2001:db8:2::2"])
def test_a_small_link_on_the_way_is_passed_in_parts(address):
    """A packet that a later link is too small for is fragmented, by the router or by its sender; not with df."""

    def wire(*names, net, mtu=None):
        ends = [
            VethEnd(
                at=name,
                name=f"net{net}",
                mtu=mtu,
                addresses=[f"192.0.2.{128 * (net - 1) + number}/25", f"2001:db8:{net}::{number}/64"],
            )
            for number, name in enumerate(names, 1)
        ]
        return Veth(ends=ends)

    routes = (
        [Route(via="192.0.2.2"), Route(via="2001:db8:1::2")],
        [Route(via="192.0.2.129"), Route(via="2001:db8:2::1")],
    )
    topology = Topology(
        name="small",
        hosts={"a": Host(routes=routes[0]), "r": Host(role="router"), "b": Host(routes=routes[1])},
        veths=[wire("a", "r", net=1), wire("r", "b", net=2, mtu=1300)],
    )
    with Lab(topology) as lab:
        a = lab.host("a")

        assert a.ping(address, size=1400)
        assert not a.ping(address, size=1400, df=True)


def test_a_spent_hop_limit_is_a_drop_that_names_the_router(lab, ns01):
    """A hop limit of one ends at the first router, and the verdict says so."""
    reach = ns01.ping("192.168.80.2", ttl=1)

    assert not reach
    assert reach.reason == "10.40.80.1 answered: time exceeded"


def test_tcp_finds_a_server_of_the_tests_own(lab, ns01):
    """A port that something listens on already is dialled as it is."""
    ns02 = lab.sandbox("ns02")
    ns02.run(["sh", "-c", f"setsid python3 -c '{SERVER}' >/dev/null 2>&1 </dev/null &"])
    deadline = Deadline.after(10, "the server to listen")
    while f":{8080:04X} " not in ns02.run(["cat", "/proc/net/tcp"]).stdout:
        deadline.check()
    with ns02.capture("eth02") as wire:
        reach = ns01.tcp(NS02, 8080)

    assert reach
    assert reach.answered_by == NS02
    assert wire.matching("TCP", dport=8080, flags="S")


def test_duplicate_address_detection_is_waited_for():
    """With ``dad`` an IPv6 address is not usable at once; the probe waits for it and is then delivered."""
    topology = Topology(
        name="dad",
        hosts={"a": Host(), "b": Host()},
        veths=[
            Veth(
                ends=[
                    VethEnd(at=name, name="eth0", addresses=[f"2001:db8::{number}/64"], dad=True)
                    for number, name in ((1, "a"), (2, "b"))
                ]
            )
        ],
    )
    with Lab(topology) as lab:
        tentative = [address.tentative for address in lab.host("b").addresses if address.ip == "2001:db8::2"]
        reach = lab.host("a").ping("2001:db8::2")

    assert tentative == [True]
    assert reach
    assert reach.attempts == 1


def test_an_answer_that_is_late_is_no_drop(lab, ns01):
    """An answer that a slow link holds back longer than the wait makes the verdict unproven, not dropped."""
    slow = ["tbf", "rate", "24kbit", "burst", "1600", "limit", "100000"]
    lab.host("node").run(["tc", "qdisc", "add", "dev", "veth01", "root", *slow])
    ns01.ping(NS02, size=1400, wait=3)  # uses up the burst
    reach = ns01.ping(NS02, size=1400, wait=0.05)

    assert reach.verdict is not Verdict.DROPPED
    assert reach.attempts > 1


def test_arp_tells_the_mac(lab, ns01):
    """Asking who has an address yields the MAC of the link that has it; IPv6 too."""
    mac = lab.sandbox("ns02").link("eth02").mac

    assert ns01.arp(NS02).answered_by == mac
    assert ns01.arp("2001:db8:40::12").answered_by == mac
    assert not ns01.arp("10.40.80.99")


def test_a_probe_goes_to_an_address(ns01):
    """A name is refused with a sentence, before anything is sent."""
    with pytest.raises(ValueError, match="'dns.google' is not an IP address"):
        ns01.ping("dns.google")


def test_a_stale_neighbour_entry_is_a_drop(lab, ns01):
    """A wrong permanent ARP entry sends frames to nobody: dropped, though ARP itself works."""
    ns01.run(["ip", "neigh", "replace", NS02, "lladdr", "02:00:00:00:00:99", "dev", "eth01"])

    assert not ns01.ping(NS02)


def test_blind_probes_prove_nothing():
    """In a blind lab neither ``assert reach`` nor ``assert not reach`` passes."""
    with Lab(load(find("bridge-walkthrough")), blind=True) as lab:
        for reach in (
            lab.sandbox("ns01").ping(NS02),
            lab.sandbox("ns01").tcp(NS02, 80),
            lab.sandbox("ns01").udp(NS02, 53),
            lab.sandbox("ns01").arp(NS02),
        ):
            assert reach.verdict is Verdict.UNPROVEN


def test_macvlan_children_declared_in_sandboxes():
    """A macvlan child in a sandbox on a parent of its host: private children do not talk, bridge ones do."""
    for mode, delivered in (("bridge", True), ("private", False)):
        topology = Topology(
            name="lan",
            hosts={
                "node": Host(
                    sandboxes={
                        name: Sandbox(
                            macvlans={"eth0": Macvlan(parent="node:up", mode=mode, addresses=[f"192.0.2.{n}/24"])}
                        )
                        for n, name in ((1, "a"), (2, "b"))
                    }
                ),
                "peer": Host(),
            },
            veths=[
                Veth(ends=[VethEnd(at="node", name="up"), VethEnd(at="peer", name="eth0", addresses=["192.0.2.9/24"])])
            ],
        )
        with Lab(topology) as lab:
            assert bool(lab.sandbox("a").ping("192.0.2.2")) is delivered
            assert lab.sandbox("a").ping("192.0.2.9")
