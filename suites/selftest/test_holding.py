"""Drops where packets cannot be traced: told once nothing in the lab holds a packet, never while something may."""

from __future__ import annotations

import os
import sys
import time

import pytest
from cnitest.suites.selftest.test_freed import INPUT, RESPONDER, WAIT, ping, ping6, tcp, udp

from cnitest import Lab
from cnitest.kernel.tracing import backlogs, trace
from cnitest.lab.probe.verdict.holding import holders, nothing_waits, shapes
from cnitest.lab.reach import Verdict
from cnitest.topology import find, load

NS02 = "10.40.80.12"
QUEUE = "tc qdisc add dev veth02 root tbf"


@pytest.fixture(autouse=True)
def _untraced(monkeypatch):
    """No trace, as without root."""
    monkeypatch.setattr(trace, "begin", lambda: None)
    monkeypatch.setattr(trace, "armed", lambda: None)
    monkeypatch.setattr(trace, "is_decided", lambda: True)


@pytest.fixture
def lab():
    """Two sandboxes on a bridge, which know each other."""
    with Lab(load(find("bridge-walkthrough"))) as built:
        for address in (NS02, "2001:db8:40::12", "10.40.80.1"):
            assert built.place("node/ns01").ping(address)
        yield built


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
def test_a_drop_is_told_when_nothing_holds_a_packet(lab, probe, place, command):
    """Without the silence that two attempts would have had to wait for, and with the control that got through."""
    lab.place(place).run(command.split())
    probe(lab)  # a young lab has IPv6 addresses to check first

    began = time.monotonic()
    reach = probe(lab)
    took = time.monotonic() - began

    assert reach.verdict is Verdict.DROPPED
    assert (reach.attempts, "nothing on the way holds a packet" in reach.reason) == (2, True)
    assert reach.controls
    assert reach.freed == ()
    assert took < WAIT


@pytest.mark.parametrize("place", ["node", "node/ns02"], ids=["the request", "the reply"])
@pytest.mark.parametrize("probe", [ping, tcp, udp, ping6])
def test_what_waits_in_a_queue_is_not_dropped(lab, probe, place):
    """A packet that a slow link keeps back for a while is on its way, and gets there."""
    link = "veth02" if place == "node" else "eth02"
    lab.place(place).run(f"tc qdisc add dev {link} root tbf rate 16kbit burst 120 limit 10000".split())
    probe(lab)

    reach = probe(lab)

    assert reach


def test_what_waits_longer_than_anyone_is_not_dropped(lab):
    """Packets that are still in a queue when the time is up make it unproven, and say so."""
    lab.place("node").run(f"{QUEUE} rate 64bit burst 120 limit 10000".split())
    ping(lab)

    reach = ping(lab)

    assert reach.verdict is Verdict.UNPROVEN
    assert "in the queue of node:veth02: give it more time with wait=…" in reach.reason


@pytest.mark.parametrize("program", ["packet socket", "UDP socket"])
def test_an_answer_to_come_from_a_program_is_waited_for(lab, program):
    """A program that answers for a kernel, or that a datagram is for, has the time of the wait."""
    source, probe = (RESPONDER, ping) if program == "packet socket" else (RELAY, udp)
    if probe is ping:
        lab.place("node/ns02").run(INPUT.split())
    with lab.place("node/ns02").start([sys.executable, "-c", source], ready="ready"):
        reach = probe(lab)

    assert reach
    assert reach.attempts == 1


def test_who_asks_for_a_neighbour_holds_packets(lab):
    """A place that nobody answers ARP keeps what is for it, and is told."""
    lab.place("node/ns01").ping("10.40.80.99", wait=0.05)

    assert "a neighbour that node/ns01 asks for" in holders(lab)
    assert not nothing_waits(lab, "icmp")


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


RELAY = """
import socket, time
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind(("0.0.0.0", 53))
    print("ready", flush=True)
    while True:
        data, sender = server.recvfrom(2048)
        time.sleep(0.1)
        server.sendto(data, sender)
"""


def test_only_a_queue_of_its_own_shapes_a_link(lab):
    """The kernel's own queues hand on at once; one that was added may not, but for one that only filters."""
    node = lab.host("node")

    plain = shapes(lab)
    node.run(["tc", "qdisc", "add", "dev", "veth01", "clsact"])
    filtering = shapes(lab)
    node.run(["tc", "qdisc", "add", "dev", "veth01", "root", "tbf", "rate", "1mbit", "burst", "2k", "latency", "1s"])

    assert (plain, filtering, shapes(lab)) == (False, False, True)
