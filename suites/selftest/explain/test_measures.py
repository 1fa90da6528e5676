"""Rules with a measure: those that drop what is above it, and those that drop what is within."""

from __future__ import annotations

import pytest

from cnitest import Lab, Verdict
from cnitest.topology import loads

TOPOLOGY = """
name: between
hosts:
  a: {routes: [{via: 10.0.1.2}, {via: "fd00:1::2"}]}
  node: {role: router}
  b: {routes: [{via: 10.0.2.2}, {via: "fd00:2::2"}]}
veths:
  - ends:
      - {at: a, name: eth0, addresses: [10.0.1.1/24, "fd00:1::1/64"]}
      - {at: node, name: eth1, addresses: [10.0.1.2/24, "fd00:1::2/64"]}
  - ends:
      - {at: node, name: eth2, addresses: [10.0.2.2/24, "fd00:2::2/64"]}
      - {at: b, name: eth0, addresses: [10.0.2.1/24, "fd00:2::1/64"]}
"""
TO = {4: "10.0.2.1", 6: "fd00:2::1"}
IPTABLES = {4: "iptables", 6: "ip6tables"}
FAMILY = pytest.mark.parametrize("family", [4, 6])

WITHIN = {
    "limit": ("rates.limit", "-m limit --limit 100/sec --limit-burst 50", "drops what is within the rate limit"),
    "upto": ("rates.limit", "-m hashlimit --hashlimit-upto 100/sec --hashlimit-mode srcip --hashlimit-name h",
             "drops what is within the rate limit"),
    "above": ("rates.limit", "-m hashlimit --hashlimit-above 1/day --hashlimit-burst 1 --hashlimit-mode dstip "
              "--hashlimit-name h", "the rate limit is used up"),
    "quota": ("rates.quota", "-m quota --quota 100000", "drops until the quota is used up"),
    "over": ("rates.quota", "-m quota ! --quota 1", "the quota is used up"),
    "few": ("rates.connections", "-m connlimit --connlimit-upto 9", "drops while there are not more connections"),
    "many": ("rates.connections", "-m connlimit --connlimit-above 0", "as many connections as are allowed"),
}  # fmt: skip
NFT = {
    "limit": ("rates.limit", "limit rate 100/second burst 50 packets", "", "drops what is within the rate limit"),
    "named": (
        "rates.limit",
        "limit name l",
        "limit inet t l { rate 100/second; }",
        "drops what is within the rate limit",
    ),
    "quota": ("rates.quota", "quota 100 mbytes", "", "drops until the quota is used up"),
    "until": (
        "rates.quota",
        "quota name q",
        "quota inet t q { until 100 mbytes; }",
        "drops until the quota is used up",
    ),
    "over": ("rates.quota", "quota name q", "quota inet t q { over 1 bytes; }", "the quota is used up"),
    "few": ("rates.connections", "ct count 9", "", "drops while there are not more connections"),
}


def said(command: str, family: int, cause: str, *, again: bool = False) -> str:
    """What is said of a lost connection whose remedy lets it pass, after a command at the node between two hosts."""
    with Lab(loads(TOPOLOGY)) as lab:
        a, node = lab.host("a"), lab.host("node")
        node.run(["sh", "-ec", command])
        reach = [a.tcp(TO[family], 4711, wait=0.3) for _ in range(1 + again)][-1]

        assert reach.verdict is not Verdict.DELIVERED
        assert reach.cause is not None, reach.explanation
        assert (reach.cause.id, reach.cause.place) == (cause, "node"), reach.explanation
        node.run(["sh", "-ec", reach.cause.remedy])
        assert a.tcp(TO[family], 4711), reach.cause.remedy
        return reach.cause.words


@FAMILY
@pytest.mark.parametrize("variant", ["", "-legacy"])
@pytest.mark.parametrize("measure", WITHIN)
def test_which_side_of_its_measure_a_rule_drops_is_said(measure, variant, family):
    """Of iptables in both variants: a rule that drops what is within a limit is no limit that is used up."""
    cause, words, note = WITHIN[measure]
    rule = f"{IPTABLES[family]}{variant} -A FORWARD -p tcp --dport 4711 {words} -j DROP"

    assert note in said(rule, family, cause, again=measure == "above")


@FAMILY
@pytest.mark.parametrize("measure", NFT)
def test_which_side_of_its_measure_a_rule_of_nftables_drops_is_said(measure, family):
    """The same of nftables, where a named measure is defined elsewhere in the table."""
    cause, words, named, note = NFT[measure]
    table = f"add table inet t; add {named};" if named else "add table inet t;"
    chain = "add chain inet t c { type filter hook forward priority 0; };"

    assert note in said(f"nft '{table} {chain} add rule inet t c tcp dport 4711 {words} drop'", family, cause)
