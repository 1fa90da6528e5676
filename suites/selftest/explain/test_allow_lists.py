"""Sets of nftables whose members a rule accepts, and the member that one lacks where the rest is dropped."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import PROBES, Broken, demand
from cnitest.suites.selftest.explain.test_measures import TO, TOPOLOGY

FROM = {4: "10.0.1.1", 6: "fd00:1::1"}
OTHER = {4: "192.0.2.0/24", 6: "2001:db8::/64"}
NDP = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept;"
ESTABLISHED = "ct state established,related accept;"


def table(family, rules, *, sets=("saddr",), policy="drop", more=""):
    """The command that makes a table whose FORWARD has rules, with sets named as the fields that are in them."""
    kinds = {"saddr": f"ipv{family}_addr", "daddr": f"ipv{family}_addr", "both": f"ipv{family}_addr . inet_service"}
    made = "".join(
        f"set {name} {{ type {kinds[name]}; flags interval; "
        f"{f'elements = {{ {OTHER[family]} }};' if name != 'both' else ''} }}; "
        for name in sets
    )
    name = "ip" if family == 4 else "ip6"
    chain = f"chain c {{ type filter hook forward priority 0; policy {policy}; {NDP} {rules.replace('IP', name)} }}"
    return {"node": f"nft 'table inet t {{ {made} {more.replace('IP', name)} {chain}; }}'"}


def lost(family, remedy, commands, probe="ping", *, where="policy", cause="sets.allow-list"):
    """What is demanded of a probe through the node."""
    demand(Broken(cause, f"inet t c {where}", "node", remedy, commands, "a", TO[family], TOPOLOGY,
                  probe=PROBES[probe]), warm=False)  # fmt: skip


def element(name, *keys):
    """The command that adds elements to a set."""
    return " && ".join(f"nft 'add element inet t {name} {{ {key} }}'" for key in keys)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("probe", PROBES)
def test_a_source_that_is_not_in_the_set(probe, family):
    """The element is added, and nothing else accepted: replies are."""
    lost(family, element("saddr", FROM[family]), table(family, f"{ESTABLISHED} IP saddr @saddr accept;"), probe)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("probe", PROBES)
def test_replies_are_accepted_by_the_set_alone(probe, family):
    """Where nothing accepts replies, the set gets their source, too."""
    lost(family, element("saddr", FROM[family], TO[family]), table(family, "IP saddr @saddr accept;"), probe)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("end", ["counter drop", 'log prefix "gone " drop', "reject with icmpx admin-prohibited"])
def test_a_last_rule_drops_the_rest(end, family):
    """The end is a rule without conditions in place of a policy."""
    rules = f"{ESTABLISHED} IP saddr @saddr accept; {end};"
    lost(family, element("saddr", FROM[family]), table(family, rules, policy="accept"), where="rule 4")


@pytest.mark.parametrize("family", [4, 6])
def test_a_destination_with_its_port(family):
    """Of fields that are looked up together the element has each."""
    rules = f"{ESTABLISHED} IP daddr . tcp dport @both accept;"
    lost(family, element("both", f"{TO[family]} . 4711"), table(family, rules, sets=("both",)), "tcp")


@pytest.mark.parametrize("family", [4, 6])
def test_two_sets_of_one_rule(family):
    """A rule that looks two fields up wants both elements."""
    rules = f"{ESTABLISHED} IP saddr @saddr IP daddr @daddr counter accept;"
    remedy = f"{element('saddr', FROM[family])} && {element('daddr', TO[family])}"
    lost(family, remedy, table(family, rules, sets=("saddr", "daddr")))


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("has", ["neither", "source", "destination"])
def test_one_set_for_both_addresses(has, family):
    """A rule that looks both addresses up in one set wants each of them there."""
    commands = table(family, f"{ESTABLISHED} IP saddr @saddr IP daddr @saddr accept;")
    there = {"source": FROM[family], "destination": TO[family]}
    if has in there:
        commands["node"] += f" && {element('saddr', there.pop(has))}"
    lost(family, element("saddr", *there.values()), commands)


@pytest.mark.parametrize("family", [4, 6])
def test_a_set_of_a_chain_that_is_jumped_to(family):
    """The rule stands in a chain that the base chain jumps to before it drops."""
    rules = f'{ESTABLISHED} iifname "eth1" jump pods;'
    commands = table(family, rules, more="chain pods { IP saddr @saddr accept; };")
    lost(family, element("saddr", FROM[family]), commands)


@pytest.mark.parametrize("family", [4, 6])
def test_a_chain_that_drops_what_it_does_not_accept(family):
    """The end is in the chain that is jumped to, as of a pod's policy; the base chain accepts replies before."""
    rules = f'{ESTABLISHED} iifname "eth1" jump pods;'
    commands = table(family, rules, policy="accept", more="chain pods { IP saddr @saddr accept; drop; };")
    demand(Broken("sets.allow-list", "inet t pods rule 2", "node", element("saddr", FROM[family]), commands, "a",
                  TO[family], TOPOLOGY), warm=False)  # fmt: skip


@pytest.mark.parametrize("family", [4, 6])
def test_what_is_for_the_place_itself(family):
    """A set of INPUT is told as one of FORWARD, and replies need nothing."""
    name = "ip" if family == 4 else "ip6"
    rules = f"type filter hook input priority 0; policy drop; {NDP} {name} saddr @s tcp dport 4711 accept"
    commands = {"b": f"nft 'table inet t {{ set s {{ type ipv{family}_addr; }}; chain c {{ {rules}; }}; }}'"}
    demand(Broken("sets.allow-list", "inet t c policy", "b", element("s", FROM[family]), commands, "a",
                  TO[family], TOPOLOGY, probe=PROBES["tcp"]), warm=False)  # fmt: skip


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(
    "rule",
    [
        "IP saddr @saddr tcp dport 80 accept",
        'iifname "eth7" IP saddr @saddr accept',
        "IP saddr @saddr meta mark 7 accept",
        "IP saddr != @saddr tcp dport 80 accept",
        "IP daddr @saddr return",
    ],
)
def test_a_rule_that_would_not_accept_it_anyway(rule, family):
    """Where the rule asks for what the packet has not, or for what nobody knows, the policy is the cause."""
    remedy = (
        "nft insert rule inet t c iifname eth1 accept"
        if "return" in rule
        else "nft add rule inet t c iifname eth1 accept"
    )
    lost(family, remedy, table(family, f"{ESTABLISHED} {rule};"), cause="nftables.policy")


@pytest.mark.parametrize("family", [4, 6])
def test_a_rule_that_leaves_the_reply(family):
    """A rule for one direction is no way back: the policy is the cause, and both ways are accepted."""
    remedy = "nft add rule inet t c iifname eth1 accept && nft add rule inet t c oifname eth1 accept"
    lost(family, remedy, table(family, 'iifname "eth1" IP saddr @saddr accept;'), cause="nftables.policy")


@pytest.mark.parametrize("family", [4, 6])
def test_another_table_would_drop_it_next(family):
    """The remedy is for what would end the packet at the same hook, too."""
    name = "ip" if family == 4 else "ip6"
    commands = table(family, f"{ESTABLISHED} IP saddr @saddr accept;")
    rules = f"type filter hook forward priority 5; policy drop; {NDP if family == 6 else ''} {ESTABLISHED}"
    commands["node"] += f" && nft 'table {name} u {{ chain d {{ {rules} }}; }}'"
    remedy = f"{element('saddr', FROM[family])} && nft add rule {name} u d iifname eth1 accept"
    lost(family, remedy, commands)
