"""Conditions of rules of NAT in all their spellings, destinations to choose from, and connections of other pings."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import WARM, Broken, demand, run

from cnitest import Lab, load
from cnitest.lab.place import Place
from cnitest.lab.reach import Reach
from cnitest.topology import find

NODE, NODE6, OUTSIDE = "10.40.80.1", "2001:db8:40::1", "192.168.80.2"
FAMILIES = (
    ("iptables", "icmp", NODE, "10.40.80", "192.168.80", "10.40.80.0/24", "net.ipv4.icmp_echo_ignore_all"),
    (
        "ip6tables",
        "ipv6-icmp",
        NODE6,
        "2001:db8:40:",
        "2001:db8:80:",
        "2001:db8:40::/64",
        "net.ipv6.icmp.echo_ignore_all",
    ),
)


def _dnat(program: str, protocol: str, asked: str, to: str, how: str = "-A PREROUTING") -> str:
    return f"{program} -t nat {how} -d {asked} -p {protocol} -j DNAT --to-destination {to}"


def _nobody(program: str, asked: str) -> Broken:
    remedy = f"{program} -t nat -I PREROUTING -d {asked} -j DNAT --to-destination …"
    return Broken("nat.dnat-nobody", "DNAT to nobody", "node", remedy, {}, to=asked)


def _of(broken: Broken, commands: str, setup: str = "") -> Broken:
    return Broken(
        broken.cause,
        broken.dropped_by,
        broken.place,
        broken.remedy,
        {"node": commands},
        to=broken.to,
        setup={"node": setup} if setup else {},
    )


RANGES = [
    _of(_nobody(program, asked), _dnat(program, protocol, asked, f"{net}.77-{net}.79".replace(":.", "::")))
    for program, protocol, asked, near, far, _, _ in FAMILIES
    for net in (near, far)
]


@pytest.mark.parametrize("broken", RANGES, ids=lambda broken: broken.commands["node"][-20:])
def test_the_address_that_was_chosen_of_a_range_is_named(broken: Broken) -> None:
    """Where a rule of DNAT has several addresses, the one that nobody has is known by what the place asks for."""
    demand(broken, warm=False)


def _published(program: str, protocol: str, asked: str, near: str, net: str) -> str:
    to = f"{near}.12".replace(":.", "::")
    masquerade = f"{program} -t nat -A POSTROUTING -s {net} -d {to} -j MASQUERADE"
    return f"{_dnat(program, protocol, asked, to)}; {masquerade}"


CHANGED = [
    _of(
        _nobody(program, asked),
        _dnat(program, protocol, asked, f"{near}.77".replace(":.", "::"), "-R PREROUTING 1"),
        _published(program, protocol, asked, near, net),
    )
    for program, protocol, asked, near, _, net, _ in FAMILIES
] + [
    Broken(
        "host.echo-ignored",
        "echo ignored",
        "node",
        f"sysctl -w {sysctl}=0",
        {"node": f"{program} -t nat -F; sysctl -w {sysctl}=1"},
        to=asked,
        setup={"node": _published(program, protocol, asked, near, net)},
    )
    for program, protocol, asked, near, _, net, sysctl in FAMILIES
]


@WARM
@pytest.mark.parametrize("broken", CHANGED, ids=str)
def test_connections_of_other_pings_say_nothing(broken: Broken, warm: bool) -> None:
    """A ping that was translated before the rules changed is still tracked, with the same addresses."""
    demand(broken, warm=warm)


def _tcp(place: Place, to: str) -> Reach:
    return place.tcp(to, 22)


NFT = (
    "nft add table ip n; nft add chain ip n p '{ type nat hook prerouting priority dstnat; }'; "
    "nft add chain ip n r '{ type filter hook prerouting priority raw; }'; nft add rule ip n r notrack; "
    "nft add rule ip n p CONDITION dnat to 10.40.80.12"
)
LEGACY = (
    "iptables -t raw -A PREROUTING -j NOTRACK; "
    "iptables -t nat -A PREROUTING CONDITION -j DNAT --to-destination 10.40.80.12"
)


@pytest.mark.parametrize(
    ("rules", "of_others", "of_this"),
    [
        (LEGACY, "-p tcp -m multiport --dports 80,8000:8010", "-p tcp -m multiport --dports 80,20:25"),
        (LEGACY, "-p sctp --dport 22", "-p tcp --dport 22"),
        (LEGACY, "! -p tcp", "! -p udp"),
        (LEGACY, "-i ens+", "-i br+"),
        (LEGACY, "-s 10.99.0.0/16", "-s 10.40.0.0/16"),
        (NFT, "tcp dport '{ 80, 443 }'", "tcp dport '{ 20-25, 443 }'"),
        (NFT, "meta l4proto '{ sctp, udp }' th dport 22", "meta l4proto '{ tcp, udp }' th dport 22"),
        (NFT, "iifname 'ens*'", "iifname 'br*'"),
        (NFT, "ip daddr != 192.168.80.0/24", "ip daddr != 10.0.0.0/8"),
    ],
)
def test_a_rule_for_other_packets_is_not_what_an_untracked_one_missed(rules: str, of_others: str, of_this: str) -> None:
    """A packet that is not tracked is lost by a blackhole, unless a rule of DNAT would have been for it."""
    found = []
    for condition in (of_others, of_this):
        with Lab(load(find("bridge-walkthrough"))) as lab:
            run(lab, {"node": f"{rules.replace('CONDITION', condition)}; ip route add blackhole {OUTSIDE}/32"})
            cause = _tcp(lab.place("node/ns01"), OUTSIDE).cause
            found.append(cause.id if cause else "")

    assert found == ["routing.blackhole", "nat.destination-untracked"]


MASQUERADE = (
    "nft add table ip n; nft add chain ip n p '{ type nat hook postrouting priority srcnat; }'; nft add chain ip n m; "
    "nft add set ip n pods '{ type ipv4_addr; elements = { 10.40.80.99 } ; }'; "
)


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("nft add rule ip n p oifname 'ens*' meta mark 7 masquerade", "it asks for meta mark 0x00000007"),
        (
            "nft add rule ip n m meta mark 7 masquerade; nft add rule ip n p oifname vmap '{ ens33 : jump m }'",
            "it asks for meta mark 0x00000007",
        ),
        ("nft add rule ip n p ip saddr @pods masquerade", "it asks for ip saddr @pods"),
        (
            "nft add rule ip n p ip saddr '{ 10.41.0.0/16, 10.43.0.0/16 }' masquerade",
            "ip saddr { 10.41.0.0/16, 10.43.0.0/16 }, but the source is 10.40.80.11",
        ),
        ("iptables -t nat -A POSTROUTING -o ens+ -m mark --mark 7 -j MASQUERADE", "it asks for -m mark --mark 0x7"),
        ("iptables -t nat -A POSTROUTING -o lo+ -j MASQUERADE", "-o lo+, but it leaves by ens33"),
    ],
)
def test_what_a_rule_that_masquerades_asks_for_in_vain_is_said(rule: str, why: str) -> None:
    """Links by patterns, sets of both kinds, and chains that a verdict map leads to."""
    with Lab(load(find("bridge-walkthrough"))) as lab:
        run(lab, {"node": f"{MASQUERADE}{rule}"})

        cause = lab.place("node/ns01").ping("8.8.8.8").cause

        assert cause is not None
        assert cause.id == "nat.masquerade-mismatch"
        assert cause.words.endswith(f"does not match: {why}")
