"""Ways to break a network by one rule of iptables or nftables in a chain, and what is to be said of each."""

from __future__ import annotations

from typing import NamedTuple

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


def chain_of(table: str, hook: str, *rules: str, policy: str = "accept", declared: str = "") -> tuple[str, ...]:
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
        ("nft", chain_of("inet own", "forward priority 5", policy="drop"), PEER, "inet own c policy", "FORWARD", ""),
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
                chain_of(f"{family} own", f"{hook.lower()} priority {priority}", f"{ip} daddr {to} drop"),
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
            chain_of("inet own", "forward priority 0", "iifname lo accept", policy="drop"),
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
            chain_of("netdev own", "ingress device veth01 priority 0", f"ip daddr {PEER} drop"),
            "nftables.ingress",
            "netdev own c rule 1",
            "ingress",
            (f"ip daddr {PEER} drop",),
        ),
        (
            chain_of("netdev own", "egress device veth02 priority 0", f"ip daddr {PEER} drop"),
            "nftables.egress",
            "netdev own c rule 1",
            "egress",
            (),
        ),
        (
            chain_of("inet own", "ingress device veth01 priority 0", f"ip daddr {PEER} drop"),
            "nftables.ingress",
            "inet own c rule 1",
            "ingress",
            (),
        ),
        (
            chain_of("bridge own", "forward priority 0", f"ip daddr {PEER} drop"),
            "nftables.bridge",
            "bridge own c rule 1",
            "FORWARD",
            (),
        ),
        (
            chain_of("bridge own", "forward priority 0", "ether type arp accept", policy="drop"),
            "nftables.bridge",
            "bridge own c policy",
            "FORWARD",
            (),
        ),
    )
]
GENERAL = [*POLICIES, *REPLIES, *TABLES, *UNCONDITIONAL, *CHAINS, *REJECTS, *BRIDGED, *OWN, *LINKS]
