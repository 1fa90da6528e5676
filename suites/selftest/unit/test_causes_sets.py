"""Sets of ipset's and the words of rules, read without a kernel: which entry covers a packet, which condition holds."""

from __future__ import annotations

import shlex
from types import SimpleNamespace

import pytest

from cnitest.explain.causes import behind, drops, firewall, matching
from cnitest.explain.causes.sets import elements
from cnitest.explain.evidence.rows import MetRule
from cnitest.lab.probe import wire
from cnitest.lab.reach import Freed

TCP4 = wire.Headers(wire.ETH_IPV4, "10.1.2.3", "192.0.2.7", wire.TCP, source_port=40000, destination_port=80)
TCP6 = wire.Headers(wire.ETH_IPV6, "2001:db8::3", "2001:db8:1::7", wire.TCP, source_port=40000, destination_port=80)
SCTP = TCP4._replace(protocol=wire.SCTP, destination_port=2905)
ECHO = wire.Headers(wire.ETH_IPV4, "10.1.2.3", "192.0.2.7", wire.ICMP, kind=8)


def _step(rule, packet=TCP4):
    return MetRule(
        *("node", "iptables", "ip filter", "FORWARD", ("FORWARD",), "FORWARD", rule, "drop", 1),
        iif="br01",
        oif="eth0",
        packet=packet,
    )


def _case(step, lines):
    """A case whose place has these lines of an ipset save, and no other rules."""
    firewalls = {"node": {"ipset": lines}}
    known = {drops.__name__: firewalls, behind.__name__: {"node": {}}}
    place = SimpleNamespace(full_name="node")
    probe = SimpleNamespace(transport="tcp")
    return SimpleNamespace(
        steps=(step,),
        place=place,
        spot=SimpleNamespace(out=False),
        returning=False,
        answer=None,
        probe=probe,
        port=None,
        is_question=False,
        once=lambda read: known[read.__module__],
    )


@pytest.mark.parametrize(
    ("entries", "directions", "packet", "covering"),
    [
        (("10.9.0.0/16", "10.1.0.0/16"), "src", TCP4, "10.1.0.0/16"),
        (("10.1.2.3", "192.0.2.7"), "dst", TCP4, "192.0.2.7"),
        (("192.0.2.0-192.0.2.9",), "dst", TCP4, "192.0.2.0-192.0.2.9"),
        (("192.0.2.7,udp:53", "192.0.2.7,tcp:80"), "dst,dst", TCP4, "192.0.2.7,tcp:80"),
        (("10.1.2.3,br01",), "src,src", TCP4, "10.1.2.3,br01"),
        (("2001:db8::/64",), "src", TCP6, "2001:db8::/64"),
        (("2001:db8:9::80", "2001:db8:1::/64"), "dst", TCP6, "2001:db8:1::/64"),
        (("02:00:00:00:00:80", "192.0.2.7"), "dst", TCP4, "192.0.2.7"),
        (("70-79", "80-89"), "dst", TCP4, "80-89"),
        (("192.0.2.7,icmp:echo-reply", "192.0.2.7,icmp:echo-request"), "dst,dst", ECHO, "192.0.2.7,icmp:echo-request"),
        (("192.0.2.7,udp:2905", "192.0.2.7,sctp:2905"), "dst,dst", SCTP, "192.0.2.7,sctp:2905"),
        (("10.1.2.0/28 nomatch", "10.1.0.0/16"), "src", TCP4, "10.1.0.0/16"),
    ],
)
def test_the_entry_that_covers_the_packet_is_named(entries, directions, packet, covering):
    """Of the entries of a set it is that which has the packet in the directions of the rule; its remedy removes it."""
    rule = f"-A FORWARD -m set --match-set bad {directions} -j DROP"
    lines = ("create bad hash:ip", *(f"add bad {entry}" for entry in entries), "add other 0.0.0.0/0")

    found = elements.ipset(_case(_step(rule, packet), lines))

    assert found.words.endswith(f"(set bad has {covering})")
    assert found.remedy == f"ipset del bad {covering}"


def test_a_set_that_the_packet_is_not_in_is_named():
    """A rule that drops what is in no set names the set, and the remedy puts the packet's address in."""
    found = elements.ipset(_case(_step("-A FORWARD -m set ! --match-set good src -j DROP"), ("add good 192.0.2.1",)))

    assert found.words.endswith("(not in set good)")
    assert found.remedy == "ipset add good 10.1.2.3"


