"""Interface plugins whose network has no IPAM: a link without addresses, or a rejected ADD that leaves nothing."""

from __future__ import annotations

from typing import Any

import pytest
from cnitest.suites.plugins.lan_networks import rejected
from cnitest.suites.plugins.node_networks import caller, pending, settled
from cnitest.suites.plugins.taps import FAR, opened

from cnitest import difference
from cnitest.topology import loads

LAN = loads("""
name: without-ipam
about: A node with two network cards on one LAN with a peer, for plugins that give no address
hosts:
  node: {routes: [{via: 192.168.80.102}, {via: "2001:db8:80::102"}]}
  peer: {}
switches: {lan: {}}
veths:
  - ends: [{at: node, name: ens33, addresses: [192.168.80.101/24, "2001:db8:80::101/64"]}, {at: lan}]
  - ends: [{at: node, name: nic1}, {at: lan}]
  - ends: [{at: peer, name: ens33, addresses: [192.168.80.102/24, "2001:db8:80::102/64"]}, {at: lan}]
""")
pytestmark = pytest.mark.topology(LAN)

#: The keys of each plugin; those of the second table want addresses.
PLAIN: dict[str, dict[str, Any]] = {
    "bridge": {"isGateway": False},
    "host-device": {"device": "nic1"},
    "macvlan": {"master": "ens33"},
    "tap": {},
}
ADDRESSED: dict[str, dict[str, Any]] = {
    "dummy": {},
    "ipvlan": {"master": "ens33"},
    "ptp": {},
    "vlan": {"master": "ens33", "vlanId": 5},
}
#: Plugins whose links not every kernel has.
KERNELS = ("dummy", "ipvlan", "macvlan", "tap", "vlan")
#: What a LAN's peer and a tap's program have, and an address beside it, with its prefix.
OWN = {4: ("192.168.80.120/24", "192.168.80.102"), 6: ("2001:db8:80::120/64", "2001:db8:80::102")}


def _each(names: Any, *ways: str) -> pytest.MarkDecorator:
    """The plugins as cases, each with what it needs and covers."""
    return pytest.mark.parametrize(
        "plugin",
        [
            pytest.param(
                name,
                marks=[
                    pytest.mark.requires(plugin=[name], **({"kernel": [name]} if name in KERNELS else {})),
                    pytest.mark.covers(name, *ways),
                ],
            )
            for name in names
        ],
    )


def network(plugin: str, **keys: Any) -> dict[str, Any]:
    """A network of a plugin that has no IPAM."""
    own = (PLAIN | ADDRESSED)[plugin]
    return {"cniVersion": "1.0.0", "name": "bare", "type": plugin, **own, **keys}


def _left(node, before):
    """What a host has that it had not; files and connections come and go by themselves."""
    return [item for item in difference(before, node.state()) if item.table not in ("files", "flows")]


@_each(PLAIN, "kernel")
def test_the_link_is_up_and_has_no_address(node, cni, plugin):
    """ADD answers without addresses, and the container's link is up and has none but what the kernel gives."""
    attachment = cni.add(node.sandbox("c1"), network(plugin))
    link = attachment.sandbox.link("eth0")

    assert attachment.result.ips == ()
    assert attachment.result.interfaces[-1].name == "eth0"
    assert link.up
    assert [row.address for row in attachment.sandbox.addresses if row.link == "eth0" and row.scope != "link"] == []
    assert [route for route in attachment.sandbox.routes if route.via or route.to in ("0.0.0.0/0", "::/0")] == []


@pytest.mark.parametrize("family", [4, 6])
@_each(["bridge", "host-device", "macvlan"], "packet")
def test_who_gives_it_an_address_reaches_the_lan(node, cni, plugin, family):
    """The link carries frames: with an address that somebody gives it later it reaches its peer."""
    own, peer = OWN[family]
    sandbox = cni.add(node.sandbox("c1"), network(plugin)).sandbox
    if plugin == "bridge":
        node.run(["ip", "link", "set", "nic1", "master", "cni0"])
    sandbox.run(["ip", "address", "add", own, "dev", "eth0", *(["nodad"] if family == 6 else [])])

    assert sandbox.ping(peer)


@_each(["tap"], "packet")
def test_who_gives_a_tap_an_address_reaches_its_program(node, cni, plugin):
    """The tap carries frames to the program that has it open."""
    sandbox = cni.add(node.sandbox("c1"), network(plugin)).sandbox
    sandbox.run(["ip", "address", "add", "10.77.0.2/24", "dev", "eth0"])

    with opened(sandbox):
        assert sandbox.ping(FAR)


@_each(["host-device", "macvlan", "tap"], "CHECK")
def test_check_passes(node, cni, plugin):
    """CHECK of a link that is as it was added asks no IPAM plugin, and passes."""
    attachment = cni.add(node.sandbox("c1"), network(plugin))
    cni.check(attachment)

    assert attachment.sandbox.link("eth0").up


@_each(["bridge", "macvlan", "tap"], "DEL")
def test_del_takes_the_link_back(node, cni, plugin):
    """After DEL, and after a second one, container and host are as they were."""
    if plugin == "bridge":  # the bridge itself stays
        cni.add(node.sandbox("c0"), network(plugin))
    before = settled(node).state()
    attachment = cni.add(node.sandbox("c1"), network(plugin))
    cni.delete(attachment)
    cni.delete(attachment)

    assert [link.name for link in attachment.sandbox.links] == ["lo"]
    assert _left(node, before) == []


@_each(ADDRESSED, "refused")
def test_without_addresses_it_is_refused(node, cni, plugin):
    """A plugin that wants addresses says that there is no IPAM plugin."""
    said = rejected(cni, node.sandbox("c1"), network(plugin))

    assert "no plugin name provided" in said or "requires an IPAM configuration" in said


@_each(ADDRESSED, "refused")
def test_what_is_refused_leaves_nothing(node, cni, plugin):
    """The ADD that is rejected leaves no link in the container, and nothing on the host."""
    before, sandbox = node.state(), node.sandbox("c1")
    rejected(cni, sandbox, network(plugin))

    assert [link.name for link in sandbox.links] == ["lo"]
    assert _left(node, before) == []


@_each(ADDRESSED, "refused", "DEL")
def test_del_of_what_was_refused(node, cni, plugin):
    """The DEL that a runtime calls after such an ADD is no error, and takes what the ADD has left."""
    before, sandbox = node.state(), node.sandbox("c1")
    rejected(cni, sandbox, network(plugin))
    caller(cni).delete(pending(cni, sandbox, network(plugin)), None)

    assert [link.name for link in sandbox.links] == ["lo"]
    assert _left(node, before) == []
