"""Sources that nobody can answer: each rule that is missing or wrong is named, and the right one fixes it."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import Broken, demand

FOUR, SIX = "8.8.8.8", "2001:4860:4860::8888"
SUBNET = "10.40.80.0/24"
MASQUERADE = f"POSTROUTING -s {SUBNET} -o ens33 -j MASQUERADE"
APPENDED, INSERTED = f"iptables -t nat -A {MASQUERADE}", f"iptables -t nat -I {MASQUERADE}"
NFT = "add table ip x; add chain ip x p { type nat hook postrouting priority 100; }; "


def nft(*rules: str) -> str:
    """A command that loads rules of a postrouting chain of one's own."""
    return f"nft '{NFT}{'; '.join(f'add rule ip x p {rule}' for rule in rules)}'"


def broken(cause: str, dropped_by: str, command: str, remedy: str = APPENDED, to: str = FOUR) -> Broken:
    """The walkthrough, whose sandbox wants to the internet, with rules of a kind on the node."""
    return Broken(cause, dropped_by, "node", remedy, {"node": command}, to=to)


MISSING = [
    broken("nat.masquerade-missing", "no MASQUERADE", "true"),
    # Masqueraded are the packets of one family only.
    broken(
        "nat.masquerade-missing",
        "no MASQUERADE",
        APPENDED,
        "ip6tables -t nat -A POSTROUTING -s 2001:db8:40::/64 -o ens33 -j MASQUERADE",
        to=SIX,
    ),
    broken("nat.masquerade-missing", "no MASQUERADE", "iptables -t nat -A PREROUTING -p tcp -j ACCEPT"),
]
MISMATCHES = [
    broken("nat.masquerade-mismatch", "MASQUERADE does not match", command)
    for command in (
        "iptables -t nat -A POSTROUTING -s 10.40.90.0/24 -o ens33 -j MASQUERADE",
        f"iptables -t nat -A POSTROUTING -s {SUBNET} -o eth9 -j MASQUERADE",
        f"iptables -t nat -A POSTROUTING ! -s {SUBNET} -j MASQUERADE",
        "iptables-legacy -t nat -A POSTROUTING -s 10.40.90.0/24 -j MASQUERADE",
        "iptables -t nat -A POSTROUTING -d 10.0.0.0/8 -j SNAT --to-source 192.168.80.100",
        # In a chain that is jumped to for another source, or not at all.
        "iptables -t nat -N OWN; iptables -t nat -A OWN -j MASQUERADE; "
        "iptables -t nat -A POSTROUTING -s 10.40.80.77/32 -j OWN",
        "iptables -t nat -N OWN; iptables -t nat -A OWN -j MASQUERADE",
        nft('oifname "eth9" masquerade'),
        nft("ip saddr 10.40.90.0/24 masquerade"),
        # Only what has a mark, which nobody gave it, or somebody took.
        "iptables -t nat -A POSTROUTING -m mark --mark 0x40000/0xff0000 -j MASQUERADE",
        "iptables -A FORWARD -i br01 -j MARK --set-xmark 0x40000/0xff0000; "
        "iptables -t mangle -A POSTROUTING -j MARK --set-xmark 0x0/0xff0000; "
        "iptables -t nat -A POSTROUTING -m mark --mark 0x40000/0xff0000 -j MASQUERADE",
        nft("meta mark 0x40000 counter masquerade"),
        "iptables -t nat -A POSTROUTING -p udp -j MASQUERADE",
    )
] + [
    broken(
        "nat.masquerade-mismatch",
        "MASQUERADE does not match",
        "ip6tables -t nat -A POSTROUTING -s fd00::/8 -j MASQUERADE",
        "ip6tables -t nat -A POSTROUTING -s 2001:db8:40::/64 -o ens33 -j MASQUERADE",
        to=SIX,
    )
]
SKIPPED = [
    broken("nat.masquerade-skipped", "rule before MASQUERADE", command, INSERTED)
    for command in (
        f"iptables -t nat -A POSTROUTING -s {SUBNET} -j RETURN; {APPENDED}",
        f"iptables -t nat -A POSTROUTING -o ens33 -m comment --comment 'do not' -j ACCEPT; {APPENDED}",
        f"iptables-legacy -t nat -A POSTROUTING -j ACCEPT; iptables-legacy -t nat -A {MASQUERADE}",
        nft(f"ip saddr {SUBNET} accept", "masquerade"),
        # What has not the mark of kube-proxy returns, and nothing gives it.
        "iptables -t nat -N K; iptables -t nat -A K -m mark ! --mark 0x4000/0x4000 -j RETURN; "
        "iptables -t nat -A K -j MASQUERADE; iptables -t nat -A POSTROUTING -j K",
        nft("meta mark & 0x4000 != 0x4000 return", "masquerade"),
        # What the words of a rule do not say: marks that rules of nat set, sets and maps, protocols.
        "iptables -t nat -N M; iptables -t nat -A M -j MARK --or-mark 0x4000; iptables -t nat -A PREROUTING -i br01 "
        f"-j M; iptables -t nat -A POSTROUTING -m mark --mark 0x4000/0x4000 -j RETURN; {APPENDED}",
        "iptables-legacy -t nat -A PREROUTING -i br01 -j MARK --set-mark 7; "
        f"iptables-legacy -t nat -A POSTROUTING -m mark --mark 7 -j ACCEPT; iptables-legacy -t nat -A {MASQUERADE}",
        f"nft 'add table ip y; add chain ip y f {{ type filter hook forward priority 0; }}; add rule ip y f meta mark "
        f"set ip saddr map {{ {SUBNET} : 7 }}'; {nft('meta mark { 7, 9 } return', 'masquerade')}",
        nft(f"ip saddr vmap {{ {SUBNET} : accept }}", "masquerade"),
        nft("ip daddr { 8.8.8.8, 8.8.4.4 } return", "masquerade"),
        nft("meta l4proto icmp return", "masquerade"),
        f"iptables -t nat -N O; iptables -t nat -A O -s {SUBNET} -j ACCEPT; "
        f"iptables -t nat -A POSTROUTING -j O; {APPENDED}",
        f"iptables -t nat -N O; iptables -t nat -A O -p icmp -j RETURN; "
        f"iptables -t nat -A POSTROUTING -g O; {APPENDED}",
        f"iptables -t mangle -A PREROUTING -i br01 -j CONNMARK --set-mark 3; "
        f"iptables -t nat -A POSTROUTING -m connmark --mark 3 -j RETURN; {APPENDED}",
        # What has a mark returns, which a rule before gives it.
        f"iptables -t mangle -A FORWARD -i br01 -j MARK --set-mark 0x7; "
        f"iptables -t nat -A POSTROUTING -m mark --mark 0x7 -j ACCEPT; {APPENDED}",
    )
] + [
    broken(
        "nat.masquerade-skipped",
        "rule before MASQUERADE",
        "ip6tables -t nat -A POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN; "
        "ip6tables -t nat -A POSTROUTING -j MASQUERADE",
        "ip6tables -t nat -I POSTROUTING -s 2001:db8:40::/64 -o ens33 -j MASQUERADE",
        to=SIX,
    )
]
SNAT = [
    broken(
        "nat.snat-address",
        "SNAT to an address not its own",
        f"iptables -t nat -A POSTROUTING -s {SUBNET} -o ens33 -j SNAT --to-source {address}",
        remedy,
    )
    for address, remedy in (
        ("192.168.80.250", "ip address add 192.168.80.250/32 dev ens33"),  # nobody's
        ("192.168.80.2", INSERTED),  # the router's
        ("203.0.113.9", INSERTED),  # of a network that nobody knows
    )
] + [
    broken("nat.snat-address", "SNAT to an address not its own", nft("snat to 192.168.80.250"),
           "ip address add 192.168.80.250/32 dev ens33"),
    broken(
        "nat.snat-address",
        "SNAT to an address not its own",
        "ip6tables -t nat -A POSTROUTING -o ens33 -j SNAT --to-source 2001:db8:80::250",
        "ip address add 2001:db8:80::250/128 dev ens33",
        to=SIX,
    ),
]  # fmt: skip
ZONE = "PREROUTING -i br01 -j CT --zone 1"
ELSEWHERE = [
    broken("conntrack.zone", "conntrack zone", f"iptables -t raw -A {ZONE}; {APPENDED}", f"iptables -t raw -D {ZONE}"),
    # What a host sends to a port of its own that is a container's.
    Broken(
        "routing.localnet",
        "route_localnet off",
        "node",
        "sysctl -w net.ipv4.conf.br01.route_localnet=1 && "
        "iptables -t nat -A POSTROUTING -s 127.0.0.0/8 -o br01 -j MASQUERADE",
        {"node": "iptables -t nat -A OUTPUT -p tcp --dport 8080 -j DNAT --to-destination 10.40.80.11:80"},
        sender="node",
        to="127.0.0.1",
        probe=lambda place, to: place.tcp(to, 8080, listener=place.lab.place("node/ns01"), listener_port=80),
    ),
    # Who knows the neighbour's MAC sends the packet; who does not asks for it from the packet's own source.
    *(
        Broken(
            cause,
            dropped_by,
            "node",
            "iptables -t nat -I POSTROUTING -s 127.0.0.1 -o br01 -j MASQUERADE",
            {
                "node": f"{neighbour}; sysctl -qw net.ipv4.conf.all.route_localnet=1; "
                "iptables -t nat -A OUTPUT -p tcp --dport 8080 -j DNAT --to-destination 10.40.80.11:80"
            },
            sender="node",
            to="127.0.0.1",
            probe=lambda place, to: place.tcp(to, 8080, listener=place.lab.place("node/ns01"), listener_port=80),
        )
        for cause, dropped_by, neighbour in (
            ("routing.martian-source", "martian source", "bash -c 'echo > /dev/udp/10.40.80.11/9'"),
            ("l2.arp-martian", "martian source of ARP", "ip neigh flush all"),
        )
    ),
]


@pytest.mark.parametrize("broken", [*MISSING, *MISMATCHES, *SKIPPED, *SNAT, *ELSEWHERE], ids=str)
def test_a_source_that_cannot_be_answered_is_named(broken):
    """Which rule is missing, does not match, or comes first, with the command that has the probe pass."""
    demand(broken, warm=False)
