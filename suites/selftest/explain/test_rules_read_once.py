"""How often an explanation reads the rules of a place: thousands of them take a while."""

from __future__ import annotations

from collections import Counter

import pytest

from cnitest.kernel.netfilter import rule_words

RULES = {
    "nft": "nft 'table inet f { chain c { type filter hook forward priority 0; policy drop; }; }'",
    "iptables": "iptables -P FORWARD DROP",
    "legacy": "iptables-legacy -A FORWARD -j DROP",
}


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
@pytest.mark.topology("bridge-walkthrough")
def test_the_rules_of_a_place_are_read_once(lab, monkeypatch, rules):
    """For the rule that ended a packet, and for those that would next: each program that lists rules runs once."""
    lab.host("node").run(["sh", "-ec", rules])
    reach = lab.sandbox("ns01").ping("8.8.8.8")
    runs = Counter[str]()
    output = rule_words._output

    def counted(run, argv):
        runs[" ".join(argv)] += 1
        return output(run, argv)

    monkeypatch.setattr(rule_words, "_output", counted)

    assert reach.cause.place == "node"
    assert runs
    assert set(runs.values()) == {1}, runs