@pytest.mark.parametrize(
    ("created", "directions", "packet", "entry"),
    [
        ("hash:ip,port", "src,dst", TCP4, "10.1.2.3,tcp:80"),
        ("hash:ip,port,ip", "dst,dst,src", SCTP, "192.0.2.7,sctp:2905,10.1.2.3"),
        ("hash:net,iface", "src,src", TCP6, "2001:db8::3,br01"),
        ("bitmap:port", "dst", TCP4, "tcp:80"),
        ("hash:mac", "src", TCP4, ""),
    ],
)
def test_the_entry_that_a_set_lacks_has_what_its_type_asks_for(created, directions, packet, entry):
    """A set of addresses and ports takes both; of a MAC nothing is known."""
    rule = f"-A FORWARD -m set ! --match-set good {directions} -j DROP"

    found = elements.ipset(_case(_step(rule, packet), (f"create good {created} family inet",)))

    assert found.remedy == (f"ipset add good {entry}" if entry else f"iptables -D {rule.removeprefix('-A ')}")


@pytest.mark.parametrize(("verdict", "shown"), [("drop", "ends there"), ("accept", "has it")])
def test_the_trace_ends_at_a_rule_that_ends_the_packet_alone(verdict, shown):
    """A rule that writes into the packet, or lets it pass, is in the trace, which goes on."""
    step = _step("-A FORWARD -j TTL --ttl-set 1")._replace(verdict=verdict)

    (line,) = drops.evidence(_case(step, ()), step)

    assert line.startswith(f"the kernel's trace of the packet {shown}: 10.1.2.3")


def test_a_rule_without_a_set_is_no_cause_of_sets():
    """A rule that asks no set is another cause's."""
    assert elements.ipset(_case(_step("-A FORWARD -j DROP"), ())) is None
    assert elements.nftables(_case(_step("-A FORWARD -j DROP"), ())) is None
    assert elements.verdict_map(_case(_step("-A FORWARD -j DROP"), ())) is None


def test_netfilter_without_a_rule_is_named_by_the_kernels_reason():
    """Where the kernel says that netfilter freed the packet and no rule was seen to end it, that much is said."""
    freed = (Freed("NETFILTER_DROP", "nf_hook_slow", "eth0"),)
    case = _case(_step("-A FORWARD -j ACCEPT")._replace(verdict="accept"), ())
    without = SimpleNamespace(**{**vars(case), "freed": (), "reasons": frozenset()})
    reported = SimpleNamespace(**{**vars(case), "freed": freed, "reasons": frozenset({"NETFILTER_DROP"})})

    assert firewall.unseen(without) is None
    assert firewall.unseen(reported).dropped_by == "netfilter"
    assert "nf_hook_slow" in firewall.unseen(reported).evidence[0]


@pytest.mark.parametrize(
    ("written", "value", "expected"),
    [
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.1-10.0.0.5", "10.0.0.5", True),
        ("10.0.0.1-10.0.0.5", "10.0.0.6", False),
        ("80-90", "85", True),
        ("80-90", "91", False),
        ("2001:db8::/32", "10.1.2.3", False),
        ("veth-a", "veth-b", False),
        ("veth-a", "veth-a", True),
    ],
)
def test_what_an_element_covers(written, value, expected):
    """Addresses, prefixes, ranges, ports and names cover what they say."""
    assert matching.covers(written, value) is expected


@pytest.mark.parametrize(
    ("conditions", "packet", "expected"),
    [
        ("-s 10.0.0.0/8 -d 192.0.2.7/32 -p tcp -m tcp --dport 80 -i br01 -o eth0", TCP4, True),
        ("-p tcp -m tcp --dport 70:79", TCP4, False),
        ("-p icmp -m icmp --icmp-type 8", ECHO, True),
        ("-p udp", ECHO, False),
        ('-s 10.1.2.3/32 -m comment --comment "a b"', TCP4, True),
        ("-m mark --mark 0x7", TCP4, False),
    ],
)
def test_conditions_of_iptables_hold_or_are_not_known_to(conditions, packet, expected):
    """A condition that is not understood never holds, so that nothing is claimed of it."""
    assert matching.iptables_holds(shlex.split(conditions), _step("", packet)) is expected


@pytest.mark.parametrize(
    ("conditions", "packet", "expected"),
    [
        ("ip saddr 10.0.0.0/8 tcp dport 80", TCP4, True),
        ("ip protocol icmp counter", ECHO, True),
        ("icmp type echo-request", ECHO, True),
        ('iifname "br01" oifname "eth0"', TCP4, True),
        ("udp dport 80", TCP4, False),
        ("meta mark 7", TCP4, False),
    ],
)
def test_conditions_of_nftables_hold_or_are_not_known_to(conditions, packet, expected):
    """The same in nft's words."""
    assert matching.nft_holds(conditions, _step("", packet)) is expected
