"""Ways to break a network by what rules ask: connection tracking, neighbours, rates, sets; and by two rules at once."""

from __future__ import annotations

import itertools
import random

from cnitest.suites.selftest.explain.firewall_rules import (
    NODE,
    NS01,
    NS02,
    OUTSIDE,
    OUTSIDE6,
    PEER,
    PEER6,
    ROUTER,
    Broken,
    chain_of,
)

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
        (NS02, "nft", *chain_of("arp own", "input priority 0", "drop"), PEER, "arp own c rule 1", "INPUT"),
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
            chain_of(
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
            chain_of("inet own", "forward priority 0", "ip protocol icmp limit rate over 1/hour burst 1 packets drop"),
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
            chain_of(
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
            chain_of(
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
            chain_of(
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
            chain_of(
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
            chain_of("inet own", "forward priority 0", f"ip daddr vmap {{ {OUTSIDE} : drop, 192.0.2.1 : accept }}"),
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
        chain_of("netdev own", "ingress device veth01 priority 0", f"ip daddr {PEER} fwd to lo"),
        "ping",
        PEER,
        "nftables.stolen",
        "netdev own c rule 1",
        "ingress",
        ("fwd to",),
    ),
]
SPECIAL = [*CONNTRACK, *NEIGHBOURS, *RATES, *SETS, *OTHERS]

# Rules for a packet and its reply, in the order in which these meet them, and how they are written.
ON_THE_WAY = (
    (NS01, "iptables", ("-t raw -A OUTPUT -p PROTOCOL -j DROP",), "ip raw OUTPUT rule 1"),
    (NS01, "iptables-legacy", ("-A OUTPUT -p PROTOCOL -j DROP",), "ip filter OUTPUT rule 1"),
    (
        NODE,
        "nft",
        chain_of("netdev dev", "ingress device veth01 priority 0", "ip protocol PROTOCOL drop"),
        "netdev dev c rule 1",
    ),
    (NODE, "iptables-legacy", ("-t raw -A PREROUTING -p PROTOCOL -j DROP",), "ip raw PREROUTING rule 1"),
    (NODE, "iptables", ("-t mangle -A PREROUTING -i br01 -p PROTOCOL -j DROP",), "ip mangle PREROUTING rule 1"),
    (NODE, "nft", chain_of("inet own", "forward priority -5", "ip protocol PROTOCOL drop"), "inet own c rule 1"),
    (NODE, "iptables", ("-A FORWARD -p PROTOCOL -j REJECT",), "ip filter FORWARD rule 1"),
    (
        NODE,
        "iptables-legacy",
        ("-t mangle -A POSTROUTING -o ens33 -p PROTOCOL -j DROP",),
        "ip mangle POSTROUTING rule 1",
    ),
    (ROUTER, "iptables", ("-A INPUT -p PROTOCOL -j DROP",), "ip filter INPUT rule 1"),
    (ROUTER, "iptables-legacy", ("-t mangle -A OUTPUT -p PROTOCOL -j DROP",), "ip mangle OUTPUT rule 1"),
    (NS01, "nft", chain_of("ip back", "input priority 0", "ip protocol PROTOCOL drop"), "ip back c rule 1"),
)
DRAWN = random.Random(7)
PAIRS = [
    (*pair, DRAWN.choice(["ping", "tcp", "udp"]))
    for pair in DRAWN.sample([*itertools.combinations(range(len(ON_THE_WAY)), 2)], 20)
]
