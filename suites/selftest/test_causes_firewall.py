"""Each cause that is a rule: a network that works is broken by it alone; it is named with its place, hook and remedy,
which mends it."""

from __future__ import annotations

import itertools
import random
import shlex
from typing import NamedTuple

import pytest

from cnitest.explain.causes import registry

pytestmark = pytest.mark.topology("bridge-walkthrough")

NODE, NS01, NS02, ROUTER = "node", "node/ns01", "node/ns02", "router"
PEER, PEER6 = "10.40.80.12", "2001:db8:40::12"
OUTSIDE, OUTSIDE6 = "192.168.80.2", "2001:db8:80::2"
ECHO6 = "ipv6-icmp -m icmp6 --icmpv6-type 128"


class Broken(NamedTuple):
    """What breaks the network at a place, the probe that is lost, and what is to be said of it."""

    place: str
    program: str
    lines: tuple[str, ...]
    probe: str
    to: str
    id: str
    dropped_by: str
    hook: str
    says: tuple[str, ...] = ()
    remedy: str = ""
    bridged: bool = False

    @property
    def name(self) -> str:
        """Its name as a test."""
        return f"{self.id}-{self.dropped_by}-{self.probe}-{self.to}".replace(" ", "_")


def _chain(table: str, hook: str, *rules: str, policy: str = "accept", declared: str = "") -> tuple[str, ...]:
    """A table of nftables with one base chain."""
    body = "\n".join(rules)
    return (f"table {table} {{\n{declared}\nchain c {{\ntype filter hook {hook}; policy {policy};\n{body}\n}}\n}}",)


