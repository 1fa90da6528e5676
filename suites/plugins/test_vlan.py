"""vlan by traffic: what the far end of the trunk sees, VLANs that are apart, MTUs, and what is rejected."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.lan_networks import ready_sandbox, rejected
from cnitest.suites.plugins.seen import source
from cnitest.suites.plugins.trunks import FAMILY, GATEWAYS, MARKS, NET, OWN, network, tags

pytestmark = MARKS


@FAMILY
@pytest.mark.parametrize("vid", [5, 100])
@pytest.mark.covers("vlan.vlanId", "kernel", "packet")
@pytest.mark.covers("vlan.master", "kernel", "packet")
@pytest.mark.covers("vlan.ipam", "kernel", "packet")
def test_frames_are_tagged_on_the_trunk(node, peer, cni, vid, family):
    """What the container sends has the VLAN's tag, of priority 0, where the trunk ends, and is answered there."""
    attachment = cni.add(ready_sandbox(node, "c1"), network(OWN[vid][family], vid=vid))
    with peer.capture("ens33") as trunk:
        reach = attachment.sandbox.ping(GATEWAYS[vid][family])

    link = attachment.sandbox.link("eth0")
    assert (link.kind, dict(link.detail)["id"], link.up) == ("vlan", vid, True)
    assert source(reach) == attachment.address
    assert tags(trunk) == {(vid, 0)}


@pytest.mark.covers("vlan", "kernel", "packet")
def test_dual_stack(node, cni):
    """One container with an address of each family, both of which work in the VLAN."""
    attachment = cni.add(ready_sandbox(node, "c1"), network(OWN[5][4], OWN[5][6]))

    assert attachment.addresses == ("10.5.0.20", "2001:db8:5::20")
    assert source(attachment.sandbox.tcp(GATEWAYS[5][4], 80)) == "10.5.0.20"
    assert source(attachment.sandbox.udp(GATEWAYS[5][6], 53)) == "2001:db8:5::20"


@pytest.mark.covers("vlan", "packet")
def test_the_priority_does_not_follow_the_service(node, peer, cni):
    """No packet gets a priority of its own, whatever its class of service is: nobody mapped any."""
    attachment = cni.add(node.sandbox("c1"), NET)
    with peer.capture("ens33") as trunk:
        assert attachment.sandbox.ping(GATEWAYS[5][4], tos="EF")

    assert tags(trunk) == {(5, 0)}


@pytest.mark.covers("vlan", "kernel", "packet")
def test_the_mac_is_the_masters(node, peer, cni):
    """The interface has its master's MAC, in the result and on the wire."""
    attachment = cni.add(node.sandbox("c1"), NET)
    with peer.capture("ens33") as trunk:
        assert attachment.sandbox.ping(GATEWAYS[5][4])

    mac = node.link("ens33").mac
    assert (
        [interface.mac for interface in attachment.result.interfaces] == [attachment.sandbox.link("eth0").mac] == [mac]
    )
    assert {packet.src for packet in trunk.matching("ICMP", type="echo-request")} == {mac}


@FAMILY
@pytest.mark.covers("vlan.vlanId", "packet")
def test_two_vlans_are_apart(node, cni, family):
    """Containers of two VLANs do not reach each other, not even by ARP in one subnet, while each reaches its own."""
    alike = {4: "10.5.0.21/24", 6: "2001:db8:5::21/64"}[family]
    first = cni.add(ready_sandbox(node, "c1"), network(OWN[5][family]))
    second = cni.add(ready_sandbox(node, "c2"), network(OWN[100][family], alike, vid=100, name="other"))

    assert first.sandbox.ping(GATEWAYS[5][family])
    assert second.sandbox.ping(GATEWAYS[100][family])
    assert not first.sandbox.arp(second.addresses[1], on="eth0")
    assert not first.sandbox.ping(second.addresses[1])
    assert not second.sandbox.arp(first.address, on="eth0")


@pytest.mark.covers("vlan.vlanId", "packet")
def test_the_trunks_own_network_is_apart(node, peer, cni):
    """What has no tag is the host's alone: the container is not in it, and the host's frames stay untagged."""
    attachment = cni.add(node.sandbox("c1"), network("192.168.80.120/24"))
    with peer.capture("ens33") as trunk:
        assert node.ping("192.168.80.102")

    assert tags(trunk) == {None}
    assert not peer.arp("192.168.80.120", on="ens33")
    assert not attachment.sandbox.ping("192.168.80.102")


@pytest.mark.covers("vlan.vlanId", "packet")
def test_frames_of_others_do_not_come_in(node, peer, cni):
    """A frame for the container's MAC comes in with its VLAN's tag, and not with another one's, or none."""
    from scapy.layers.inet import ICMP, IP
    from scapy.layers.l2 import Dot1Q, Ether

    attachment = cni.add(node.sandbox("c1"), NET)
    to = Ether(dst=node.link("ens33").mac, src="02:00:5e:00:53:99")
    packet = IP(src="10.5.0.77", dst=attachment.address) / ICMP()
    with attachment.sandbox.capture("eth0") as inside:
        for number, frame in enumerate((to / packet, to / Dot1Q(vlan=100) / packet, to / Dot1Q(vlan=5) / packet)):
            frame["ICMP"].id = 700 + number
            peer.send(frame, on="ens33")
        inside.wait_for("ICMP", type="echo-request", id=702)
        came = {packet["ICMP"].id for packet in inside.matching("ICMP", type="echo-request")}

    assert came == {702}


