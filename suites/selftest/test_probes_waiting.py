"""What a probe waits for, and what it does not: addresses that are not ready, late answers, a busy link."""

from __future__ import annotations

from cnitest.suites.selftest import walkthrough
from cnitest.suites.selftest.walkthrough import NS02

from cnitest import Lab, Topology, Verdict
from cnitest.deadline import Deadline
from cnitest.topology import Host, Route, Veth, VethEnd

lab, ns01 = walkthrough.lab, walkthrough.ns01


def test_link_local_addresses_need_their_link(lab, ns01):
    """A link-local address is probed on the link it is given with, as soon as it is ready."""
    address = next(a.ip for a in lab.sandbox("ns02").addresses if a.scope == "link" and a.link == "eth02")

    assert ns01.ping(f"{address}%eth01")


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


def test_an_answer_that_is_late_is_no_drop(lab, ns01):
    """An answer that a slow link holds back longer than the wait makes the verdict unproven, not dropped."""
    slow = ["tbf", "rate", "24kbit", "burst", "1600", "limit", "100000"]
    lab.host("node").run(["tc", "qdisc", "add", "dev", "veth01", "root", *slow])
    reaches = []

    def is_late():
        ns01.ping(NS02, size=1400, wait=3)  # uses up the burst, which comes back in half a second
        reaches.append(ns01.ping(NS02, size=1400, wait=0.05))
        return reaches[-1].attempts > 1

    Deadline.after(60, "an answer that is late").poll(is_late)

    assert Verdict.DROPPED not in [reach.verdict for reach in reaches]


def test_a_flood_does_not_hold_a_probe_up(lab, ns01):
    """While someone floods the link, a probe does not go on for as long as frames come."""
    flood = f"import socket\ns = socket.socket(2, 2)\nwhile True: s.sendto(b'x' * 1000, ('{NS02}', 9))"
    with ns01.start(["timeout", "120", "python3", "-c", flood]) as flooding:
        ns01.arp(NS02)
        ns01.ping("10.40.80.99")

        assert flooding.running
