"""The kernel tells which rules a packet meets, in the words of the program that made them, and nothing is changed."""

from __future__ import annotations

from itertools import pairwise

import pytest
from scapy.layers import inet6
from scapy.layers.l2 import Ether

from cnitest import difference
from cnitest.errors import CommandError, KernelError
from cnitest.explain.evidence import rules
from cnitest.kernel.netfilter import nft_trace, tables
from cnitest.kernel.netfilter.rule_words import nft_rules, saved_chains
from cnitest.kernel.processes.process import Finished
from cnitest.kernel.tracing import trace
from cnitest.lab.probe.kinds.datagram import DatagramProbe
from cnitest.lab.probe.kinds.echo import EchoProbe
from cnitest.lab.probe.kinds.stream import StreamProbe
from cnitest.lab.probe.verdict.watching import watched_attempt

pytestmark = pytest.mark.topology("bridge-walkthrough")

NS02, NS02_V6 = "10.40.80.12", "2001:db8:40::12"
JUMPS = ("-N FIRST", "-N SECOND", "-A FORWARD -j FIRST", "-A FIRST -j SECOND", "-A SECOND -p {} -j DROP")

ECHO6 = "ipv6-icmp -m icmp6 --icmpv6-type 128"


@pytest.fixture
def node(lab):
    """The host, whose bridged packets pass iptables."""
    host = lab.host("node")
    for name in ("iptables", "ip6tables"):
        host.sysctl(f"net.bridge.bridge-nf-call-{name}", 1)
    return host


def _sniffers(lab):
    """The sniffers of all places."""
    return {place: lab.sniffer(place) for place in lab.places}


def _steps(lab, probe):
    """The rules that one attempt of a probe met."""
    with rules.armed(lab.places, (6, 17)) as recording:
        attempt, seen = watched_attempt(probe, _sniffers(lab), 0.05, probe.far)
    assert recording.unseen == []
    return recording.steps(attempt, seen)


def _probe(sender, protocol, address):
    if protocol in ("udp", "tcp"):
        kind = DatagramProbe if protocol == "udp" else StreamProbe
        return kind(sender, address, 99, None, 99)
    return EchoProbe(sender, address)


