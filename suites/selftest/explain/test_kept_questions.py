"""Senders that never know the next hop's MAC: a rule drops their questions, or the answers; no answer of ours helps."""

from __future__ import annotations

import socket
import time

import pytest
from cnitest.suites.selftest.explain.ways import WAYS, Words

from cnitest import Lab, Verdict
from cnitest.deadline import Deadline
from cnitest.kernel.tracing import trace
from cnitest.lab.probe.kinds.echo import EchoProbe
from cnitest.lab.probe.verdict import holding, watching
from cnitest.lab.probe.verdict.neighbour import question
from cnitest.topology import loads

SOLICITATION = "-p icmpv6 --icmpv6-type neighbour-solicitation -j DROP"
NETDEV = "add table netdev f; add chain netdev f o { type filter hook egress device eth1 priority 0; }"
ADVERTISEMENT = "-p icmpv6 --icmpv6-type neighbour-advertisement -j DROP"
INGRESS = "add table netdev f; add chain netdev f i { type filter hook ingress device eth1 priority 0; }"
# One byte takes a millisecond: what comes after a full bucket waits.
SLOW = (
    "ip link add ifb0 type ifb; ip link set ifb0 up; tc qdisc add dev ifb0 root tbf rate 8kbit burst 1600 limit 9000; "
    "tc qdisc add dev eth1 ingress; "
    "tc filter add dev eth1 parent ffff: protocol all u32 match u32 0 0 action mirred egress redirect dev ifb0"
)
# Who was asked asks back after five seconds (delay_first_probe_time), and whom it asks then knows its MAC: not for now.
NOBODY_ASKS_BACK = 'for each in /proc/sys/net/ipv*/neigh/*/delay_first_probe_time; do echo 600 > "$each"; done'
KEPT = [
    (4, "client", "arptables -A OUTPUT -j DROP", "arp filter OUTPUT rule 1"),
    (
        4,
        "client",
        "nft 'add table arp f; add chain arp f o { type filter hook output priority 0; policy drop; }'",
        "arp",
    ),
    (4, "client", f"nft '{NETDEV}; add rule netdev f o ether type arp drop'", "netdev f o rule 1"),
    (4, "r1", "arptables -A OUTPUT -j DROP", "arp filter OUTPUT rule 1"),
    (6, "client", f"ip6tables -A OUTPUT {SOLICITATION}", "ip6 filter OUTPUT rule 1"),
    (6, "r1", f"ip6tables -A OUTPUT {SOLICITATION}", "ip6 filter OUTPUT rule 1"),
    (6, "r1", f"ip6tables -A INPUT {ADVERTISEMENT}", "ip6 filter INPUT rule 1"),
    (4, "client", "arptables -A INPUT --opcode 2 -j DROP", "arp filter INPUT rule 1"),
    (4, "r1", "arptables -P INPUT DROP", "arp filter INPUT policy"),
    (4, "client", f"nft '{INGRESS}; add rule netdev f i arp operation reply drop'", "netdev f i rule 1"),
    (6, "client", f"ip6tables -A INPUT {ADVERTISEMENT}", "ip6 filter INPUT rule 1"),
    (6, "client", "ip6tables -A INPUT -m state --state ESTABLISHED -j ACCEPT; ip6tables -P INPUT DROP", "ip6 filter"),
]


@pytest.mark.parametrize("probe", ["ping", "tcp", "udp"])
@pytest.mark.parametrize(("family", "place", "rule", "dropped_by"), KEPT)
def test_a_question_that_is_kept_back_is_a_drop(
    family: int, place: str, rule: str, dropped_by: str, probe: str
) -> None:
    """Who may not ask for a next hop that would answer has dropped the packet; the rule is named, and its remedy."""
    words = Words(family)
    arguments = (words("{S}"),) if probe == "ping" else (words("{S}"), 4711)
    with Lab(loads(WAYS)) as lab:
        client, where = lab.place("client"), lab.place(place)
        for each in lab.places:
            each.run(["sh", "-ec", NOBODY_ASKS_BACK])
        assert getattr(client, probe)(*arguments)
        where.run(["sh", "-ec", f"{rule}; ip neigh flush all; ip -6 neigh flush all"])

        reach = getattr(client, probe)(*arguments)

        assert reach.verdict is Verdict.DROPPED, reach.reason
        assert (reach.cause.id, reach.cause.place) == ("firewall.neighbour", place), reach.explanation
        assert dropped_by in reach.dropped_by
        where.run(["sh", "-ec", reach.cause.remedy])
        assert getattr(client, probe)(*arguments)


FOREIGN = [
    (4, "sysctl -qw net.ipv4.conf.all.arp_ignore=2", "l2.arp-ignore"),
    (4, "arptables -A INPUT -s {7.77} -j DROP", "firewall.neighbour"),
    (6, f"ip6tables -A INPUT -s {{7.77}} {SOLICITATION}", "firewall.neighbour"),
]


