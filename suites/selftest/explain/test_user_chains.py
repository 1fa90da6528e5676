"""Chains of one's own of ebtables, which have policies: nftables has these as rules at the chains' ends."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import Broken, demand

NS02 = {4: "10.40.80.12", 6: "2001:db8:40::12"}
OPEN = "ebtables -N X; ebtables -P X {policy}; ebtables -A X -p ARP -j ACCEPT; {rules} ebtables -A FORWARD -j X"
NEIGHBOURS = "ebtables -A X -p IPv6 --ip6-proto ipv6-icmp --ip6-icmp-type 135:136 -j ACCEPT;"


@pytest.mark.parametrize("family", [4, 6])
def test_the_policy_is_told_as_ebtables_has_it(family):
    """It is no rule that one could delete."""
    broken = Broken(
        "firewall.ebtables",
        "bridge filter X policy",
        "node",
        "ebtables -P X RETURN",
        {"node": OPEN.format(policy="DROP", rules=NEIGHBOURS)},
        to=NS02[family],
    )
    demand(broken, warm=False)


@pytest.mark.parametrize("policy", ["DROP", "ACCEPT", "RETURN"])
def test_rules_of_such_a_chain_are_told_in_the_words_of_ebtables(policy):
    """Whatever nftables has at the end of the chain; behind the rule the packet meets the policy."""
    rule = "-p IPv4 --ip-proto icmp --ip-icmp-type echo-request -j DROP"
    broken = Broken(
        "firewall.ebtables",
        "bridge filter X rule 2",
        "node",
        f"ebtables -D X {rule}",
        {"node": OPEN.format(policy=policy, rules=f"ebtables -A X {rule}; ebtables -A X -p IPv4 -j ACCEPT;")},
        to=NS02[4],
    )
    demand(broken, warm=False)
