"""The firewall plugin besides traffic: order of rules, other programs' chains, DEL in every end, CHECK, rejections."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.ends import ENDS
from cnitest.suites.plugins.firewalls import ROUTER, closed, filtered
from cnitest.suites.plugins.lan_networks import distrusted, rejected
from cnitest.suites.plugins.node_networks import address, caller, rules

pytestmark = [
    pytest.mark.topology("node-with-uplink"),
    pytest.mark.requires(
        kernel="conntrack", plugin=["bridge", "host-local", "firewall"], binary=["iptables", "ip6tables"]
    ),
]

BOTH = (4, 6)
#: An address of the network in each family, with its gateway.
OWN = {4: ("10.22.0.50/24", "10.22.0.1"), 6: ("2001:db8:22::50/64", "2001:db8:22::1")}


@pytest.fixture
def node(lab):
    """A host that forwards nothing by itself."""
    return closed(lab)


@pytest.mark.covers("firewall", "kernel")
def test_the_result_is_that_of_the_plugin_before(node, cni):
    """Interfaces, addresses and routes are those of the same list without the plugin."""
    wanted = filtered(*BOTH)
    with_it = cni.add(node.sandbox("c1"), wanted).result
    without = cni.add(node.sandbox("c2"), {**wanted, "plugins": wanted["plugins"][:1]}).result

    assert set(with_it.document) == set(without.document)
    assert len(with_it.interfaces) == len(without.interfaces)
    assert with_it.routes == without.routes


@pytest.mark.covers("firewall.backend", "kernel")
def test_without_firewalld_and_without_a_backend_iptables_is_used(node, cni):
    """A list that names no backend uses iptables where no firewalld runs."""
    cni.add(node.sandbox("c1"), filtered(4, backend=None))

    assert rules(node, "-j CNI-FORWARD")


@pytest.mark.covers("firewall.backend", "refused")
def test_without_firewalld_its_backend_is_refused(node, cni):
    """The backend firewalld on a host without it is an error, and no rule of iptables is made instead."""
    assert rejected(cni, node.sandbox("c1"), filtered(4, backend="firewalld"))
    assert rules(node, "CNI-FORWARD") == []


@pytest.mark.covers("firewall.backend", "refused")
def test_a_backend_that_nobody_knows_is_refused(node, cni):
    """Another backend is an error that names it."""
    assert "ebtables" in rejected(cni, node.sandbox("c1"), filtered(4, backend="ebtables"))


@pytest.mark.covers("firewall", "refused")
def test_it_is_no_plugin_by_itself(node, cni):
    """Without a previous result an ADD is rejected."""
    alone = {"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "firewall", "backend": "iptables"}]}

    assert "prevResult" in rejected(cni, node.sandbox("c1"), alone)


@pytest.mark.covers("firewall", "kernel")
def test_a_list_without_addresses_gets_no_rules(node, cni):
    """Where the plugin before has given no address there is nothing to let through."""
    wanted = {**filtered(4), "plugins": [{"type": "bridge"}, {"type": "firewall", "backend": "iptables"}]}
    cni.add(node.sandbox("c1"), wanted)

    assert rules(node, "-A CNI-FORWARD") == []


@pytest.mark.topology("docker-host")
@pytest.mark.covers("firewall", "kernel", "packet")
def test_the_way_stands_before_dockers_chains(lab, cni):
    """On a host of Docker the jump comes before DOCKER-USER, and what Docker's rules drop still gets out."""
    node = closed(lab)
    attachment = cni.add(node.sandbox("c1"), filtered(4, bridge={"ipMasq": True}))
    forward = [rule for rule in rules(node, "-A FORWARD") if "-j CNI-FORWARD" in rule or "DOCKER" in rule]

    assert "CNI-FORWARD" in forward[0]
    assert attachment.sandbox.tcp(ROUTER[4], 80)


@pytest.mark.covers("firewall", "packet", "kernel")
def test_the_next_container_mends_what_was_flushed(node, cni):
    """After another program flushed FORWARD the next ADD brings the way back, for the first container, too."""
    first = cni.add(node.sandbox("c1"), filtered(4))
    node.run(["iptables", "-w", "-F", "FORWARD"])
    cut = bool(first.sandbox.tcp(ROUTER[4], 80))
    cni.add(node.sandbox("c2"), filtered(4))

    assert not cut
    assert first.sandbox.tcp(ROUTER[4], 80)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.covers("firewall", "DEL", "kernel")
def test_delete_leaves_no_rule_of_the_container(node, cni, end):
    """However the container ended, after DEL no rule names one of its addresses."""
    attachment = cni.add(node.sandbox("c1"), filtered(*BOTH))
    own = [f"{address(attachment, family)}/" for family in BOTH]
    assert len(rules(node, *own)) == 4
    ENDS[end](cni, attachment)

    assert rules(node, *own) == []