POLICIES = [
    Broken(
        place, program, (f"-P {chain} DROP",), probe, to, "firewall.policy", f"{family} filter {chain} policy", chain
    )
    for place, chain in ((NODE, "FORWARD"), (ROUTER, "INPUT"), (NS01, "OUTPUT"))
    for program, family, to in (
        ("iptables", "ip", OUTSIDE),
        ("iptables-legacy", "ip", OUTSIDE),
        ("ip6tables-legacy", "ip6", OUTSIDE6),
    )
    for probe in ("ping", "tcp", "udp")
    if not (":" in to and chain != "FORWARD")  # that would drop neighbour discovery too
]
REPLIES = [
    Broken(
        place, "iptables", (f"-P {chain} DROP",), probe, OUTSIDE, "firewall.policy", f"ip filter {chain} policy", chain
    )
    for place, chain in ((NS01, "INPUT"), (ROUTER, "OUTPUT"))
    for probe in ("ping", "tcp", "udp")
]
TABLES = [
    Broken(
        NODE,
        program,
        (f"-t {table} -A {chain} -s 10.40.80.0/24 -j DROP",),
        "ping",
        OUTSIDE,
        "firewall.rule",
        f"ip {table} {chain} rule 1",
        chain,
        (f"-A {chain} -s 10.40.80.0/24 -j DROP",),
        f"{program} -t {table} -D {chain}",
    )
    for program in ("iptables", "iptables-legacy")
    for table, chain in (
        ("raw", "PREROUTING"),
        ("mangle", "PREROUTING"),
        ("mangle", "FORWARD"),
        ("mangle", "POSTROUTING"),
    )
]
UNCONDITIONAL = [
    Broken(
        NS01,
        program,
        ("-t mangle -A OUTPUT -j DROP",),
        probe,
        OUTSIDE,
        "firewall.rule",
        "ip mangle OUTPUT rule 1",
        "OUTPUT",
    )
    for program in ("iptables", "iptables-legacy")
    for probe in ("ping", "udp")
] + [
    Broken(
        NODE,
        program,
        ("-N ONE", "-A FORWARD -j ONE", "-A ONE -j DROP"),
        "tcp",
        OUTSIDE,
        "firewall.rule",
        "ip filter ONE rule 1",
        "FORWARD",
        ("FORWARD → ONE: -A ONE -j DROP",),
    )
    for program in ("iptables", "iptables-legacy")
]
CHAINS = [
    Broken(
        NODE,
        f"{six}tables{variant}",
        (
            *("-N ONE", "-N TWO", "-A FORWARD -j ONE", "-A ONE -i lo -j ACCEPT", "-A ONE -j TWO"),
            f"-A TWO -d {address} -j DROP",
        ),
        probe,
        address,
        "firewall.rule",
        f"{six} filter TWO rule 1",
        "FORWARD",
        (f"{six} filter FORWARD → ONE → TWO: -A TWO -d {address}",),
        f"{six}tables{variant} -D TWO",
    )
    for six, address in (("ip", OUTSIDE), ("ip6", OUTSIDE6))
    for variant in ("", "-legacy")
    for probe in ("ping", "tcp", "udp")
]
REJECTS = [
    Broken(
        NODE,
        program,
        (f"-A FORWARD {matching} -j REJECT --reject-with {kind}",),
        probe,
        to,
        f"firewall.{'reset' if kind == 'tcp-reset' else 'reject'}",
        f"{program[:-6].rstrip('t')} filter FORWARD rule 1",
        "FORWARD",
        (f"--reject-with {kind}",),
    )
    for program, matching, probe, to, kind in (
        *(("iptables", "-p icmp", "ping", OUTSIDE, f"icmp-{kind}") for kind in ("net-unreachable", "admin-prohibited")),
        ("iptables", "-p udp", "udp", OUTSIDE, "icmp-host-prohibited"),
        ("iptables", "-p tcp", "tcp", OUTSIDE, "tcp-reset"),
        ("ip6tables", "-p tcp", "tcp", OUTSIDE6, "tcp-reset"),
        ("ip6tables", "-p udp", "udp", OUTSIDE6, "icmp6-adm-prohibited"),
    )
]
BRIDGED = [
    Broken(
        NODE,
        program,
        lines,
        probe,
        to,
        "firewall.bridged",
        dropped_by,
        hook,
        (f"bridged packet; net.bridge.bridge-nf-call-{'ip6' if ':' in to else 'ip'}tables=1",),
        remedy,
        bridged=True,
    )
    for probe in ("ping", "tcp", "udp")
    for program, lines, to, dropped_by, hook, remedy in (
        *(
            (
                program,
                ("-P FORWARD DROP",),
                PEER,
                "ip filter FORWARD policy",
                "FORWARD",
                f"{program} -A FORWARD -i br01 -j ACCEPT",
            )
            for program in ("iptables", "iptables-legacy")
        ),
        (
            "iptables",
            ("-t raw -A PREROUTING -s 10.40.80.11 -j DROP",),
            PEER,
            "ip raw PREROUTING rule 1",
            "PREROUTING",
            "",
        ),
        ("nft", _chain("inet own", "forward priority 5", policy="drop"), PEER, "inet own c policy", "FORWARD", ""),
    )
]
OWN = [
    Broken(place, "nft", lines, probe, to, identifier, dropped_by, hook, says)
    for probe in ("ping", "tcp", "udp")
    for to, ip in ((OUTSIDE, "ip"), (OUTSIDE6, "ip6"))
    for place, lines, identifier, dropped_by, hook, says in (
        *(
            (
                NODE,
                _chain(f"{family} own", f"{hook.lower()} priority {priority}", f"{ip} daddr {to} drop"),
                "nftables.rule",
                f"{family} own c rule 1",
                hook,
                (f"{family} own c: {ip} daddr {to} drop",),
            )
            for family in ("inet", ip)
            for hook, priority in (("PREROUTING", "-450"), ("FORWARD", "-1"), ("POSTROUTING", "310"))
        ),
        (
            NODE,
            _chain("inet own", "forward priority 0", "iifname lo accept", policy="drop"),
            "nftables.policy",
            "inet own c policy",
            "FORWARD",
            ("inet own c policy drop",),
        ),
    )
]
LINKS = [
    Broken(NODE, "nft", lines, probe, PEER, identifier, dropped_by, hook, says)
    for probe in ("ping", "udp")
    for lines, identifier, dropped_by, hook, says in (
        (
            _chain("netdev own", "ingress device veth01 priority 0", f"ip daddr {PEER} drop"),
            "nftables.ingress",
            "netdev own c rule 1",
            "ingress",
            (f"ip daddr {PEER} drop",),
        ),
        (
            _chain("netdev own", "egress device veth02 priority 0", f"ip daddr {PEER} drop"),
            "nftables.egress",
            "netdev own c rule 1",
            "egress",
            (),
        ),
        (
            _chain("inet own", "ingress device veth01 priority 0", f"ip daddr {PEER} drop"),
            "nftables.ingress",
            "inet own c rule 1",
            "ingress",
            (),
        ),
        (
            _chain("bridge own", "forward priority 0", f"ip daddr {PEER} drop"),
            "nftables.bridge",
            "bridge own c rule 1",
            "FORWARD",
            (),
        ),
        (
            _chain("bridge own", "forward priority 0", "ether type arp accept", policy="drop"),
            "nftables.bridge",
            "bridge own c policy",
            "FORWARD",
            (),
        ),
    )
]
ZONE = "-t raw -A PREROUTING -i ens33 -j CT --zone 7"
ONLY_REPLIES = (
    "-A FORWARD -i br01 -j ACCEPT",
    "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "-P FORWARD DROP",
)
CONNTRACK = [
    Broken(NODE, f"iptables{variant}", lines, probe, OUTSIDE, identifier, dropped_by, "FORWARD", says, remedy)
    for probe in ("ping", "tcp")
    for variant in ("", "-legacy")
    for lines, identifier, dropped_by, says, remedy in (
        (
            (ZONE, "-A FORWARD -m conntrack --ctstate INVALID -j DROP"),
            "conntrack.invalid",
            "ip filter FORWARD rule 1",
            ("INVALID",),
            "-D FORWARD",
        ),
        (
            (ZONE, *ONLY_REPLIES),
            "conntrack.zone",
            "ip filter FORWARD policy",
            ("conntrack zone 0 has the request, zone 7 the reply",),
            "-t raw -D PREROUTING -i ens33 -j CT --zone 7",
        ),
        (
            ("-t raw -A PREROUTING -i br01 -j CT --notrack", *ONLY_REPLIES),
            "conntrack.untracked",
            "ip filter FORWARD policy",
            ("not tracked",),
            "-t raw -D PREROUTING",
        ),
    )
]
NEIGHBOURS = [
    Broken(place, program, (rule,), "ping", to, "firewall.neighbour", dropped_by, hook, (f"for {to}",))
    for place, program, rule, to, dropped_by, hook in (
        (NODE, "ebtables", "-A FORWARD -p ARP -j DROP", PEER, "bridge filter FORWARD rule 1", "FORWARD"),
        (NS02, "ip6tables", "-A INPUT -p ipv6-icmp -j DROP", PEER6, "ip6 filter INPUT rule 1", "INPUT"),
        (NS02, "nft", *_chain("arp own", "input priority 0", "drop"), PEER, "arp own c rule 1", "INPUT"),
    )
]
RATES = [
    Broken(NODE, program, lines, probe, OUTSIDE, identifier, dropped_by, "FORWARD", says, remedy)
    for program, lines, probe, identifier, dropped_by, says, remedy in (
        *(
            (
                program,
                ("-P FORWARD DROP", "-A FORWARD -p icmp -m limit --limit 1/hour --limit-burst 1 -j ACCEPT"),
                "ping",
                "rates.limit",
                "ip filter FORWARD policy",
                ("--limit 1/hour",),
                f"{program} -I FORWARD -p icmp -j ACCEPT",
            )
            for program in ("iptables", "iptables-legacy")
        ),
        (
            "iptables-legacy",
            (
                "-A FORWARD -p icmp -m hashlimit --hashlimit-above 1/hour --hashlimit-burst 1 "
                "--hashlimit-name x -j DROP",
            ),
            "ping",
            "rates.limit",
            "ip filter FORWARD rule 1",
            ("--hashlimit-above 1/hour",),
            "iptables-legacy -D FORWARD",
        ),
        (
            "nft",
            _chain(
                "inet own",
                "forward priority 0",
                "ip protocol icmp limit rate 1/hour burst 1 packets accept",
                policy="drop",
            ),
            "ping",
            "rates.limit",
            "inet own c policy",
            ("limit rate 1/hour",),
            "nft insert rule inet own c ip protocol icmp accept",
        ),
        (
            "nft",
            _chain("inet own", "forward priority 0", "ip protocol icmp limit rate over 1/hour burst 1 packets drop"),
            "ping",
            "rates.limit",
            "inet own c rule 1",
            (),
            "nft delete rule",
        ),
        (
            "iptables-legacy",
            ("-A FORWARD -p tcp -m connlimit --connlimit-above 0 -j DROP",),
            "tcp",
            "rates.connections",
            "ip filter FORWARD rule 1",
            ("--connlimit-above 0",),
            "",
        ),
        (
            "iptables",
            ("-P FORWARD DROP", "-A FORWARD -p icmp -m quota --quota 10 -j ACCEPT"),
            "ping",
            "rates.quota",
            "ip filter FORWARD policy",
            ("--quota 10",),
            "iptables -I FORWARD -p icmp -j ACCEPT",
        ),
    )
]
SETS = [
    Broken(NODE, "nft", lines, probe, to, identifier, "inet own c rule 1", "FORWARD", says, remedy)
    for probe, to, lines, identifier, says, remedy in (
        (
            "ping",
            OUTSIDE,
            _chain(
                "inet own",
                "forward priority 0",
                "ip saddr @bad drop",
                declared="set bad { type ipv4_addr; flags interval; elements = { 192.0.2.1, 10.40.80.0/28 }\n}",
            ),
            "sets.nftables",
            ("set bad has 10.40.80.0/28",),
            "delete element inet own bad { 10.40.80.0/28 }",
        ),
        (
            "tcp",
            OUTSIDE6,
            _chain(
                "inet own",
                "forward priority 0",
                "ip6 daddr . tcp dport @bad drop",
                declared=f"set bad {{ type ipv6_addr . inet_service; elements = {{ {OUTSIDE6} . 99 }}\n}}",
            ),
            "sets.nftables",
            (f"set bad has {OUTSIDE6} . 99",),
            "delete element",
        ),
        (
            "udp",
            OUTSIDE,
            _chain(
                "inet own",
                "forward priority 0",
                'iifname "br01" udp dport != @good drop',
                declared="set good { type inet_service; elements = { 53 }\n}",
            ),
            "sets.nftables",
            ("not in set good",),
            "add element inet own good { 99 }",
        ),
        (
            "ping",
            OUTSIDE,
            _chain(
                "inet own",
                "forward priority 0",
                "ip daddr vmap @fate",
                declared=f"map fate {{ type ipv4_addr : verdict; elements = {{ {OUTSIDE} : drop }}\n}}",
            ),
            "sets.map",
            (f"map fate has {OUTSIDE}",),
            "delete element inet own fate",
        ),
        (
            "ping",
            OUTSIDE,
            _chain("inet own", "forward priority 0", f"ip daddr vmap {{ {OUTSIDE} : drop, 192.0.2.1 : accept }}"),
            "sets.map",
            (f"the rule's map has {OUTSIDE}",),
            "nft delete rule",
        ),
    )
]
OTHERS = [
    Broken(
        NODE,
        "ebtables",
        (f"-A FORWARD -p IPv4 --ip-dst {PEER} -j DROP",),
        "ping",
        PEER,
        "firewall.ebtables",
        "bridge filter FORWARD rule 1",
        "FORWARD",
        (f"--ip-dst {PEER} -j DROP",),
        "ebtables -D FORWARD",
    ),
    Broken(
        NODE,
        "iptables",
        ("-A FORWARD -p udp -j NFQUEUE --queue-num 5",),
        "udp",
        OUTSIDE,
        "firewall.queue",
        "ip filter FORWARD rule 1",
        "FORWARD",
        ("--queue-num 5",),
    ),
    Broken(
        NODE,
        "nft",
        _chain("netdev own", "ingress device veth01 priority 0", f"ip daddr {PEER} fwd to lo"),
        "ping",
        PEER,
        "nftables.stolen",
        "netdev own c rule 1",
        "ingress",
        ("fwd to",),
    ),
]
CASES = [
    *(*POLICIES, *REPLIES, *TABLES, *UNCONDITIONAL, *CHAINS, *REJECTS, *BRIDGED, *OWN, *LINKS),
    *(*CONNTRACK, *NEIGHBOURS, *RATES, *SETS, *OTHERS),
]

