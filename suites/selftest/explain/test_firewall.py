"""Each cause that is a rule: a network that works is broken by it alone; it is named with its place, hook and remedy,
which fixes it."""

from __future__ import annotations

import shlex

import pytest
from cnitest.suites.selftest.explain.firewall_questions import ON_THE_WAY, PAIRS, SPECIAL, ZONE
from cnitest.suites.selftest.explain.firewall_rules import GENERAL, OUTSIDE, OUTSIDE6, PEER, PEER6, chain_of

from cnitest.explain.causes import registry

pytestmark = pytest.mark.topology("bridge-walkthrough")

CASES = [*GENERAL, *SPECIAL]


@pytest.fixture
def routed(lab):
    """The walkthrough's network, where the router and the internet know the way back."""
    router = lab.host("router")
    router.run(["ip", "route", "add", "10.40.80.0/24", "via", "192.168.80.100"])
    router.run(["ip", "route", "add", "2001:db8:40::/64", "via", "2001:db8:80::100"])
    return lab


def _probe(lab, kind, to):
    """A probe from the first sandbox that does not wait long for what is lost."""
    sender = lab.sandbox("ns01")
    return sender.ping(to, wait=0.05) if kind == "ping" else getattr(sender, kind)(to, 99, wait=0.05)


def _break(lab, broken):
    if broken.bridged:
        for name in ("iptables", "ip6tables"):
            lab.host("node").sysctl(f"net.bridge.bridge-nf-call-{name}", 1)
    if broken.program == "ebtables":  # it knows no -w
        lab.place(broken.place).run(["ebtables", *shlex.split(*broken.lines)])
    else:
        lab.place(broken.place).load_rules(broken.program, *broken.lines)


@pytest.mark.parametrize("broken", CASES, ids=[case.name for case in CASES])
def test_the_rule_that_drops_is_named_and_its_remedy_works(routed, broken):
    """Its id, rule, chain, table, hook and place are said; without it the same probe is delivered."""
    _break(routed, broken)

    reach = _probe(routed, broken.probe, broken.to)

    assert reach.verdict.value != "delivered"
    cause = reach.cause
    assert cause, reach.explanation
    assert (cause.id, cause.dropped_by) == (broken.id, broken.dropped_by)
    assert (cause.place, cause.hook) == (broken.place, broken.hook)
    assert all(words in cause.words for words in broken.says), cause.words
    assert broken.remedy in cause.remedy
    routed.place(broken.place).run(["sh", "-c", cause.remedy])
    assert _probe(routed, broken.probe, broken.to), cause.remedy


@pytest.mark.parametrize("probe", ["ping", "tcp", "udp"])
@pytest.mark.parametrize("to", [PEER, PEER6, OUTSIDE, OUTSIDE6])
def test_rules_that_let_it_pass_are_no_cause(routed, probe, to):
    """With rules in every table, of which none drops it, a probe is delivered by all of them."""
    node = routed.host("node")
    for name in ("iptables", "ip6tables"):
        node.sysctl(f"net.bridge.bridge-nf-call-{name}", 1)
    for program in ("iptables", "iptables-legacy"):
        node.load_rules(program, "-A FORWARD -s 10.40.80.0/24 -j ACCEPT", "-A FORWARD -s 192.0.2.1 -j DROP")
    node.load_rules("nft", *chain_of("inet own", "forward priority 5", "ip saddr 192.0.2.1 drop"))

    reach = _probe(routed, probe, to)

    assert reach
    assert (reach.dropped_by, reach.cause) == ("", None)


@pytest.mark.parametrize(
    ("probe", "identifier"), [("ping", "conntrack.invalid"), ("tcp", "conntrack.invalid"), ("udp", "firewall.rule")]
)
def test_of_several_states_the_packets_own_is_named(routed, probe, identifier):
    """A rule for INVALID and NEW drops the replies of another zone: those to a ping are INVALID, a datagram is NEW."""
    state = "-A FORWARD -m conntrack --ctstate INVALID,NEW -j DROP"
    routed.host("node").load_rules("iptables", ZONE, "-A FORWARD -i br01 -j ACCEPT", state)

    reach = _probe(routed, probe, OUTSIDE)

    if not any("conntrack state new" in line for line in reach.cause.evidence) and probe == "udp":
        pytest.skip("this kernel does not tell the state of a connection")
    assert reach.cause.id == identifier
    assert ("conntrack state INVALID" in reach.cause.words) is (probe != "udp")


def test_a_published_port_that_forward_does_not_let_in_is_named(routed):
    """After DNAT the packet is another one, and FORWARD drops that: both rules are reported."""
    node, router = routed.host("node"), routed.host("router")
    node.load_rules("iptables", "-t nat -A PREROUTING -p tcp --dport 99 -j DNAT --to-destination 10.40.80.12:80")
    node.load_rules("iptables", "-P FORWARD DROP")
    peer = routed.sandbox("ns02")

    reach = router.tcp("192.168.80.100", 99, listener=peer, listener_port=80, wait=0.05)

    assert reach.cause.id == "firewall.dnat-forward"
    assert (reach.dropped_by, reach.cause.place) == ("ip filter FORWARD policy", "node")
    assert "after DNAT to 10.40.80.12" in reach.cause.words
    assert any("--to-destination 10.40.80.12:80" in line for line in reach.cause.evidence)
    node.run(["sh", "-c", reach.cause.remedy])
    assert router.tcp("192.168.80.100", 99, listener=peer, listener_port=80)


@pytest.mark.parametrize("program", ["iptables", "nft"])
def test_a_rule_that_asks_for_the_way_back_is_named(routed, program):
    """A source that is not reached by the link that it came in by is dropped by rpfilter or fib, and that is said."""
    node = routed.host("node")
    node.run(["ip", "route", "add", "10.40.80.11", "via", "192.168.80.2"])
    own = chain_of("inet own", "prerouting priority 0", "fib saddr . iif oif missing drop")
    node.load_rules(program, *(own if program == "nft" else ["-t raw -A PREROUTING -m rpfilter --invert -j DROP"]))

    reach = _probe(routed, "ping", OUTSIDE)

    assert reach.cause.id == "firewall.rpfilter"
    assert "no route back to 10.40.80.11 by br01" in reach.cause.words


@pytest.mark.parametrize(("first", "second", "probe"), PAIRS)
def test_of_two_rules_the_first_that_the_packet_meets_is_named(routed, first, second, probe):
    """With rules at two points of its way, of whatever program, the packet ends at the first one."""
    for place, program, lines, _ in (ON_THE_WAY[first], ON_THE_WAY[second]):
        named = "icmp" if probe == "ping" else probe
        routed.place(place).load_rules(program, *(line.replace("PROTOCOL", named) for line in lines))

    reach = _probe(routed, probe, OUTSIDE)

    assert reach.dropped_by == ON_THE_WAY[first][-1]
    assert reach.cause.place == ON_THE_WAY[first][0]


def test_rules_that_let_it_pass_are_ruled_out(routed, monkeypatch):
    """Where no cause is found, the rules that were seen to accept the packet are reported all the same."""
    node = routed.host("node")
    node.load_rules("iptables", "-A FORWARD -i br01 -j ACCEPT", "-t mangle -A POSTROUTING -o ens33 -j DROP")
    monkeypatch.setattr(registry, "recognised", lambda _: None)

    explanation = _probe(routed, "ping", OUTSIDE).explanation

    assert "ip filter FORWARD lets it pass: -A FORWARD -i br01 -j ACCEPT" in explanation.ruled_out
    assert "mangle" not in str(explanation)
