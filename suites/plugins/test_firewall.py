"""The firewall plugin where the host forwards nothing by itself: which packets it lets through, and which not."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.firewalls import ROUTER, TABLES, closed, filtered, other_filtered
from cnitest.suites.plugins.node_networks import address, rules, two_of
from cnitest.suites.plugins.seen import goes_on, source

pytestmark = [
    pytest.mark.topology("node-with-uplink"),
    pytest.mark.requires(
        kernel=["br_netfilter", "conntrack"],
        plugin=["bridge", "host-local", "firewall"],
        binary=["iptables", "ip6tables"],
    ),
]

FAMILY = pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
PROBES = ("ping", "tcp", "udp")
PROBE = pytest.mark.parametrize("probe", PROBES)
POLICY = {4: "ip filter FORWARD policy", 6: "ip6 filter FORWARD policy"}


@pytest.fixture
def node(lab):
    """A host that forwards nothing by itself."""
    return closed(lab)


def sent(place, probe, to):
    """One probe of some kind."""
    return place.ping(to) if probe == "ping" else getattr(place, probe)(to, 80)


@FAMILY
@PROBE
@pytest.mark.covers("firewall", "packet")
def test_a_container_gets_out(node, cni, family, probe):
    """What a container begins passes, and the answer to it, with the container's own address."""
    attachment = cni.add(node.sandbox("c1"), filtered(family))

    assert source(sent(attachment.sandbox, probe, ROUTER[family])) == attachment.address


@FAMILY
@PROBE
@pytest.mark.covers("firewall", "packet")
def test_nobody_outside_begins(lab, node, cni, family, probe):
    """What somebody outside begins is not let through: FORWARD's policy drops it."""
    attachment = cni.add(node.sandbox("c1"), filtered(family))
    reach = sent(lab.host("router"), probe, attachment.address)

    assert not reach
    assert reach.dropped_by == POLICY[family]


@FAMILY
@PROBE
@pytest.mark.covers("firewall", "packet")
def test_without_the_plugin_nothing_passes(lab, node, cni, family, probe):
    """The same host drops what a container sends when its list has no firewall plugin."""
    wanted = filtered(family)
    plain = cni.add(node.sandbox("c1"), {**wanted, "plugins": wanted["plugins"][:1]})
    reach = sent(plain.sandbox, probe, ROUTER[family])

    assert not reach
    assert reach.dropped_by == POLICY[family]


@FAMILY
@PROBE
@pytest.mark.covers("firewall", "packet")
def test_containers_of_one_bridge_reach_each_other(node, cni, family, probe):
    """Bridged packets pass, in both directions, although the host's FORWARD sees them."""
    first, second = (cni.add(node.sandbox(name), filtered(family)) for name in ("c1", "c2"))

    assert sent(first.sandbox, probe, second.address)
    assert sent(second.sandbox, probe, first.address)


@FAMILY
@PROBE
@pytest.mark.covers("firewall.ingressPolicy", "packet")
def test_containers_of_two_bridges_reach_each_other(node, cni, family, probe):
    """Without an ingress policy packets from one bridge to another pass, in both directions."""
    first = cni.add(node.sandbox("c1"), filtered(family))
    second = cni.add(node.sandbox("c2"), other_filtered(family, ingressPolicy="open"))

    assert sent(first.sandbox, probe, second.address)
    assert sent(second.sandbox, probe, first.address)


@FAMILY
@pytest.mark.covers("firewall", "packet")
def test_an_error_about_a_containers_packet_comes_back(lab, node, cni, family):
    """An ICMP error that answers what a container has sent is let through to it."""
    lab.host("router").load_rules(TABLES[family], "-A INPUT -p udp --dport 9 -j REJECT")
    attachment = cni.add(node.sandbox("c1"), filtered(family))
    reach = attachment.sandbox.udp(ROUTER[family], 9)

    assert not reach
    assert reach.answered_by == ROUTER[family]


@FAMILY
@pytest.mark.covers("firewall", "packet")
def test_a_reset_comes_back(lab, node, cni, family):
    """The reset of a port that is closed is let through to the container that asked, which need not wait."""
    lab.host("router").load_rules(TABLES[family], "-A INPUT -p tcp --dport 9 -j REJECT --reject-with tcp-reset")
    attachment = cni.add(node.sandbox("c1"), filtered(family))
    reach = attachment.sandbox.tcp(ROUTER[family], 9)

    assert not reach
    assert reach.answered_by == ROUTER[family]


@FAMILY
@pytest.mark.parametrize("size", [1400, 3000], ids=["large", "fragments"])
@pytest.mark.covers("firewall", "packet")
def test_large_packets_pass(node, cni, family, size):
    """Packets of nearly the MTU pass both ways, and those that go in fragments."""
    attachment = cni.add(node.sandbox("c1"), filtered(family))

    assert attachment.sandbox.ping(ROUTER[family], size=size)


