"""A rule drops a packet in a chain whose policy would drop it next: the remedy lets it pass all the same, and where a
later rule accepts, taking the rule away is enough."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import PROBES
from cnitest.suites.selftest.explain.firewall_rules import chain_of

pytestmark = pytest.mark.topology("node-with-uplink")

ADDRESSES = {"ip": ("192.168.80.2", "192.168.80.100"), "ip6": ("2001:db8:80::2", "2001:db8:80::100")}
IPTABLES = {"ip": "iptables", "ip6": "ip6tables"}
# Neighbour discovery passes, as in any firewall of IPv6; an error of a probe is not what is looked at.
DISCOVERY = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept"
_DISCOVERY = (
    "-A INPUT -p ipv6-icmp -m icmp6 --icmpv6-type 135 -j ACCEPT",
    "-A INPUT -p ipv6-icmp -m icmp6 --icmpv6-type 136 -j ACCEPT",
)
OWN = {"ip": "icmp type echo-request accept", "ip6": "icmpv6 type echo-request accept"}
_OWN = {"ip": "-A INPUT -p icmp -j ACCEPT", "ip6": "-A INPUT -p ipv6-icmp -j ACCEPT"}


def _iptables(node, family, variant, *, jump, last=()):
    """A rule that drops what the router sends, in INPUT or in a chain that it jumps to, and the policy DROP."""
    own, source = [], ADDRESSES[family][0]
    if family == "ip6":
        own += _DISCOVERY
    own += ["-N FROM-LAN", "-A INPUT -j FROM-LAN"] if jump else []
    own += [f"-A {'FROM-LAN' if jump else 'INPUT'} -s {source} -j DROP", *last]
    node.load_rules(f"{IPTABLES[family]}{variant}", "-P INPUT DROP", *own)


def _nft(node, family, *, jump, last=()):
    source = f"{family} saddr {ADDRESSES[family][0]} drop"
    rules = [DISCOVERY, "iifname ens33 jump from-lan" if jump else source, *last]
    declared = f"chain from-lan {{\n{source}\n}}" if jump else ""
    node.load_rules("nft", *chain_of("inet own", "input priority 0", *rules, policy="drop", declared=declared))


BREAKING = {
    "iptables": lambda node, family, **how: _iptables(node, family, "", **how),
    "iptables-legacy": lambda node, family, **how: _iptables(node, family, "-legacy", **how),
    "nft": _nft,
}


@pytest.mark.parametrize("jump", [False, True], ids=["base", "jumped-to"])
@pytest.mark.parametrize("family", ["ip", "ip6"])
@pytest.mark.parametrize("program", BREAKING)
@pytest.mark.parametrize("probe", PROBES)
def test_the_remedy_passes_the_policy_too(lab, program, family, jump, probe):
    """It accepts in front of the rule, by the link that the packet came in by."""
    node, router = lab.host("node"), lab.host("router")
    BREAKING[program](node, family, jump=jump)
    reach = PROBES[probe](router, ADDRESSES[family][1])

    assert reach.cause, reach.explanation
    node.run(["sh", "-ec", reach.cause.remedy])
    assert "accept" in reach.cause.remedy.lower()
    assert reach.cause.id in ("firewall.rule", "nftables.rule")
    assert PROBES[probe](router, ADDRESSES[family][1]).verdict.value == "delivered", reach.cause.remedy


@pytest.mark.parametrize("jump", [False, True], ids=["base", "jumped-to"])
@pytest.mark.parametrize("family", ["ip", "ip6"])
@pytest.mark.parametrize("program", BREAKING)
def test_the_rule_goes_where_a_later_one_accepts(lab, program, family, jump):
    """Nothing that the policy is to keep out is let in."""
    node, router = lab.host("node"), lab.host("router")
    last = [OWN[family] if program == "nft" else _OWN[family]]
    BREAKING[program](node, family, jump=jump, last=last)
    reach = router.ping(ADDRESSES[family][1])

    assert reach.cause, reach.explanation
    assert " -D " in reach.cause.remedy or "delete rule" in reach.cause.remedy
    assert "&&" not in reach.cause.remedy
    node.run(["sh", "-ec", reach.cause.remedy])
    assert router.ping(ADDRESSES[family][1])