@pytest.mark.parametrize("probe", ["ping", "tcp", "udp"])
@pytest.mark.parametrize(("family", "rule", "cause"), FOREIGN)
def test_a_question_that_is_answered_from_other_addresses_alone_is_a_drop(
    family: int, rule: str, cause: str, probe: str
) -> None:
    """The kernel asks from the packet's own source, and so do we in its stead: from another we would have helped it."""
    words = Words(family)
    arguments = (words("{S}"),) if probe == "ping" else (words("{S}"), 4711)
    with Lab(loads(WAYS)) as lab:
        client, router = lab.place("client"), lab.place("r1")
        for each in lab.places:
            each.run(["sh", "-ec", NOBODY_ASKS_BACK])
        router.run(["sh", "-ec", words("{ip} route add {7.77} via {1.1}")])
        link = "lo" if family == 4 else "eth1 nodad"  # IPv6 asks from an address of that link alone
        client.run(["sh", "-ec", words(f"{{ip}} address add {{7.77}}/{{128}} dev {link}")])
        assert getattr(client, probe)(*arguments, source=words("{7.77}"))
        router.run(["sh", "-ec", words(rule)])
        client.run(["sh", "-ec", "ip neigh flush all; ip -6 neigh flush all"])

        reach = getattr(client, probe)(*arguments, source=words("{7.77}"))

        assert reach.verdict is Verdict.DROPPED, reach.reason
        assert words("client asked from {7.77} who has {1.2} on eth1, and nobody answers") in reach.reason
        assert (reach.cause.id, reach.cause.place) == (cause, "r1"), str(reach.explanation)
        router.run(["sh", "-ec", reach.cause.remedy])
        assert getattr(client, probe)(*arguments, source=words("{7.77}"))