@FAMILY
@pytest.mark.covers("firewall", "packet")
def test_a_connection_goes_both_ways_as_long_as_it_is_open(node, cni, family):
    """A connection that a container opened still carries bytes both ways after others came and went."""
    first = cni.add(node.sandbox("c1"), filtered(family))
    with first.sandbox.connection(ROUTER[family], 443) as connection:
        cni.delete(cni.add(node.sandbox("c2"), filtered(family)))

        assert goes_on(connection)


@FAMILY
@pytest.mark.covers("firewall", "packet")
def test_each_container_has_rules_of_its_own(node, cni, family):
    """A container without the plugin is dropped beside one with it, on the same bridge."""
    wanted = filtered(family)
    with_it = cni.add(node.sandbox("c1"), wanted)
    without = cni.add(node.sandbox("c2"), {**wanted, "plugins": wanted["plugins"][:1]})

    assert with_it.sandbox.tcp(ROUTER[family], 80)
    assert not without.sandbox.tcp(ROUTER[family], 80)


@pytest.mark.covers("firewall", "packet", "kernel")
def test_both_families_of_a_container_get_out(node, cni):
    """On a network of both families each address has its two rules, and each family passes."""
    attachment = cni.add(node.sandbox("c1"), filtered(4, 6))

    for family in (4, 6):
        assert len(rules(node, f"{address(attachment, family)}/")) == 2
        assert attachment.sandbox.tcp(ROUTER[family], 80)


@FAMILY
@pytest.mark.covers("firewall", "packet", "DEL")
def test_each_of_two_addresses_gets_out(node, cni, family):
    """A container with two addresses of one family gets out from either, and DEL leaves no rule of any."""
    attachment = cni.add(node.sandbox("c1"), filtered(bridge={"ipam": two_of(family)}))

    for each in attachment.addresses:
        assert attachment.sandbox.tcp(ROUTER[family], 80, source=each)
    cni.delete(attachment)

    assert rules(node, *(f"{each}/" for each in attachment.addresses)) == []


@FAMILY
@pytest.mark.covers("firewall", "kernel")
def test_a_second_container_adds_its_own_two_rules(node, cni, family):
    """The chains are made once; each container has one rule for what it sends, one for what answers it."""
    cni.add(node.sandbox("c1"), filtered(family))
    before = {line for lines in node.state().firewall.values() for line in lines}
    second = cni.add(node.sandbox("c2"), filtered(family))
    after = {line for lines in node.state().firewall.values() for line in lines}

    own = after - before
    assert len(own) == 2
    assert all(second.address in line for line in own)


@FAMILY
@pytest.mark.covers("firewall", "packet", "kernel")
def test_the_way_stands_before_rules_that_were_there(node, cni, family):
    """The jump to the plugin's chain is FORWARD's first rule, before a REJECT of everything that was there."""
    node.load_rules(TABLES[family], "-A FORWARD -j REJECT")
    attachment = cni.add(node.sandbox("c1"), filtered(family))

    assert rules(node, "-A FORWARD")[-2:][0].endswith("-j CNI-FORWARD")
    assert attachment.sandbox.tcp(ROUTER[family], 80)


@FAMILY
@pytest.mark.covers("firewall", "DEL", "packet", "kernel")
def test_delete_closes_the_way(node, cni, family):
    """After DEL no rule names the address, and who gets the address next without the plugin is dropped."""
    wanted = filtered(family)
    gone = cni.add(node.sandbox("c1"), wanted)
    cni.delete(gone)
    heir = _with_address(cni, node, gone.address, family)

    assert rules(node, f"{gone.address}/") == []
    assert not heir.sandbox.tcp(ROUTER[family], 80)


def _with_address(cni, node, wanted, family):
    prefix = {4: 24, 6: 64}[family]
    plain = filtered(family)
    ipam = {"type": "static", "addresses": [{"address": f"{wanted}/{prefix}", "gateway": _first(wanted)}]}
    return cni.add(node.sandbox("heir"), {**plain, "plugins": [{**plain["plugins"][0], "ipam": ipam}]})


def _first(wanted):
    return wanted[:-1] + "1"


@FAMILY
@pytest.mark.covers("firewall", "DEL", "packet")
def test_delete_leaves_the_neighbour_its_way(node, cni, family):
    """DEL of one container takes nothing from another, on its bridge or elsewhere."""
    gone, stays = (cni.add(node.sandbox(name), filtered(family)) for name in ("c1", "c2"))
    elsewhere = cni.add(node.sandbox("c3"), other_filtered(family))
    cni.delete(gone)

    assert stays.sandbox.tcp(ROUTER[family], 80)
    assert stays.sandbox.udp(elsewhere.address, 53)