@pytest.mark.parametrize("protocol", ["icmp", "udp", "tcp"])
@pytest.mark.parametrize("address", [NS02, NS02_V6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("variant", ["", "-legacy"], ids=["nft", "legacy"])
def test_the_chains_that_a_packet_was_sent_through_are_reported(lab, node, protocol, address, variant):
    """Each jump and the rule that drops it, as iptables writes them, with chain, number, links and verdict."""
    six = ":" in address
    program = f"{'ip6' if six else 'ip'}tables{variant}"
    lines = [line.format(ECHO6 if six and protocol == "icmp" else protocol) for line in JUMPS]
    node.load_rules(program, *lines)

    steps = _steps(lab, _probe(lab.sandbox("ns01"), protocol, address))

    assert {(step.place, step.program, step.hook) for step in steps} == {("node", program, "FORWARD")}
    assert {step.table for step in steps} == {"ip6 filter" if six else "ip filter"}
    assert [step.rule for step in steps] == lines[2:]
    assert [step.verdict for step in steps] == ["jump", "jump", "drop"]
    assert steps[-1].path == ("FORWARD", "FIRST", "SECOND")
    assert (steps[-1].chain, steps[-1].number, steps[-1].iif) == ("SECOND", 1, "br01")


@pytest.mark.parametrize(
    ("table", "hook"),
    [
        ("ip", "type filter hook forward priority -310"),
        ("inet", "type filter hook forward priority 5"),
        ("bridge", "type filter hook prerouting priority 0"),
        ("netdev", "type filter hook ingress device veth01 priority 0"),
        ("netdev", "type filter hook egress device veth02 priority 0"),
    ],
)
def test_own_tables_of_nftables_are_reported(lab, node, table, hook):
    """A rule of any family and priority is reported in nft's words, with its handle and the chain's hook."""
    node.load_rules("nft", f"table {table} own {{\nchain c {{\n{hook};\ncounter ip daddr {NS02} drop\n}}\n}}")

    (step,) = _steps(lab, EchoProbe(lab.sandbox("ns01"), NS02))

    assert (step.program, step.table, step.path) == ("nft", f"{table} own", ("c",))
    assert (step.rule, step.verdict) == (f"counter ip daddr {NS02} drop", "drop")
    assert step.hook.lower() in hook
    assert (step.handle, step.number) > (0, 0)


def test_only_the_packets_of_the_attempt_are_reported(lab, node):
    """Other packets of the same protocol meet the same rule and are none of ours; a reply is one on its way back."""
    node.load_rules("iptables", "-A FORWARD -p icmp -j ACCEPT")
    ns01, other = lab.sandbox("ns01"), EchoProbe(lab.sandbox("ns02"), "10.40.80.11")

    with rules.armed(lab.places, ()) as recording:
        other.attempt(0.1)
        attempt, seen = watched_attempt(EchoProbe(ns01, NS02), _sniffers(lab), 0.1, lab.sandbox("ns02"))
    steps = recording.steps(attempt, seen)

    assert attempt.answered
    assert [(step.packet.source, step.returning) for step in steps] == [("10.40.80.11", False), (NS02, True)]


def test_nothing_of_it_stays_or_is_seen(lab, node):
    """The state while it is asked for, and afterwards, is the one before; so are the log and what was read of rules."""
    for program in ("iptables", "iptables-legacy"):
        node.load_rules(program, "-A FORWARD -s 192.0.2.1 -j DROP")
    log, before = node.sysctl("net.netfilter.nf_log.2"), node.state(connections=False)
    known = node.namespace.ruleset[1]

    with rules.armed([node], ()):
        during = node.state(connections=False)
    after = node.state(connections=False)

    assert [difference(a, b) for a, b in pairwise((before, during, after))] == [(), ()]
    assert node.sysctl("net.netfilter.nf_log.2") == log
    assert tables.OWN not in node.run(["nft", "list", "ruleset"]).stdout
    assert node.namespace.ruleset[1].keys() == known.keys()


def test_the_rules_that_were_read_before_stay_known(lab, node):
    """Marking packets makes no state of the rules be read again."""
    node.load_rules("iptables", "-A FORWARD -s 192.0.2.1 -j DROP")
    node.state()
    known = node.namespace.ruleset[1]

    with rules.armed([node], ()):
        pass
    node.state()

    assert node.namespace.ruleset[1] is known


def test_what_marks_packets_belongs_to_our_socket(lab, node):
    """The kernel removes the tables when the process that made them is killed, and nobody else can."""
    node.load_rules("iptables", "-A FORWARD -s 192.0.2.1 -j DROP")

    with rules.armed([node], ()):
        listing = node.run(["nft", "list", "table", "inet", tables.OWN]).stdout
        node.run(["nft", "flush", "ruleset"])
        left = node.run(["nft", "list", "ruleset"]).stdout

    assert "flags owner" in listing
    assert tables.OWN in left


def test_places_without_rules_are_left_alone(lab):
    """Where there is no rule nothing is asked, and nothing is made."""
    before = tables.generation(lab.sandbox("ns01").namespace.netfilter)

    with rules.armed(lab.places, ()) as recording:
        assert recording.places == []

    assert tables.generation(lab.sandbox("ns01").namespace.netfilter) == before


def test_a_log_that_somebody_listens_to_is_left_to_them(lab, node):
    """Where log group 0 is taken, the rules of the older iptables are said to be unseen."""
    node.load_rules("iptables-legacy", "-P FORWARD DROP")

    with rules.armed([node], ()), rules.armed([node], ()) as second:
        pass

    assert [words for words in second.unseen if words.startswith("rules of node: ")]


def test_without_nft_a_rule_is_named_by_its_handle(lab, node, monkeypatch):
    """Where the program that writes rules is missing, table, chain and handle are left, and what is missing is said."""
    node.load_rules("nft", "table inet own {\nchain c {\ntype filter hook forward priority 5;\ndrop\n}\n}")
    execute = type(node).execute

    def without_nft(place, argv, *rest, **options):
        if argv[0] == "nft":
            raise CommandError("nft cannot be started: no program 'nft'")
        return execute(place, argv, *rest, **options)

    monkeypatch.setattr(type(node), "execute", without_nft)

    reach = lab.sandbox("ns01").ping(NS02, wait=0.05)

    assert reach.dropped_by == "inet own c rule 1"
    assert "rule with handle 2" in reach.cause.words
    assert "not seen: words of the rules of node: nft cannot be started" in str(reach.explanation)


@pytest.mark.parametrize("program", ["iptables", "iptables-legacy"])
@pytest.mark.parametrize(
    ("lines", "dropped_by"),
    [
        (("-P FORWARD DROP",), "ip filter FORWARD policy"),
        (("-N ONE", "-A FORWARD -j ONE", "-A ONE -j DROP"), "ip filter ONE rule 1"),
    ],
    ids=["policy", "rule"],
)
def test_without_a_trace_counters_name_the_rule(lab, node, program, lines, dropped_by, monkeypatch):
    """Where the kernel does not tell of packets, the rule or policy that counted one more is named; that is said."""

    def refused(*_):
        raise KernelError("nft trace: Operation not supported", 95)

    monkeypatch.setattr(nft_trace, "arm", refused)
    node.load_rules(program, *lines)

    reach = lab.sandbox("ns01").ping(NS02, wait=0.05)

    assert reach.dropped_by == dropped_by
    assert "its counter went up" in reach.cause.evidence[0]
    assert "Operation not supported" in str(reach.explanation)


def test_what_links_announce_is_not_traced(lab, node):
    """Groups, questions for routers and addresses that are to be had come on each of many ports; a question for a
    neighbour and an echo request are what probes need."""
    node.run(["nft", "table bridge t { chain c { type filter hook forward priority 0; }; }"])
    local = inet6.IPv6(src="fe80::1", dst="ff02::1")
    groups = inet6.IPv6ExtHdrHopByHop(options=[inet6.RouterAlert()]) / inet6.ICMPv6MLReport2()
    wanted = inet6.IPv6(src="::", dst="ff02::1") / inet6.ICMPv6ND_NS(tgt="fe80::1")
    announced = [local / groups, local / inet6.ICMPv6ND_RS(), local / inet6.ICMPv6ND_RA(), wanted]
    asked = [local / inet6.ICMPv6ND_NS(tgt="fe80::2"), local / inet6.ICMPv6EchoRequest()]
    namespace = node.namespace
    armed = nft_trace.arm(namespace, [], ())
    for each in (*announced, *asked):
        lab.sandbox("ns01").send(Ether(dst="33:33:00:00:00:01") / each, on="eth01")

    events, whole = nft_trace.traced(namespace)
    nft_trace.disarm(namespace, armed)

    assert whole
    packets = [event.packet for event in events if event.packet]
    kinds = {packet[40] for packet in packets}
    assert {inet6.ICMPv6ND_NS().type, inet6.ICMPv6EchoRequest().type} <= kinds
    assert kinds <= {128, 129, 135, 136}
    assert bytes(16) not in {packet[8:24] for packet in packets}


def test_what_the_kernel_had_no_room_for_is_said(lab, node, monkeypatch):
    """The probe is sent again; where it never fits, what is missing is among what was not seen."""
    node.run(["nft", "table bridge t { chain c { type filter hook forward priority 0; ip protocol icmp drop; }; }"])
    asked = []

    def missing(namespace):
        asked.append(namespace)
        return (), False

    monkeypatch.setattr(nft_trace, "traced", missing)
    monkeypatch.setattr(trace.Trace, "since", lambda *_: None)

    reach = lab.sandbox("ns01").ping(NS02, wait=0.05)

    room = "the kernel said more than there was room for"
    assert f"some rules of node: {room}" in reach.explanation.unseen
    if trace.armed():  # an ordinary user has none
        assert "what the kernel freed: it said more than there was room for" in reach.explanation.unseen
    assert len(asked) > 1


def test_what_is_saved_has_policies_rules_and_counters():
    """The lines of an iptables-save and an ebtables-save become chains with their rules in order."""
    text = "*filter\n:FORWARD DROP [3:252]\n:X - [0:0]\n[2:168] -A X -s 192.0.2.1 -j DROP\nCOMMIT\n"
    bridged = "*filter\n:FORWARD DROP\n[4:100] -A FORWARD -p ARP -j DROP\n"

    chains = saved_chains(text)

    assert chains["filter", "FORWARD"] == ("DROP", (), (3,))
    assert chains["filter", "X"] == ("-", ("-A X -s 192.0.2.1 -j DROP",), (0, 2))
    assert saved_chains(bridged)["filter", "FORWARD"] == ("DROP", ("-A FORWARD -p ARP -j DROP",), (0, 4))


def test_rules_of_an_owned_table_are_found_by_handle():
    """nft says behind the brace which program owns a table; the rules in it are found like others."""
    text = b"table inet t { # handle 1 progname nft\n\tchain c { # handle 1\n\t\tdrop # handle 2\n\t}\n}\n"

    found = nft_rules(lambda *_: Finished((), 0, text, b"", 0.0))

    assert found == {("inet", "t", "c", 2): "drop"}
