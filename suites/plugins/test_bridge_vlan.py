"""VLANs on the bridge: which frames a port sends and takes, tagged and untagged, and what is no VLAN."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.node_networks import caller, host_end, network, pending

from cnitest import PluginError

pytestmark = [pytest.mark.topology("node-with-uplink"), pytest.mark.requires(plugin=["bridge", "host-local"])]

FILTERING = pytest.mark.requires(kernel="vlan_filtering")
TRUNKS = pytest.mark.requires(plugin="bridge>=1.3")
UNTAGGED = ("pvid", "untagged")


def _vlans(node, attachment):
    """The VLANs of a container's port: VID and flags."""
    wanted = host_end(attachment)
    return {row.vid: tuple(sorted(row.flags)) for row in node.state(firewall=False).vlans if row.link == wanted}


def _tagged(sandbox, vid, address):
    """A VLAN link of the container's on its eth0."""
    sandbox.run(["ip", "link", "add", "link", "eth0", "name", f"eth0.{vid}", "type", "vlan", "id", str(vid)])
    sandbox.run(["ip", "address", "add", address, "dev", f"eth0.{vid}"])
    sandbox.run(["ip", "link", "set", f"eth0.{vid}", "up"])


@FILTERING
@pytest.mark.covers("bridge.vlan", "kernel", "packet")
def test_containers_of_a_vlan_reach_each_other(node, cni):
    """Ports of VLAN 100 send and take it untagged, and their containers reach each other."""
    first, second = (cni.add(node.sandbox(name), network(4, vlan=100)) for name in ("c1", "c2"))

    assert dict(node.link("cni0").detail)["vlan_filtering"]
    assert _vlans(node, first)[100] == UNTAGGED
    assert first.sandbox.ping(second.address)
    assert first.sandbox.tcp(second.address, 80)


@FILTERING
@pytest.mark.covers("bridge.vlan", "packet")
@pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
def test_vlans_of_a_bridge_are_apart(node, cni, family):
    """Containers of two VLANs of one bridge do not reach each other, and no broadcast of one gets to the other."""
    first = cni.add(node.sandbox("c1"), network(family, vlan=100))
    second = cni.add(node.sandbox("c2"), network(family, vlan=200))
    witness = cni.add(node.sandbox("c3"), network(family, vlan=100))
    with second.sandbox.capture("eth0") as apart:
        assert not first.sandbox.arp(second.address, on="eth0")
        assert first.sandbox.ping(witness.address)

    assert apart.matching("Ether", src=first.sandbox.link("eth0").mac) == []
    assert not first.sandbox.ping(second.address)


@FILTERING
@pytest.mark.covers("bridge.vlan", "packet")
def test_a_tagged_container_is_not_in_the_default_vlan(node, cni):
    """A container of VLAN 100 and one without a VLAN do not reach each other, either way."""
    tagged = cni.add(node.sandbox("c1"), network(4, vlan=100))
    plain = cni.add(node.sandbox("c2"), network(4))

    assert not tagged.sandbox.arp(plain.address, on="eth0")
    assert not plain.sandbox.arp(tagged.address, on="eth0")


@FILTERING
@pytest.mark.covers("bridge.vlan", "kernel", "packet")
@pytest.mark.covers("bridge.isGateway", "kernel", "packet")
def test_the_gateway_of_a_vlan(node, cni):
    """With a gateway the VLAN has a link of its own on the bridge, whose address the container reaches."""
    attachment = cni.add(node.sandbox("c1"), network(4, vlan=100, isGateway=True))

    assert node.addresses_on("cni0") == ()
    assert node.addresses_on("cni0.100") == (attachment.gateway,)
    assert attachment.sandbox.ping(attachment.gateway)


@FILTERING
@pytest.mark.covers("bridge.vlan", "DEL", "kernel")
def test_delete_in_a_vlan(node, cni):
    """DEL takes the port with its VLANs, and leaves those of its neighbour."""
    gone, stays = (cni.add(node.sandbox(name), network(4, vlan=100)) for name in ("c1", "c2"))
    outside = host_end(gone)
    cni.delete(gone)

    assert outside not in [row.link for row in node.state(firewall=False).vlans]
    assert _vlans(node, stays)[100] == UNTAGGED


@FILTERING
@pytest.mark.covers("bridge.vlan", "kernel")
@pytest.mark.parametrize("vlan", [1, 4094])
def test_vlans_at_the_bounds(node, cni, vlan):
    """The smallest and the largest VLAN are the port's, untagged."""
    assert _vlans(node, cni.add(node.sandbox("c1"), network(4, vlan=vlan)))[vlan] == UNTAGGED