@pytest.mark.covers("firewall", "DEL", "kernel")
def test_deleting_twice_is_no_error(node, cni):
    """A second DEL finds nothing, and succeeds."""
    attachment = cni.add(node.sandbox("c1"), filtered(*BOTH))
    target, result = attachment.target, attachment.result.document
    cni.delete(attachment)
    caller(cni).delete(target, result)

    assert rules(node, f"{attachment.address}/") == []


@pytest.mark.parametrize("family", BOTH, ids=["ipv4", "ipv6"])
@pytest.mark.covers("firewall", "DEL", "kernel", "packet")
def test_the_rules_of_who_was_never_deleted_end_with_the_next(node, cni, family):
    """A container that gets the address of one that was never deleted has its rules, once each; with its DEL they go,
    and who has the address after it without the plugin is dropped."""
    own, gateway = OWN[family]
    ipam = {"type": "static", "addresses": [{"address": own, "gateway": gateway}]}
    wanted = filtered(bridge={"ipam": ipam})
    cni.add(node.sandbox("c1"), wanted)
    node.lose("c1")
    heir = cni.add(node.sandbox("c2"), wanted)
    assert len(rules(node, f"{heir.address}/")) == 2
    assert heir.sandbox.tcp(ROUTER[family], 80)
    cni.delete(heir)
    last = cni.add(node.sandbox("c3"), {**wanted, "plugins": wanted["plugins"][:1]})

    reach = last.sandbox.tcp(ROUTER[family], 80)

    assert rules(node, f"{heir.address}/") == []
    assert reach.dropped_by == f"{'ip' if family == 4 else 'ip6'} filter FORWARD policy"


@pytest.mark.covers("firewall", "DEL", "kernel")
def test_coming_and_going_leaves_nothing(node, cni):
    """After five containers came and went there are as many rules as after the first."""
    counts = []
    for number in range(5):
        cni.delete(cni.add(node.sandbox(f"c{number}"), filtered(*BOTH)))
        counts.append(len(rules(node, "CNI")))

    assert set(counts) == {counts[0]}


@pytest.mark.parametrize("keys", [{}, {"ingressPolicy": "same-bridge"}, {"iptablesAdminChainName": "SITE"}], ids=str)
@pytest.mark.covers("firewall", "CHECK")
@pytest.mark.covers("firewall.ingressPolicy", "CHECK")
@pytest.mark.covers("firewall.iptablesAdminChainName", "CHECK")
def test_check_passes_while_nothing_was_changed(node, cni, keys):
    """An attachment is in order, also once a second one has come and gone, and CHECK changes nothing."""
    attachment = cni.add(node.sandbox("c1"), filtered(*BOTH, **keys))
    cni.delete(cni.add(node.sandbox("c2"), filtered(*BOTH, **keys)))
    before = node.state().firewall
    cni.check(attachment)

    assert node.state().firewall == before


def _rule(*words):
    return lambda node, own: node.run(["iptables", "-w", *(own if word == "OWN" else word for word in words)])


_BEGUN = ("-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED")
_ENTRY = ("-m", "comment", "--comment", "CNI firewall plugin rules", "-j", "CNI-FORWARD")
#: What can happen to a container's rules, and the words of iptables(8) that do it.
TAMPERINGS = {
    "egress-removed": _rule("-D", "CNI-FORWARD", "-s", "OWN", "-j", "ACCEPT"),
    "answers-removed": _rule("-D", "CNI-FORWARD", "-d", "OWN", *_BEGUN, "-j", "ACCEPT"),
    "entry-removed": _rule("-D", "FORWARD", *_ENTRY),
    "all-removed": _rule("-F", "CNI-FORWARD"),
    "admin-removed": _rule("-D", "CNI-FORWARD", "1"),
    "dropped-before": _rule("-I", "FORWARD", "1", "-s", "OWN", "-j", "DROP"),
    "dropped-in-chain": _rule("-I", "CNI-FORWARD", "1", "-s", "OWN", "-j", "DROP"),
    "isolation-entry-removed": _rule("-F", "CNI-ISOLATION-STAGE-1"),
    "isolation-removed": _rule("-F", "CNI-ISOLATION-STAGE-2"),
}


@pytest.mark.parametrize("tampering", TAMPERINGS)
@pytest.mark.covers("firewall", "CHECK")
@pytest.mark.covers("firewall.ingressPolicy", "CHECK")
def test_check_finds_what_was_changed(node, cni, tampering):
    """CHECK fails once a packet of the container would not pass, or would pass where it must not."""
    attachment = cni.add(node.sandbox("c1"), filtered(4, ingressPolicy="same-bridge"))
    TAMPERINGS[tampering](node, attachment.address)

    assert distrusted(cni, attachment)


@pytest.mark.covers("firewall", "CHECK")
def test_check_finds_a_missing_rule_of_ipv6(node, cni):
    """The same for the second family."""
    attachment = cni.add(node.sandbox("c1"), filtered(*BOTH))
    node.run(["ip6tables", "-w", "-D", "CNI-FORWARD", "-s", address(attachment, 6), "-j", "ACCEPT"])

    assert distrusted(cni, attachment)
