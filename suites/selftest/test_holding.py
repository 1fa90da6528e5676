"""Drops where packets cannot be traced: reported once nothing in the lab holds a packet, never while something may."""

from __future__ import annotations

import os
import socket

import pytest
from cnitest.suites.selftest import soonest
from cnitest.suites.selftest.explain.test_l2_macvlan import lan as macvlans
from cnitest.suites.selftest.soonest import INPUT, NS02, WAIT, ping, ping6, tcp, udp, until_at_once

from cnitest import Lab
from cnitest.deadline import Deadline
from cnitest.kernel.tracing import backlogs
from cnitest.lab.probe import wire
from cnitest.lab.probe.kinds.datagram import DatagramProbe
from cnitest.lab.probe.verdict import inquiry
from cnitest.lab.probe.verdict.holding import holders, nothing_waits, shapes
from cnitest.lab.probe.wire import ETH_EXPERIMENT
from cnitest.lab.reach import Verdict
from cnitest.topology import loads

QUEUE = "tc qdisc add dev veth02 root tbf"


lab = soonest.lab


@pytest.fixture(autouse=True)
def _untraced(monkeypatch):
    """No trace, as without root."""
    soonest.untraced(monkeypatch)


DROPS = {
    "the request": (ping, "node/ns02", INPUT),
    "the reply": (ping, "node/ns02", "iptables -P OUTPUT DROP"),
    "the reply at home": (ping, "node/ns01", INPUT),
    "TCP": (tcp, "node/ns02", INPUT),
    "UDP": (udp, "node/ns02", INPUT),
    "IPv6": (ping6, "node/ns02", "ip6tables -A INPUT -p icmpv6 --icmpv6-type echo-request -j DROP"),
    "ignored": (ping, "node/ns02", "sysctl -qw net.ipv4.icmp_echo_ignore_all=1"),
    "no way back": (ping, "node/ns02", "ip route add blackhole 10.40.80.11"),
}


@pytest.mark.parametrize(("probe", "place", "command"), DROPS.values(), ids=DROPS)
def test_a_drop_is_reported_when_nothing_holds_a_packet(lab, probe, place, command):
    """Without the silence that two attempts would have had to wait for, and with the control that got through."""
    lab.place(place).run(command.split())
    probe(lab)  # a young lab has IPv6 addresses to check first

    for reach in until_at_once(lambda: probe(lab), WAIT):
        assert reach.verdict is Verdict.DROPPED
        assert reach.controls
        assert reach.freed == ()

    assert (reach.attempts, "nothing on the way holds a packet" in reach.reason) == (2, True)


def test_what_waits_longer_than_anyone_is_not_dropped(lab):
    """Packets that are still in a queue when the time is up make it unproven, and say so."""
    lab.place("node").run(f"{QUEUE} rate 64bit burst 120 limit 10000".split())
    ping(lab)

    reach = ping(lab)

    assert reach.verdict is Verdict.UNPROVEN
    assert "in the queue of node:veth02: give it more time with wait=…" in reach.reason


IFB = (
    "ip link add ifb9 type ifb; ip link set ifb9 up; tc qdisc add dev veth01 clsact; "
    "tc filter add dev veth01 ingress protocol all u32 match u32 0 0 action mirred egress redirect dev ifb9; "
    "tc qdisc add dev ifb9 root tbf rate 8kbit burst 200 limit 10000"
)
OUTSIDE = (
    "ip netns add middle; ip link add v9 master br01 type veth peer name e9 netns middle; ip link set v9 up; "
    "ip -n middle addr add 10.40.80.9/24 dev e9; ip -n middle link set e9 up; "
    "ip netns exec middle tc qdisc add dev e9 root tbf rate 8kbit burst 120 limit 10000"
)


BRIEF = 0.03
BRIEF_PROBES = {
    "ICMP": lambda place: place.ping(NS02, wait=BRIEF),
    "TCP": lambda place: place.tcp(NS02, 80, wait=BRIEF),
    "UDP": lambda place: place.udp(NS02, 53, wait=BRIEF),
    "ICMPv6": lambda place: place.ping("2001:db8:40::12", wait=BRIEF),
    "TCP by IPv6": lambda place: place.tcp("2001:db8:40::12", 80, wait=BRIEF),
}


