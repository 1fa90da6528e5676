"""The firewall plugin's ingress policies and the administrator's chain by traffic: who may begin, who decides first."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.firewalls import ROUTER, TABLES, closed, filtered, other_filtered
from cnitest.suites.plugins.lan_networks import rejected
from cnitest.suites.plugins.node_networks import rules

pytestmark = [
    pytest.mark.topology("node-with-uplink"),
    pytest.mark.requires(
        kernel=["br_netfilter", "conntrack"],
        plugin=["bridge", "host-local", "firewall"],
        binary=["iptables", "ip6tables"],
    ),
]

FAMILY = pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
POLICY = pytest.mark.parametrize("policy", ["ACCEPT", "DROP"])
ISOLATED = pytest.param("isolated", marks=pytest.mark.requires(plugin="firewall>=1.7"))
PROBES = ("icmp", "tcp:80", "udp:53")
#: Who is to be reached by a container of a network with an ingress policy, where the host's own policy is ACCEPT.
WAYS = ("out", "same bridge", "to open", "between closed", "in")
TRUTH = {
    "open": dict.fromkeys(WAYS, True),
    "same-bridge": {**dict.fromkeys(WAYS, True), "between closed": False},
    "isolated": {**dict.fromkeys(WAYS, True), "same bridge": False, "between closed": False},
}


def ways(lab, node, cni, family, ingress):
    """From whom to whom each way leads: two containers of the policy's network, one of another network with it, one
    of a network that is open; the places, and the address of the one that is reached."""
    own, wanted = (cni.add(node.sandbox(name), filtered(family, ingressPolicy=ingress)) for name in ("c1", "c2"))
    closed_too = cni.add(node.sandbox("c3"), other_filtered(family, ingressPolicy=ingress))
    third = {4: "10.44.0.0/24", 6: "2001:db8:44::/64"}[family]
    ipam = {"type": "host-local", "ranges": [[{"subnet": third}]]}
    free = cni.add(node.sandbox("c4"), filtered(family, bridge={"name": "free", "bridge": "cni2", "ipam": ipam}))
    router = lab.host("router")
    return {
        "out": (own.sandbox, ROUTER[family]),
        "same bridge": (own.sandbox, wanted.address),
        "to open": (own.sandbox, free.address),
        "between closed": (closed_too.sandbox, own.address),
        "in": (router, own.address),
    }


def reached(place, address):
    """Whether three probes get there; they have to agree."""
    found = {bool(place.ping(address)), bool(place.tcp(address, 80)), bool(place.udp(address, 53))}
    assert len(found) == 1, f"{place.full_name} to {address}: some probes get through"
    return found.pop()


@FAMILY
@POLICY
@pytest.mark.parametrize("ingress", ["open", "same-bridge", ISOLATED])
@pytest.mark.covers("firewall.ingressPolicy", "packet")
def test_who_may_begin(lab, cni, family, policy, ingress):
    """By ingress policy and the host's own: out, in, to the same bridge, to and from others. What the host drops by
    itself is only what somebody outside begins."""
    node = closed(lab, policy)

    found = {way: reached(*ends) for way, ends in ways(lab, node, cni, family, ingress).items()}

    truth = {**TRUTH[ingress], "in": policy == "ACCEPT"}
    assert found == truth


@FAMILY
@pytest.mark.parametrize("ingress", ["open", "same-bridge", ISOLATED])
@pytest.mark.covers("firewall.ingressPolicy", "packet")
def test_whether_an_open_bridge_may_begin(lab, cni, family, ingress):
    """A container of a network without ingress policy reaches those of an open network, and of no closed one."""
    node = closed(lab, "ACCEPT")
    own = cni.add(node.sandbox("c1"), filtered(family, ingressPolicy=ingress))
    free = cni.add(node.sandbox("c2"), other_filtered(family))
    begins = reached(free.sandbox, own.address)

    assert {ingress: begins} == {ingress: ingress == "open"}


@FAMILY
@pytest.mark.covers("firewall.ingressPolicy", "packet")
def test_an_answer_passes_between_bridges_that_are_closed_to_each_other(lab, cni, family):
    """Who is closed may still be answered: what a container of a closed bridge asks of an open one comes back."""
    node = closed(lab)
    own = cni.add(node.sandbox("c1"), filtered(family, ingressPolicy="same-bridge"))
    free = cni.add(node.sandbox("c2"), other_filtered(family))

    with own.sandbox.connection(free.address, 80) as connection:
        assert connection.alive()


@FAMILY
@pytest.mark.covers("firewall.ingressPolicy", "packet")
def test_the_rule_that_closes_a_bridge_is_named(lab, cni, family):
    """What one closed bridge sends to another is dropped by the chain for it, not by the host's policy."""
    node = closed(lab, "ACCEPT")
    own = cni.add(node.sandbox("c1"), filtered(family, ingressPolicy="same-bridge"))
    other = cni.add(node.sandbox("c2"), other_filtered(family, ingressPolicy="same-bridge"))
    reach = own.sandbox.tcp(other.address, 80)

    assert not reach
    assert "CNI-ISOLATION-STAGE-2" in reach.dropped_by