# Rules for a packet and its reply, in the order in which these meet them, and how they are told.
ON_THE_WAY = (
    (NS01, "iptables", ("-t raw -A OUTPUT -p PROTOCOL -j DROP",), "ip raw OUTPUT rule 1"),
    (NS01, "iptables-legacy", ("-A OUTPUT -p PROTOCOL -j DROP",), "ip filter OUTPUT rule 1"),
    (
        NODE,
        "nft",
        _chain("netdev dev", "ingress device veth01 priority 0", "ip protocol PROTOCOL drop"),
        "netdev dev c rule 1",
    ),
    (NODE, "iptables-legacy", ("-t raw -A PREROUTING -p PROTOCOL -j DROP",), "ip raw PREROUTING rule 1"),
    (NODE, "iptables", ("-t mangle -A PREROUTING -i br01 -p PROTOCOL -j DROP",), "ip mangle PREROUTING rule 1"),
    (NODE, "nft", _chain("inet own", "forward priority -5", "ip protocol PROTOCOL drop"), "inet own c rule 1"),
    (NODE, "iptables", ("-A FORWARD -p PROTOCOL -j REJECT",), "ip filter FORWARD rule 1"),
    (
        NODE,
        "iptables-legacy",
        ("-t mangle -A POSTROUTING -o ens33 -p PROTOCOL -j DROP",),
        "ip mangle POSTROUTING rule 1",
    ),
    (ROUTER, "iptables", ("-A INPUT -p PROTOCOL -j DROP",), "ip filter INPUT rule 1"),
    (ROUTER, "iptables-legacy", ("-t mangle -A OUTPUT -p PROTOCOL -j DROP",), "ip mangle OUTPUT rule 1"),
    (NS01, "nft", _chain("ip back", "input priority 0", "ip protocol PROTOCOL drop"), "ip back c rule 1"),
)
DRAWN = random.Random(7)
PAIRS = [
    (*pair, DRAWN.choice(["ping", "tcp", "udp"]))
    for pair in DRAWN.sample([*itertools.combinations(range(len(ON_THE_WAY)), 2)], 20)
]


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
def test_the_rule_that_drops_is_named_and_its_remedy_mends(routed, broken):
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
    node.load_rules("nft", *_chain("inet own", "forward priority 5", "ip saddr 192.0.2.1 drop"))

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
    """After DNAT the packet is another one, and FORWARD drops that: both rules are told."""
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
    own = _chain("inet own", "prerouting priority 0", "fib saddr . iif oif missing drop")
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
    """Where no cause is found, the rules that were seen to accept the packet are told all the same."""
    node = routed.host("node")
    node.load_rules("iptables", "-A FORWARD -i br01 -j ACCEPT", "-t mangle -A POSTROUTING -o ens33 -j DROP")
    monkeypatch.setattr(registry, "recognised", lambda _: None)

    explanation = _probe(routed, "ping", OUTSIDE).explanation

    assert "ip filter FORWARD lets it pass: -A FORWARD -i br01 -j ACCEPT" in explanation.ruled_out
    assert "mangle" not in str(explanation)