@pytest.mark.covers("bridge.vlan", "kernel")
def test_vlan_zero_is_none(node, cni):
    """VLAN 0 is no VLAN: the bridge does not filter."""
    cni.add(node.sandbox("c1"), network(4, vlan=0))

    assert not dict(node.link("cni0").detail).get("vlan_filtering")


@pytest.mark.covers("bridge.vlan", "refused")
@pytest.mark.parametrize("vlan", [4095, -1, "100"], ids=["too large", "negative", "text"])
def test_what_is_no_vlan_is_refused(node, cni, vlan):
    """Another number than 0 to 4094 is an error, before anything is made."""
    sandbox = node.sandbox("c1")
    with pytest.raises(PluginError):
        caller(cni).add(pending(cni, sandbox, network(4, vlan=vlan)))

    assert [link.name for link in sandbox.links] == ["lo"]
    assert "cni0" not in [link.name for link in node.links]


@FILTERING
@TRUNKS
@pytest.mark.covers("bridge.preserveDefaultVlan", "kernel", "packet")
@pytest.mark.parametrize("keeps", [True, False])
def test_the_default_vlan_of_a_port(node, cni, keeps):
    """The port of a VLAN keeps VLAN 1 when that is asked for, and else hears nothing of what is untagged there."""
    attachment = cni.add(node.sandbox("c1"), network(4, vlan=100, preserveDefaultVlan=keeps))
    plain = cni.add(node.sandbox("c2"), network(4))
    with attachment.sandbox.capture("eth0") as wire:
        plain.sandbox.arp(attachment.address, on="eth0")

    assert (1 in _vlans(node, attachment)) is keeps
    assert bool(wire.matching("ARP", psrc=plain.address)) is keeps


@FILTERING
@TRUNKS
@pytest.mark.covers("bridge.preserveDefaultVlan", "kernel")
def test_the_default_vlan_goes_unless_it_is_asked_for(node, cni):
    """A port of a VLAN is in that one alone."""
    assert set(_vlans(node, cni.add(node.sandbox("c1"), network(4, vlan=100)))) == {100}


@FILTERING
@TRUNKS
@pytest.mark.covers("bridge.preserveDefaultVlan", "kernel")
@pytest.mark.covers("bridge.vlanTrunk", "kernel")
def test_the_default_vlan_of_a_trunk(node, cni):
    """A trunk that does not keep the default VLAN has its own VLANs alone."""
    attachment = cni.add(node.sandbox("c1"), network(vlanTrunk=[{"id": 101}], preserveDefaultVlan=False))

    assert set(_vlans(node, attachment)) == {101}


#: Trunks of upstream's tests and their VIDs.
TRUNK_FORMS = {
    "one id": ([{"id": 101}], {101}),
    "a range": ([{"minID": 200, "maxID": 203}], {200, 201, 202, 203}),
    "an id and a range": ([{"id": 101}, {"minID": 200, "maxID": 201}], {101, 200, 201}),
    "both in one": ([{"id": 101, "minID": 200, "maxID": 201}], {101, 200, 201}),
    "a range of one": ([{"minID": 300, "maxID": 300}], {300}),
    "the bounds": ([{"id": 2}, {"id": 4094}], {2, 4094}),
}


@FILTERING
@TRUNKS
@pytest.mark.covers("bridge.vlanTrunk", "kernel")
@pytest.mark.parametrize("form", TRUNK_FORMS)
def test_forms_of_a_trunk(node, cni, form):
    """Each form of vlanTrunk makes its VIDs the port's, tagged."""
    trunk, vids = TRUNK_FORMS[form]
    attachment = cni.add(node.sandbox("c1"), network(vlanTrunk=trunk))

    assert {vid for vid, flags in _vlans(node, attachment).items() if "untagged" not in flags} == vids


@FILTERING
@TRUNKS
@pytest.mark.covers("bridge.vlanTrunk", "kernel")
def test_an_empty_trunk_has_no_vlan(node, cni):
    """vlanTrunk without entries gives the port no tagged VLAN."""
    found = _vlans(node, cni.add(node.sandbox("c1"), network(vlanTrunk=[])))

    assert {vid for vid, flags in found.items() if "untagged" not in flags} == set()