@pytest.mark.parametrize("probe", ["ping", "tcp", "udp"])
@pytest.mark.parametrize("family", [4, 6])
def test_a_sender_that_has_given_up_asking_kept_its_question_all_the_same(
    family: int, probe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's own word that nobody answered is no packet that left, nor does it count that we are answered: on a
    busy machine an attempt takes longer than the kernel asks."""
    _, rule, _ = FOREIGN[0] if family == 4 else FOREIGN[-1]
    words = Words(family)
    arguments = (words("{S}"),) if probe == "ping" else (words("{S}"), 4711)
    monkeypatch.setattr(watching, "nothing_waits", lambda *_, **__: False)
    monkeypatch.setattr(trace, "armed", lambda: None)
    with Lab(loads(WAYS)) as lab:
        client, router = lab.place("client"), lab.place("r1")
        for each in lab.places:
            each.run(["sh", "-ec", NOBODY_ASKS_BACK])
        link = "lo" if family == 4 else "eth1 nodad"
        client.run(["sh", "-ec", words(f"{{ip}} address add {{7.77}}/{{128}} dev {link}")])
        client.run(["sh", "-ec", f"echo 50 > /proc/sys/net/ipv{family}/neigh/eth1/retrans_time_ms"])
        router.run(["sh", "-ec", words(rule)])

        reach = getattr(client, probe)(*arguments, source=words("{7.77}"), wait=0.4)

        assert reach.verdict is Verdict.DROPPED, reach.reason
        assert words("client asked from {7.77} who has {1.2} on eth1, and nobody answers") in reach.reason


def test_a_matrix_teaches_no_sender_a_mac_that_it_cannot_ask_for() -> None:
    """Its questions are answered, since they come from an address of the subnet; its senders are not helped by that."""
    with Lab(loads(WAYS)) as lab:
        client, router = lab.place("client"), lab.place("r1")
        client.run(
            ["sh", "-ec", "ip address add 10.0.7.77/32 dev lo; ip route replace 10.0.1.0/24 dev eth1 src 10.0.7.77"]
        )
        router.run(["sh", "-ec", "ip route add 10.0.7.77 via 10.0.1.1; sysctl -qw net.ipv4.conf.all.arp_ignore=2"])

        matrix = lab.reachability(["client"], ("icmp", "tcp:80", "udp:53"), to=["r1"])

        assert [reach.verdict for reach in matrix.cells.values()] == [Verdict.DROPPED] * 3, str(matrix)


@pytest.mark.parametrize(
    ("chain", "says"),
    [
        ("OUTPUT", "client was not seen to ask who has 10.0.1.2 on eth1, who would answer"),
        ("INPUT", "client asked who has 10.0.1.2 on eth1, and does not take the answer"),
    ],
)
def test_why_a_sender_does_not_know_the_mac_is_told(chain: str, says: str) -> None:
    """The reason says that the packet never left for want of a question, or since its answer was not taken."""
    with Lab(loads(WAYS)) as lab:
        client = lab.place("client")
        client.run(["arptables", "-A", chain, "-j", "DROP"])

        reach = client.ping("10.0.1.2")

        assert f"it never left: {says}" in reach.reason


COLLECTED = [
    ("INPUT", "it never left: client asked who has 10.0.1.2 on eth1, and does not take the answer"),
    ("OUTPUT", ""),
]


@pytest.mark.parametrize(("chain", "says"), COLLECTED)
def test_an_entry_that_the_kernel_has_collected_is_no_mac(chain: str, says: str) -> None:
    """Where tables are large the kernel deletes what nobody answered for. Who asked in vain asked in vain all the same;
    of who was never seen to ask, nothing shows that it wanted to."""
    with Lab(loads(WAYS)) as lab:
        client, since = lab.place("client"), time.time_ns()
        lab.sniffer(client)
        client.run(["arptables", "-A", chain, "-j", "DROP"])
        assert not client.ping("10.0.1.2")
        client.run(["ip", "neigh", "flush", "all"])

        assert holding.keeps_back(client, "eth1", "10.0.1.2", since, 0.15) == says


def test_a_mac_that_somebody_has_set_is_known() -> None:
    """A permanent entry is one that the kernel never asks for."""
    with Lab(loads(WAYS)) as lab:
        client, since = lab.place("client"), time.time_ns()
        assert client.ping("10.0.1.2")
        client.run(
            ["ip", "neigh", "replace", "10.0.1.2", "lladdr", "02:00:00:00:00:01", "dev", "eth1", "nud", "permanent"]
        )

        assert holding.keeps_back(client, "eth1", "10.0.1.2", since, 0.15) == ""


@pytest.mark.requires(kernel="ifb")
def test_an_answer_that_waits_is_not_refused() -> None:
    """An answer that was seen to come in, and rests in a queue behind that, may be taken later."""
    with Lab(loads(WAYS)) as lab:
        client, router = lab.place("client"), lab.place("r1")
        assert client.ping("10.0.1.2")
        client.run(["sh", "-ec", SLOW])
        with router.namespace.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as filler:
            for _ in range(3):
                filler.sendto(bytes(1000), ("10.0.1.1", 9))
        client.run(["ip", "neigh", "flush", "all"])
        sniffer, since = lab.sniffer(client), time.time_ns()
        with client.namespace.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sender:
            sender.sendto(b"", ("10.0.1.2", 9))
        asked = question(client.link("eth1"), client.addresses, "10.0.1.2")
        answer = Deadline.after(5, "the answer at client:eth1")
        answer.poll(lambda: any(asked.answered_by(frame) for frame in sniffer.since(0) if frame.when >= since))

        assert holding.keeps_back(client, "eth1", "10.0.1.2", since, 0.15) == ""


@pytest.mark.parametrize("probe", ["ping", "tcp", "udp"])
@pytest.mark.parametrize("place", ["client", "r1"])
@pytest.mark.parametrize("family", [4, 6])
def test_a_queue_that_takes_no_question_is_named(family: int, place: str, probe: str) -> None:
    """Where a place's own queue drops its questions for the next hop, and ours with them, that queue is the cause."""
    words, link = Words(family), {"client": "eth1", "r1": "eth3"}[place]
    arguments = (words("{S}"),) if probe == "ping" else (words("{S}"), 4711)
    with Lab(loads(WAYS)) as lab:
        client, where = lab.place("client"), lab.place(place)
        where.run(
            ["sh", "-ec", f"tc qdisc add dev {link} root pfifo limit 0; ip neigh flush all; ip -6 neigh flush all"]
        )

        reach = getattr(client, probe)(*arguments)

        cause = reach.explanation.cause
        assert cause is not None, reach.explanation
        assert (cause.id, cause.place) == ("limits.qdisc", place), reach.explanation
        where.run(["sh", "-ec", cause.remedy])
        assert getattr(client, probe)(*arguments)


def test_a_blind_lab_explains_nothing() -> None:
    """Where probes see nothing, no cause is found, and it is said why."""
    with Lab(loads(WAYS), blind=True) as lab:
        explanation = lab.place("client").ping("10.0.1.2").explanation

        assert explanation.cause is None
        assert explanation.unseen == ("everything: the lab is blind",)


def test_an_answer_that_is_owed_to_a_question_of_ours_is_not_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt while which we asked in a place's stead is no proof that the place would have got there by itself."""

    def asks_instead(lab: Lab, *arguments: object, **_: object) -> bool:
        router = lab.place("r1")
        asked = question(router.link("eth3"), router.addresses, "10.0.3.3")
        arguments[2].append(holding.AskedInstead(router, "eth3", asked, unseen=True))
        return False

    with Lab(loads(WAYS)) as lab:
        client = lab.place("client")
        lab.place("server").run(["iptables", "-P", "INPUT", "DROP"])
        probe = EchoProbe(client, "10.0.9.9")
        sniffers = dict(zip(lab.places, lab.sniffers(lab.places), strict=True))
        monkeypatch.setattr(trace, "armed", lambda: None)
        alone, _ = watching.watched_attempt(probe, sniffers, 0.1, None, may_end_early=True)
        monkeypatch.setattr(watching, "nothing_waits", asks_instead)
        helped, _ = watching.watched_attempt(probe, sniffers, 0.1, None, may_end_early=True)

        assert (alone.helped, helped.helped) == (False, True)