@pytest.mark.requires(kernel="ifb")
@pytest.mark.parametrize("probe", BRIEF_PROBES.values(), ids=BRIEF_PROBES)
def test_what_waits_where_nobody_looked_is_not_dropped(lab, probe):
    """An answer that is kept back elsewhere than where the probe was seen, such as in an ifb, is waited for."""
    lab.place("node").run(["sh", "-ec", IFB])

    reaches = [probe(lab.place("node/ns01")) for _ in range(4)]

    assert Verdict.DROPPED not in [reach.verdict for reach in reaches]


def test_what_waits_outside_of_the_lab_is_not_dropped(lab):
    """Nobody can look into a namespace that is no place: what went there has time to come back."""
    lab.place("node").run(["sh", "-ec", OUTSIDE])

    reaches = [lab.place("node/ns01").ping("10.40.80.9", wait=0.05) for _ in range(4)]

    assert "node:v9 leads out of the lab" in holders(lab)
    assert Verdict.DROPPED not in [reach.verdict for reach in reaches]


def test_who_comes_after_its_time_makes_silence_no_proof(lab, monkeypatch):
    """A request that arrives when nobody listens any more was late, also where nobody may say so."""
    monkeypatch.setattr(inquiry, "_LATE_RETRY", 0.05)
    lab.place("node/ns02").run(
        ["iptables", "-A", "OUTPUT", "-p", "icmp", "--icmp-type", "port-unreachable", "-j", "DROP"]
    )
    lab.place("node").run(f"{QUEUE} rate 8kbit burst 120 limit 10000".split())

    reaches = [BRIEF_PROBES["UDP"](lab.place("node/ns01")) for _ in range(4)]

    assert Verdict.DROPPED not in [reach.verdict for reach in reaches]


@pytest.mark.parametrize("probe", [BRIEF_PROBES["UDP"], lambda place: place.udp("2001:db8:40::12", 53, wait=BRIEF)])
def test_an_error_about_a_listener_that_has_gone_is_no_refusal(lab, probe, monkeypatch):
    """A datagram that arrives between the end of an attempt and our last look at its frames was late."""
    attempt, far = DatagramProbe.attempt_unless, lab.sniffer(lab.place("node/ns02"))
    lab.place("node").run(f"{QUEUE} rate 16kbit burst 200 limit 10000".split())
    lab.place("node/ns02").run(["sysctl", "-qw", "net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0"])
    errors = []

    def seen_to_be_late(self, gone, wait):
        began = far.count
        made = attempt(self, gone, wait)
        if not made.answered:
            error = Deadline.after(5, "a port unreachable from ns02")
            error.poll(lambda: any(wire.icmp_error(frame.data) for frame in far.since(began) if frame.out))
            errors.append(made)
        return made

    monkeypatch.setattr(DatagramProbe, "attempt_unless", seen_to_be_late)

    reaches = []
    Deadline.after(30, "a datagram that is late").poll(lambda: reaches.append(probe(lab.place("node/ns01"))) or errors)

    assert Verdict.DROPPED not in [reach.verdict for reach in reaches], reaches


@pytest.mark.parametrize("probe", BRIEF_PROBES.values(), ids=BRIEF_PROBES)
def test_a_drop_on_a_shaped_way_is_reported(lab, probe):
    """What shaping delays is waited for; what is dropped behind it is dropped all the same."""
    lab.place("node").run(f"{QUEUE} rate 1mbit burst 2000 latency 1s".split())
    lab.place("node/ns02").run(["iptables", "-P", "INPUT", "DROP"])
    lab.place("node/ns02").run(["ip6tables", "-A", "INPUT", "-s", "2001:db8:40::11", "-j", "DROP"])

    assert probe(lab.place("node/ns01")).verdict is Verdict.DROPPED


@pytest.mark.parametrize("address", ["10.40.80.99", "2001:db8:40::99"])
def test_who_asks_for_a_neighbour_holds_packets_while_somebody_may_answer(lab, address):
    """A place that nobody answers keeps what is for a neighbour, and is reported; it is asked for once more."""
    ns01 = lab.place("node/ns01")
    # Longer than the test takes: the kernel does not ask a second time by itself.
    ns01.sysctl(f"net.{'ipv6' if ':' in address else 'ipv4'}.neigh.eth01.retrans_time_ms", 60_000)
    ns01.namespace.run(lambda: _send(address))
    asks = "a neighbour that node/ns01 asks for" in holders(lab)
    unanswered = nothing_waits(lab, "icmp")
    _give(lab.place("node/ns02"), address)

    assert (asks, unanswered, nothing_waits(lab, "icmp")) == (True, True, False)