@FILTERING
@TRUNKS
@pytest.mark.requires(kernel="vlan")
@pytest.mark.covers("bridge.vlanTrunk", "packet")
def test_a_trunk_carries_its_vlans_tagged(node, cni):
    """A container on a trunk reaches one of VLAN 101 and one of 102 by tagged links, and none of 103."""
    trunk = cni.add(node.sandbox("c0"), network(vlanTrunk=[{"minID": 101, "maxID": 102}]))
    members = {vid: cni.add(node.sandbox(f"c{vid}"), network(4, vlan=vid)) for vid in (101, 102, 103)}
    reached = {}
    for vid, member in members.items():
        _tagged(trunk.sandbox, vid, f"10.22.0.{100 + vid % 100}/24")
        reached[vid] = bool(trunk.sandbox.arp(member.address, on=f"eth0.{vid}"))

    assert reached == {101: True, 102: True, 103: False}


@FILTERING
@TRUNKS
@pytest.mark.requires(kernel="vlan")
@pytest.mark.covers("bridge.vlanTrunk", "packet")
def test_frames_on_a_trunk_have_their_tag(node, cni):
    """What VLAN 101 sends arrives at the trunk's container with that tag, and with no other."""
    trunk = cni.add(node.sandbox("c0"), network(vlanTrunk=[{"minID": 101, "maxID": 102}]))
    member = cni.add(node.sandbox("c1"), network(4, vlan=101))
    with trunk.sandbox.capture("eth0") as wire:
        member.sandbox.arp("10.22.0.200", on="eth0")
        tagged = wire.wait_for("Dot1Q")

    assert tagged["Dot1Q"].vlan == 101


@FILTERING
@pytest.mark.requires(plugin="bridge>=1.8", kernel="vlan")
@pytest.mark.covers("bridge.vlanTrunk", "kernel", "packet")
@pytest.mark.covers("bridge.vlan", "kernel", "packet")
def test_the_native_vlan_of_a_trunk(node, cni):
    """vlan beside vlanTrunk is what the trunk carries untagged; the rest it carries tagged."""
    trunk = cni.add(node.sandbox("c0"), network(4, vlan=100, vlanTrunk=[{"id": 101}]))
    native = cni.add(node.sandbox("c1"), network(4, vlan=100))
    tagged = cni.add(node.sandbox("c2"), network(4, vlan=101))
    _tagged(trunk.sandbox, 101, "10.22.0.201/24")

    assert _vlans(node, trunk) == {100: UNTAGGED, 101: ()}
    assert trunk.sandbox.arp(native.address, on="eth0")
    assert trunk.sandbox.arp(tagged.address, on="eth0.101")


#: What is no trunk: upstream's bounds, each as an entry.
NO_TRUNKS = {
    "no maximum": {"minID": 100},
    "no minimum": {"maxID": 100},
    "a negative minimum": {"minID": -1, "maxID": 100},
    "a minimum too large": {"minID": 4095, "maxID": 4096},
    "a maximum too large": {"minID": 1, "maxID": 4095},
    "a negative maximum": {"minID": 1, "maxID": -1},
    "an id too large": {"id": 4095},
    "a negative id": {"id": -1},
    "a range backwards": {"minID": 200, "maxID": 100},
}


@TRUNKS
@pytest.mark.covers("bridge.vlanTrunk", "refused")
@pytest.mark.parametrize("entry", NO_TRUNKS)
def test_what_is_no_trunk_is_refused(node, cni, entry):
    """An entry of vlanTrunk out of bounds is an error, before anything is made."""
    sandbox = node.sandbox("c1")
    with pytest.raises(PluginError):
        caller(cni).add(pending(cni, sandbox, network(vlanTrunk=[NO_TRUNKS[entry]])))

    assert [link.name for link in sandbox.links] == ["lo"]
    assert "cni0" not in [link.name for link in node.links]


@FILTERING
@pytest.mark.covers("bridge.vlan", "CHECK")
def test_check_finds_that_a_port_has_left_its_vlan(node, cni):
    """CHECK fails once the port is not in its VLAN any more."""
    attachment = cni.add(node.sandbox("c1"), network(4, vlan=100))
    cni.check(attachment)
    node.run(["bridge", "vlan", "del", "vid", "100", "dev", host_end(attachment)])

    with pytest.raises(PluginError):
        cni.check(attachment)


@FILTERING
@TRUNKS
@pytest.mark.covers("bridge.vlanTrunk", "CHECK")
def test_check_finds_that_a_trunk_has_lost_a_vlan(node, cni):
    """CHECK fails once a VLAN of the trunk is not the port's any more."""
    attachment = cni.add(node.sandbox("c1"), network(4, vlan=100, vlanTrunk=[{"id": 101}]))
    cni.check(attachment)
    node.run(["bridge", "vlan", "del", "vid", "101", "dev", host_end(attachment)])

    with pytest.raises(PluginError):
        cni.check(attachment)
