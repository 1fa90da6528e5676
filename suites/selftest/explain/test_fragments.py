"""Rules that end later fragments of a packet, whose first one goes on to where they are put together in vain."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.ways import Broken, must_be_explained

LARGE = (("size", 3000),)
LATER = {4: "ip frag-off & 0x1fff != 0 drop", 6: "frag frag-off != 0 drop"}


def _own(family: int, hook: str) -> str:
    """A command that loads a rule against later fragments at a hook of a family's own table."""
    table = "ip" if family == 4 else "ip6"
    return f"nft 'table {table} own {{ chain c {{ type filter hook {hook} priority -450; {LATER[family]}; }}; }}'"


def _netdev(family: int) -> str:
    return (
        f"nft 'table netdev n {{ chain c {{ type filter hook ingress device eth1 priority 0; {LATER[family]}; }}; }}'"
    )


def _of(family: int) -> list[Broken]:
    """What is worded otherwise in each family."""
    own = f"nft delete rule {'ip' if family == 4 else 'ip6'} own c handle 2"
    return [
        Broken("nftables.rule", (f"r1: {_own(family, 'prerouting')}",), _short(family), "r1", own, (family,),
               options=LARGE),
        Broken("nftables.rule", (f"r1: {_own(family, 'forward')}",), _short(family), "r1", own, (family,),
               options=LARGE, probe="udp"),
        Broken("nftables.rule", (f"client: {_own(family, 'prerouting')}",), _short(family), "client", own, (family,),
               options=LARGE),
        Broken("nftables.ingress", (f"r1: {_netdev(family)}",), "netdev n c rule 1", "r1",
               "nft delete rule netdev n c handle 2", (family,), options=LARGE),
    ]  # fmt: skip


def _short(family: int) -> str:
    return f"{'ip' if family == 4 else 'ip6'} own c rule 1"


BROKEN = [
    *_of(4),
    *_of(6),
    Broken("firewall.rule", ("r1: iptables -t raw -A PREROUTING -f -j DROP",), "ip raw PREROUTING rule 1", "r1",
           "iptables -t raw -D PREROUTING -f -j DROP", (4,), options=LARGE),
    Broken("firewall.rule", ("r1: iptables-legacy -A FORWARD -f -j DROP",), "ip filter FORWARD rule 1", "r1",
           "iptables-legacy -D FORWARD -f -j DROP", (4,), options=LARGE, probe="udp"),
    Broken("firewall.rule", ("r1: ip6tables -t raw -A PREROUTING -m frag --fragid 0:4294967295 --fraglast -j DROP",),
           "ip6 raw PREROUTING rule 1", "r1", "ip6tables -t raw -D PREROUTING 1", (6,), options=LARGE),
]  # fmt: skip
CASES = [
    pytest.param(broken, family, id=f"{broken.label}-v{family}") for broken in BROKEN for family in broken.families
]


@pytest.mark.parametrize(("broken", "family"), CASES)
def test_a_rule_against_later_fragments_is_named(broken, family):
    """The rule is named with the place where it stands, and the packet passes without it."""
    must_be_explained(broken, family)