@pytest.mark.covers("firewall.ingressPolicy", "kernel")
def test_a_bridge_is_closed_once(lab, cni):
    """A second container of the bridge adds no second rule for it, and the chains come before the accepting one."""
    node = closed(lab)
    cni.add(node.sandbox("c1"), filtered(4, 6, ingressPolicy="same-bridge"))
    before = rules(node, "ISOLATION")
    cni.add(node.sandbox("c2"), filtered(4, 6, ingressPolicy="same-bridge"))
    forward = [rule for rule in rules(node, "-A FORWARD") if "CNI" in rule]

    assert rules(node, "ISOLATION") == before
    assert ["ISOLATION" in rule for rule in forward] == [True, False] * 2


@pytest.mark.covers("firewall.ingressPolicy", "packet", "DEL")
def test_a_bridge_stays_closed_while_a_container_is_there(lab, cni):
    """DEL of one container opens nothing for the other one of its bridge."""
    node = closed(lab, "ACCEPT")
    gone, stays = (cni.add(node.sandbox(name), filtered(4, ingressPolicy="same-bridge")) for name in ("c1", "c2"))
    other = cni.add(node.sandbox("c3"), other_filtered(4, ingressPolicy="same-bridge"))
    cni.delete(gone)

    assert not other.sandbox.ping(stays.address)


@pytest.mark.covers("firewall.ingressPolicy", "refused")
def test_an_ingress_policy_that_nobody_knows_is_refused(lab, cni):
    """Another word is an error that names it."""
    node = closed(lab)

    assert "closed" in rejected(cni, node.sandbox("c1"), filtered(4, ingressPolicy="closed"))


@FAMILY
@pytest.mark.parametrize("chain", [None, "SITE-RULES"], ids=["default", "named"])
@pytest.mark.covers("firewall.iptablesAdminChainName", "packet", "kernel")
def test_the_administrators_chain_decides_first(lab, cni, family, chain):
    """What the administrator drops there is dropped, although the plugin would let it through; the rest passes."""
    node, name = closed(lab), chain or "CNI-ADMIN"
    attachment = cni.add(node.sandbox("c1"), filtered(family, iptablesAdminChainName=chain))
    node.load_rules(TABLES[family], f"-A {name} -p tcp --dport 443 -j DROP")
    cut = attachment.sandbox.tcp(ROUTER[family], 443)

    assert not cut
    assert name in cut.dropped_by
    assert attachment.sandbox.tcp(ROUTER[family], 80)


@FAMILY
@pytest.mark.covers("firewall.iptablesAdminChainName", "packet", "DEL")
def test_the_administrators_rules_stay(lab, cni, family):
    """Rules in the chain that were there before the first ADD count, and are still there after the last DEL."""
    node = closed(lab)
    node.load_rules(TABLES[family], "-N CNI-ADMIN", "-A CNI-ADMIN -p tcp --dport 443 -j DROP")
    attachment = cni.add(node.sandbox("c1"), filtered(family))
    cut = attachment.sandbox.tcp(ROUTER[family], 443)
    cni.delete(attachment)

    assert not cut
    assert rules(node, "--dport 443")


@FAMILY
@pytest.mark.covers("firewall.iptablesAdminChainName", "packet")
def test_the_administrator_opens_what_the_plugin_does_not(lab, cni, family):
    """What the administrator accepts there gets in from outside, under a policy that drops."""
    node = closed(lab)
    attachment = cni.add(node.sandbox("c1"), filtered(family))
    node.load_rules(TABLES[family], "-A CNI-ADMIN -p tcp --dport 80 -j ACCEPT")
    router = lab.host("router")

    assert router.tcp(attachment.address, 80)
    assert not router.tcp(attachment.address, 81)


@pytest.mark.covers("firewall.iptablesAdminChainName", "refused")
def test_a_chain_name_that_iptables_does_not_take_is_refused(lab, cni):
    """A name of 29 letters and more is rejected, and no rule is made."""
    node = closed(lab)
    rejected(cni, node.sandbox("c1"), filtered(4, iptablesAdminChainName="A" * 32))

    assert rules(node, "A" * 29) == []
