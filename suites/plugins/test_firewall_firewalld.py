"""The firewall plugin with a real firewalld: what its zones let through, and when the plugin uses them."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins import zones
from cnitest.suites.plugins.firewalls import ROUTER, closed, filtered
from cnitest.suites.plugins.lan_networks import distrusted, rejected
from cnitest.suites.plugins.node_networks import address, rules
from cnitest.suites.plugins.seen import source

pytestmark = [
    pytest.mark.topology("node-with-uplink"),
    pytest.mark.requires(
        kernel=["br_netfilter", "conntrack", "nfnetlink"],
        plugin=["bridge", "host-local", "firewall"],
        binary=["firewalld", "dbus-daemon", "dbus-send"],
    ),
]

BOTH = (4, 6)
BY_FIREWALLD = {"backend": "firewalld"}


@pytest.fixture
def node(lab):
    """A host with firewalld, which rejects what it forwards from a source that is in no zone of its own."""
    host = closed(lab, "ACCEPT")
    with zones.firewalld(host):
        yield host


def plain(wanted):
    """A network without its firewall plugin."""
    return {**wanted, "plugins": wanted["plugins"][:1]}


@pytest.mark.covers("firewall.backend", "packet", "kernel")
@pytest.mark.covers("firewall.firewalldZone", "packet")
def test_the_trusted_zone_lets_a_container_out(lab, node, cni):
    """With the plugin a container gets out, to its neighbour and to the host; without it firewalld rejects all; who
    begins outside is rejected either way."""
    first, second = (cni.add(node.sandbox(name), filtered(*BOTH, **BY_FIREWALLD)) for name in ("c1", "c2"))
    without = cni.add(node.sandbox("c3"), plain(filtered(*BOTH)))
    router = lab.host("router")

    for family in BOTH:
        own, gateway = address(first, family), {4: "10.22.0.1", 6: "2001:db8:22::1"}[family]
        assert source(first.sandbox.tcp(ROUTER[family], 80)) == own
        assert first.sandbox.udp(address(second, family), 53)
        assert first.sandbox.tcp(gateway, 80)
        assert not without.sandbox.tcp(ROUTER[family], 80)
        assert not without.sandbox.tcp(gateway, 80)
        assert not router.tcp(own, 80)


@pytest.mark.covers("firewall.backend", "kernel", "packet")
def test_without_a_backend_firewalld_is_used_where_it_runs(node, cni):
    """A list that names no backend uses firewalld, and makes no rule of iptables."""
    attachment = cni.add(node.sandbox("c1"), filtered(*BOTH, backend=None))

    assert zones.sources(node) == {address(attachment, family) for family in BOTH}
    assert rules(node, "CNI-FORWARD") == []
    assert attachment.sandbox.tcp(ROUTER[4], 80)


@pytest.mark.covers("firewall.backend", "kernel")
def test_iptables_is_used_beside_firewalld_when_it_is_asked_for(node, cni):
    """With the backend iptables firewalld's zones stay as they were."""
    cni.add(node.sandbox("c1"), filtered(4))

    assert zones.sources(node) == set()
    assert rules(node, "CNI-FORWARD")


@pytest.mark.covers("firewall.firewalldZone", "packet", "kernel")
def test_the_zone_is_the_chosen_one(node, cni):
    """In the zone ``drop`` nothing of a container gets through, and its address is a source of no other zone."""
    attachment = cni.add(node.sandbox("c1"), filtered(*BOTH, **BY_FIREWALLD, firewalldZone="drop"))

    assert zones.sources(node, "drop") == {address(attachment, family) for family in BOTH}
    assert zones.sources(node) == set()
    for family in BOTH:
        assert not attachment.sandbox.tcp(ROUTER[family], 80)


@pytest.mark.covers("firewall.firewalldZone", "refused")
def test_a_zone_that_is_not_there_is_refused(node, cni):
    """A zone that firewalld does not know is an error that names it."""
    assert "nowhere" in rejected(cni, node.sandbox("c1"), filtered(4, **BY_FIREWALLD, firewalldZone="nowhere"))


@pytest.mark.covers("firewall.backend", "DEL", "packet", "kernel")
def test_delete_takes_the_addresses_out_of_the_zone(node, cni):
    """After DEL the zone has the neighbour's addresses alone, who still gets out."""
    gone, stays = (cni.add(node.sandbox(name), filtered(*BOTH, **BY_FIREWALLD)) for name in ("c1", "c2"))
    cni.delete(gone)

    assert zones.sources(node) == {address(stays, family) for family in BOTH}
    for family in BOTH:
        assert stays.sandbox.tcp(ROUTER[family], 80)


@pytest.mark.covers("firewall.backend", "CHECK")
@pytest.mark.parametrize("family", BOTH, ids=["ipv4", "ipv6"])
def test_check_finds_a_source_that_is_gone(node, cni, family):
    """CHECK passes at first, and fails once one of the addresses is no source of the zone any more."""
    attachment = cni.add(node.sandbox("c1"), filtered(*BOTH, **BY_FIREWALLD))
    cni.check(attachment)
    zones.remove_source(node, "trusted", address(attachment, family))
    assert zones.sources(node) == {address(attachment, 10 - family)}

    assert distrusted(cni, attachment)


@pytest.mark.covers("firewall.backend", "packet", "DEL")
def test_a_reload_of_firewalld(node, cni):
    """A reload cuts the container off; then DEL succeeds all the same, and the next ADD lets its own container out."""
    cut = cni.add(node.sandbox("c1"), filtered(*BOTH, **BY_FIREWALLD))
    zones.reload(node)

    assert not cut.sandbox.tcp(ROUTER[4], 80)
    cni.delete(cut)
    assert cni.add(node.sandbox("c2"), filtered(*BOTH, **BY_FIREWALLD)).sandbox.tcp(ROUTER[4], 80)
