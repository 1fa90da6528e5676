"""Sets of nftables that rules themselves fill with what is dropped."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import PROBES, Broken, demand
from cnitest.suites.selftest.explain.test_measures import TO, TOPOLOGY

FROM = {4: "10.0.1.1", 6: "fd00:1::1"}


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize("word", ["add", "update"])
def test_a_set_that_a_rule_fills_again_is_no_remedy(word, probe, family):
    """Where a rule adds what is dropped, the rule that drops goes: the next packet would add the element again."""
    name = "ip" if family == 4 else "ip6"
    rules = f"{name} saddr @deny drop; ct state new {word} @deny {{ {name} saddr timeout 1h }}"
    script = (
        f"add table inet t; add set inet t deny {{ type ipv{family}_addr; flags dynamic,timeout; size 99; }};"
        "add chain inet t c { type filter hook forward priority 0; };"
        + "".join(f"add rule inet t c {rule};" for rule in rules.split("; "))
    )
    fill = f"; nft 'add element inet t deny {{ {FROM[family]} }}'"

    demand(Broken("sets.nftables", "inet t c rule 1", "node", "nft delete rule inet t c handle 3",
                  {"node": f"nft '{script}'{fill}"}, "a", TO[family], TOPOLOGY,
                  probe=PROBES[probe]), warm=False)  # fmt: skip