#: What drops the answers to a neighbour's questions.
DEAF = {
    "ipv4": "table arp t { chain c { type filter hook input priority 0; arp operation reply drop; }; }",
    "ipv6": "table ip6 t { chain c { type filter hook input priority 0; icmpv6 type nd-neighbor-advert drop; }; }",
}


@pytest.mark.requires(binary=["nft"])
@pytest.mark.parametrize("address", ["10.40.80.99", "2001:db8:40::99"])
def test_who_does_not_take_the_answer_holds_nothing_that_may_still_pass(lab, address):
    """What waits for a neighbour whose answers a place drops waits in vain."""
    ns01, family = lab.place("node/ns01"), "ipv6" if ":" in address else "ipv4"
    ns01.sysctl(f"net.{family}.neigh.eth01.mcast_solicit", 100)
    ns01.run(["nft", DEAF[family]])
    _give(lab.place("node/ns02"), address)

    ns01.namespace.run(lambda: _send(address))

    assert "a neighbour that node/ns01 asks for" in holders(lab)
    assert nothing_waits(lab, "icmp")


def _give(place, address):
    """Give a place an address that it answers for."""
    place.run(["ip", "addr", "add", address, "dev", "eth02", *["nodad"] * (":" in address)])
    if ":" in address:  # a worker of the kernel has it join the group that is asked
        joined = Deadline.after(5, "ns02 in the group of its new address")
        joined.poll(lambda: "01ff000099" in place.run(["cat", "/proc/net/igmp6"]).stdout)


def _send(address: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.sendto(b"", (address, 9))


@pytest.mark.parametrize("probe", ["ping", "tcp", "udp"])
@pytest.mark.parametrize("address", ["10.40.80.99", "2001:db8:40::99"])
def test_a_next_hop_that_answers_nobody_is_reported_at_once(lab, address, probe):
    """Neither the probe nor the controls wait for an answer that cannot come, and it is said who does not answer."""
    ask = getattr(lab.place("node/ns01"), probe)
    port = () if probe == "ping" else (53,)

    for reach in until_at_once(lambda: ask(address, *port, wait=WAIT), WAIT):
        assert reach.verdict is Verdict.DROPPED

    assert f"{address} does not answer" in reach.reason


@pytest.mark.requires(kernel="tap")
def test_links_that_wait_for_somebody_hold_packets(lab):
    """A tap hands packets to a program: no telling what becomes of them."""
    lab.place("node").run(["ip", "tuntap", "add", "name", "tap0", "mode", "tap"])

    assert list(holders(lab)) == ["node:tap0 is a tun link"]


def test_an_idle_lab_holds_nothing(lab):
    """Each processor handles what it has, and this thread may use the same ones as before."""
    before = os.sched_getaffinity(0)

    assert nothing_waits(lab, "icmp")
    assert backlogs.are_handled()
    assert os.sched_getaffinity(0) == before


def test_only_a_queue_of_its_own_shapes_a_link(lab):
    """The kernel's own queues hand on at once; one that was added may not, but for one that only filters."""
    node = lab.host("node")

    plain = shapes(lab)
    node.run(["tc", "qdisc", "add", "dev", "veth01", "clsact"])
    filtering = shapes(lab)
    node.run(["tc", "qdisc", "add", "dev", "veth01", "root", "tbf", "rate", "1mbit", "burst", "2k", "latency", "1s"])

    assert (plain, filtering, shapes(lab)) == (False, False, True)


@pytest.mark.parametrize("modes", [("bridge", "bridge"), ("private", "vepa")])
def test_what_has_come_to_a_parent_of_macvlans_is_handed_on_first(modes):
    """Broadcasts rest with the parent until a work queue of the kernel hands them on: where a frame of ours, sent after
    them, does not come out, they may still rest there."""
    with Lab(loads(macvlans(*modes))) as lab:
        assert nothing_waits(lab, "icmp")
        chain = f"type filter hook ingress device ens33 priority 0; ether type {ETH_EXPERIMENT} drop;"
        lab.place("node").run(["nft", f"table netdev quiet {{ chain c {{ {chain} }}; }}"])

        assert not nothing_waits(lab, "icmp")

        lab.place("node/a").run(["ip", "link", "set", "eth0", "down"])
        lab.place("node/b").run(["ip", "link", "set", "eth0", "down"])
        assert nothing_waits(lab, "icmp")