@pytest.mark.parametrize("vid", [4094])
@pytest.mark.covers("vlan.vlanId", "kernel", "packet")
def test_the_last_vlan(node, peer, cni, vid):
    """4094 is the last VLAN there is."""
    attachment = cni.add(node.sandbox("c1"), network(OWN[vid][4], vid=vid))
    with peer.capture("ens33") as trunk:
        assert attachment.sandbox.ping(GATEWAYS[vid][4])

    assert tags(trunk) == {(vid, 0)}


@pytest.mark.covers("vlan.vlanId", "kernel", "packet")
def test_vlan_0_is_a_priority_tag(node, peer, cni):
    """0, as no vlanId at all, is a tag without VLAN: the far end takes it for the trunk's own network."""
    attachment = cni.add(node.sandbox("c1"), network("192.168.80.120/24", vid=None))
    with peer.capture("ens33") as trunk:
        reach = attachment.sandbox.ping("192.168.80.102", wait=0.5)

    assert dict(attachment.sandbox.link("eth0").detail)["id"] == 0
    assert tags(trunk) <= {(0, 0), None}
    assert reach.probe


@pytest.mark.parametrize("vid", [4095, -1])
@pytest.mark.covers("vlan.vlanId", "refused")
def test_vlans_that_there_are_not(node, cni, vid):
    """VLANs beyond 4094, and below zero, are rejected."""
    sandbox = node.sandbox("c1")

    assert f"invalid VLAN ID {vid}" in rejected(cni, sandbox, network(OWN[5][4], vid=vid))
    assert [link.name for link in sandbox.links] == ["lo"]


@pytest.mark.covers("vlan.vlanId", "refused", "packet")
def test_a_vlan_that_is_taken_is_refused(node, cni):
    """A second interface of one VLAN of one master is rejected, and leaves the first, and its own container, alone."""
    first = cni.add(node.sandbox("c1"), NET)
    second = node.sandbox("c2")
    said = rejected(cni, second, network("10.5.0.30/24", name="other"))

    assert "file exists" in said
    assert [link.name for link in second.links] == ["lo"]
    assert first.sandbox.ping(GATEWAYS[5][4])


@pytest.mark.parametrize(
    ("keys", "words"),
    [({"master": None}, '"master" field is required'), ({"master": "none0"}, "Link not found")],
    ids=["none", "not there"],
)
@pytest.mark.covers("vlan.master", "refused")
def test_a_master_that_is_none_is_refused(node, cni, keys, words):
    """Without master, and with one that is not there, ADD is rejected."""
    assert words in rejected(cni, node.sandbox("c1"), network(OWN[5][4], **keys))


@pytest.mark.parametrize("mtu", [1280, 1500])
@pytest.mark.covers("vlan.mtu", "kernel", "packet")
def test_the_mtu_is_the_links(node, cni, mtu):
    """The interface has the MTU that is said: a packet of that size passes whole, and one of a byte more does not."""
    child = cni.add(node.sandbox("c1"), network(OWN[5][4], mtu=mtu)).sandbox

    assert child.link("eth0").mtu == mtu
    assert child.ping(GATEWAYS[5][4], size=mtu - 28, df=True)
    assert not child.ping(GATEWAYS[5][4], size=mtu - 27, df=True)


@pytest.mark.parametrize("mtu", [None, 0])
@pytest.mark.covers("vlan.mtu", "kernel")
def test_the_masters_mtu_unless_said(node, cni, mtu):
    """Without an MTU, and with 0, the interface has its master's."""
    node.run(["ip", "link", "set", "ens33", "mtu", "1420"])
    attachment = cni.add(node.sandbox("c1"), network(OWN[5][4], mtu=mtu))

    assert attachment.sandbox.link("eth0").mtu == 1420


@pytest.mark.parametrize("mtu", [1501, -1])
@pytest.mark.covers("vlan.mtu", "refused")
def test_mtus_that_the_master_cannot_carry_are_refused(node, cni, mtu):
    """An MTU above the master's, and one below zero, are rejected with the master's."""
    sandbox = node.sandbox("c1")

    assert f"invalid MTU {mtu}, must be [0, master MTU(1500)]" in rejected(cni, sandbox, network(OWN[5][4], mtu=mtu))
    assert [link.name for link in sandbox.links] == ["lo"]


@pytest.mark.covers("vlan.dns", "kernel")
def test_dns_is_the_results(node, cni):
    """DNS settings of the network are those of the result."""
    dns = {"nameservers": ["192.0.2.53"], "domain": "example.com", "search": ["example.com"]}
    attachment = cni.add(node.sandbox("c1"), network(OWN[5][4], dns=dns))

    assert dict(attachment.result.dns) == dns


@pytest.mark.covers("vlan.runtimeConfig.ips", "kernel", "packet")
def test_an_address_of_the_runtimes(node, cni):
    """With the capability ips the runtime's address goes before the configuration's."""
    wanted = network("10.5.0.99/24", capabilities={"ips": True})
    attachment = cni.add(node.sandbox("c1"), wanted, capabilities={"ips": ["10.5.0.20/24"]})

    assert attachment.sandbox.addresses_on("eth0") == ("10.5.0.20",)
    assert source(attachment.sandbox.ping(GATEWAYS[5][4])) == "10.5.0.20"
