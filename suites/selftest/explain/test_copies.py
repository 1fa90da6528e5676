"""Questions for MACs of which a bridge makes copies: the rule that ended the one for who has the address.

As the rules against false MACs of canonical/lxd issue 2423, which stand in FORWARD and in INPUT.
"""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import Broken, demand

EBTABLES = "ebtables -A FORWARD -i veth01 -j DROP; ebtables -A INPUT -i veth01 -j DROP"
CHAIN = "chain {0} {{ type filter hook {0} priority 0; iifname veth01 drop; }};"
NFT = f"nft 'table bridge f {{ {CHAIN.format('forward')} {CHAIN.format('input')} }}'"


@pytest.mark.parametrize(
    ("command", "to", "chain", "remedy"),
    [
        (EBTABLES, "10.40.80.1", "bridge filter INPUT rule 1", "ebtables -D INPUT -i veth01 -j DROP"),
        (EBTABLES, "2001:db8:40::1", "bridge filter INPUT rule 1", "ebtables -D INPUT -i veth01 -j DROP"),
        (EBTABLES, "10.40.80.12", "bridge filter FORWARD rule 1", "ebtables -D FORWARD -i veth01 -j DROP"),
        (EBTABLES, "2001:db8:40::12", "bridge filter FORWARD rule 1", "ebtables -D FORWARD -i veth01 -j DROP"),
        (NFT, "10.40.80.1", "bridge f input rule 1", "nft delete rule bridge f input handle 4"),
        (NFT, "2001:db8:40::1", "bridge f input rule 1", "nft delete rule bridge f input handle 4"),
        (NFT, "10.40.80.12", "bridge f forward rule 1", "nft delete rule bridge f forward handle 3"),
    ],
)
def test_the_copy_for_who_has_the_address_counts(command, to, chain, remedy):
    """A rule that ended another port's copy is no cause; without the one that is named, the answer comes."""
    demand(Broken("firewall.neighbour", chain, "node", remedy, {"node": command}, to=to), warm=False)
