"""Drops that the kernel was seen to do: where, why, and at once; what may only be late is never called dropped."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest import soonest
from cnitest.suites.selftest.soonest import INPUT, WAIT, ping, ping6, tcp, udp, until_at_once

from cnitest import Lab
from cnitest.kernel.tracing import trace
from cnitest.lab.reach import Freed, Reach, Verdict
from cnitest.topology import find, load

FIREWALL = ("NETFILTER_DROP", "nft_do_chain")
BRIDGE = "add table bridge t; add chain bridge t c {{ type filter hook {} priority filter; policy drop; }}"
NETDEV = 'add table netdev t; add chain netdev t c {{ type filter hook {} device "{}" priority 0; policy drop; }}'


lab = soonest.lab


@pytest.fixture(autouse=True)
def _traced():
    """All of this needs a trace."""
    soonest.traced()


def ping_router(lab: Lab) -> Reach:
    """From a sandbox to beyond its host."""
    return ping(lab, "192.168.80.2")


DROPS = {
    "on arrival": (ping, "node/ns02", INPUT, Freed(*FIREWALL, "node/ns02", "eth02")),
    "TCP on arrival": (tcp, "node/ns02", INPUT, Freed(*FIREWALL, "node/ns02", "eth02")),
    "UDP on arrival": (udp, "node/ns02", INPUT, Freed(*FIREWALL, "node/ns02", "eth02")),
    "IPv6 on arrival": (
        ping6,
        "node/ns02",
        "ip6tables -A INPUT -p icmpv6 --icmpv6-type echo-request -j DROP",
        Freed(*FIREWALL, "node/ns02", "eth02"),
    ),
    "legacy": (
        ping,
        "node/ns02",
        "iptables-legacy -P INPUT DROP",
        Freed("NETFILTER_DROP", "nf_hook_slow", "node/ns02", "eth02"),
    ),
    "forwarded": (ping_router, "node", "iptables -P FORWARD DROP", Freed(*FIREWALL, "node", "br01")),
    "the reply as it leaves": (
        ping,
        "node/ns02",
        "iptables -P OUTPUT DROP",
        Freed(*FIREWALL, "node/ns02", returning=True),
    ),
    "TCP's answer": (tcp, "node/ns02", "iptables -P OUTPUT DROP", Freed(*FIREWALL, "node/ns02", returning=True)),
    "UDP's answer": (udp, "node/ns02", "iptables -P OUTPUT DROP", Freed(*FIREWALL, "node/ns02", returning=True)),
    "the reply as it comes back": (ping, "node/ns01", INPUT, Freed(*FIREWALL, "node/ns01", "eth01", returning=True)),
    "UDP's answer as it comes back": (udp, "node/ns01", INPUT, Freed(*FIREWALL, "node/ns01", "eth01", returning=True)),
    "bridged": (ping, "node", ["nft", BRIDGE.format("forward")], Freed(*FIREWALL, "node", "veth01")),
    "ingress": (ping, "node", ["nft", NETDEV.format("ingress", "veth01")], Freed(*FIREWALL, "node", "veth01")),
    "egress": (ping, "node/ns01", ["nft", NETDEV.format("egress", "eth01")], Freed(*FIREWALL, "node/ns01")),
    "blackhole": (
        ping_router,
        "node",
        "ip route add blackhole 192.168.80.2",
        Freed("NOT_SPECIFIED", "ip_error", "node", "br01"),
    ),
    "port down": (
        ping,
        "node/ns02",
        "ip link set eth02 down",
        Freed("NO_TX_TARGET", "br_handle_frame_finish", "node", "veth01"),
    ),
}


@pytest.mark.parametrize(("probe", "place", "command", "freed"), DROPS.values(), ids=DROPS)
def test_a_drop_that_was_seen_is_reported_at_once(lab, probe, place, command, freed):
    """Which packet, why, by whom and where; without the silence that two attempts would have had to wait for."""
    lab.place(place).run(command if isinstance(command, list) else command.split())
    probe(lab)  # a young lab has IPv6 addresses to check first

    for reach in until_at_once(lambda: probe(lab), WAIT):
        assert reach.verdict is Verdict.DROPPED
        assert reach.freed == (freed,)

    assert (reach.attempts, "twice" in reach.reason) == (2, True)


def test_the_first_drop_of_a_process_is_reported_at_once(lab):
    """The trace is armed while nothing in the lab holds a packet any more, and sees the second attempt."""
    lab.place("node/ns02").run(INPUT.split())
    ping(lab)

    def first() -> Reach:
        trace.end()
        return ping(lab)

    for reach in until_at_once(first, WAIT):
        assert reach.verdict is Verdict.DROPPED

    assert reach.freed == (Freed(*FIREWALL, "node/ns02", "eth02"),)


def test_what_is_dropped_once_gets_through_the_second_time(lab):
    """The first drop of a rule that lets some through settles nothing."""
    nth = ["-m", "statistic", "--mode", "nth", "--every", "2", "--packet", "0"]
    lab.place("node/ns02").run(["iptables", "-A", "INPUT", "-p", "icmp", *nth, "-j", "DROP"])

    outcomes = [ping(lab) for _ in range(4)]

    assert all(outcomes)
    assert [reach.attempts for reach in outcomes] == [2] * 4


def test_a_blind_lab_reports_no_drop():
    """A blind lab's probe stays unproven, whatever the kernel would say."""
    with Lab(load(find("bridge-walkthrough")), blind=True) as lab:
        lab.place("node/ns02").run(INPUT.split())
        reach = ping(lab)

    assert reach.verdict is Verdict.UNPROVEN
    assert reach.freed == ()


def test_a_delivered_probe_has_nothing_freed(lab):
    """No row of a probe that was answered."""
    assert ping(lab).freed == ()
