"""Who is kept from whom on a bridge: hairpin, spoofed source MACs, isolated ports."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.node_networks import UPLINK, host_end, network, port, rules, without_dad

pytestmark = [pytest.mark.topology("node-with-uplink"), pytest.mark.requires(plugin=["bridge", "host-local"])]

FOREIGN = "02:00:00:00:00:99"
FAMILY = pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])


@pytest.fixture
def node(lab):
    """The host on which containers are made."""
    return without_dad(lab.host("node"))


def _mapped(cni, sandbox, family, *, hairpin):
    own = {key: value for key, value in network(family, isDefaultGateway=True, ipMasq=True).items() if key != "name"}
    chain = {
        "cniVersion": own.pop("cniVersion"),
        "name": "net",
        "plugins": [{**own, "hairpinMode": hairpin}, {"type": "portmap", "capabilities": {"portMappings": True}}],
    }
    ports = [{"hostPort": 8080, "containerPort": 80, "protocol": name} for name in ("tcp", "udp")]
    return cni.add(sandbox, chain, capabilities={"portMappings": ports})


@FAMILY
@pytest.mark.requires(kernel="conntrack", plugin="portmap", binary="iptables")
@pytest.mark.covers("bridge.hairpinMode", "kernel", "packet")
@pytest.mark.parametrize("hairpin", [True, False])
def test_a_container_dials_its_own_host_port(node, cni, hairpin, family):
    """The host sends the packet back by the port it came in by: that takes hairpinMode, and nothing else does."""
    attachment = _mapped(cni, node.sandbox("c1"), family, hairpin=hairpin)
    own = {"listener": attachment.sandbox, "listener_port": 80}

    assert port(attachment).hairpin is hairpin
    assert attachment.sandbox.ping(UPLINK[family])
    assert bool(attachment.sandbox.tcp(UPLINK[family], 8080, **own)) is hairpin
    assert bool(attachment.sandbox.udp(UPLINK[family], 8080, **own)) is hairpin


@FAMILY
@pytest.mark.requires(kernel="conntrack", plugin="portmap", binary="iptables")
@pytest.mark.covers("bridge.hairpinMode", "packet")
def test_a_neighbour_dials_the_host_port_without_hairpin(node, cni, family):
    """From another port of the bridge the host port works without hairpinMode, too."""
    attachment = _mapped(cni, node.sandbox("c1"), family, hairpin=False)
    peer = cni.add(node.sandbox("c2"), network(family, isDefaultGateway=True))

    assert peer.sandbox.tcp(UPLINK[family], 8080, listener=attachment.sandbox, listener_port=80)


@pytest.mark.covers("bridge.hairpinMode", "packet")
@pytest.mark.parametrize("hairpin", [True, False])
def test_a_hairpin_port_sends_broadcasts_back(node, cni, hairpin):
    """A broadcast comes back to its sender by a hairpin port, and by no other."""
    attachment, peer = (cni.add(node.sandbox(name), network(4, hairpinMode=hairpin)) for name in ("c1", "c2"))
    with attachment.sandbox.capture("eth0") as wire:
        assert attachment.sandbox.ping(peer.address)
    own = attachment.sandbox.link("eth0").mac
    back = [frame for frame in wire.frames if not frame.out and frame.data[6:12] == _bytes(own)]

    assert bool(back) is hairpin


@FAMILY
@pytest.mark.covers("bridge.hairpinMode", "kernel", "packet")
def test_hairpin_does_not_fail_duplicate_address_detection(node, cni, family):
    """A container whose own solicitations come back does not take them for somebody else's."""
    attachment = cni.add(node.sandbox("c1"), network(4, 6, isGateway=True, hairpinMode=True, enabledad=True))

    assert attachment.sandbox.ping(
        next(ip.gateway for ip in attachment.result.ips if (":" in ip.address) == (family == 6))
    )
    assert [a.address for a in attachment.sandbox.addresses if "dadfailed" in a.flags] == []


def _bytes(mac):
    return bytes.fromhex(mac.replace(":", ""))


@pytest.fixture
def guarded(node, cni):
    """A container under macspoofchk, and its peer without."""
    return cni.add(node.sandbox("c1"), network(4, 6, macspoofchk=True)), cni.add(node.sandbox("c2"), network(4, 6))


def _frames(attachment, peer, source):
    from scapy.layers.inet import ICMP, IP
    from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
    from scapy.layers.l2 import ARP, Ether

    (four, six), (peer4, peer6) = attachment.addresses, peer.addresses
    to = Ether(src=source, dst=peer.sandbox.link("eth0").mac)
    return {
        "ipv4": to / IP(src=four, dst=peer4) / ICMP(),
        "ipv6": to / IPv6(src=six, dst=peer6) / ICMPv6EchoRequest(),
        "arp": Ether(src=source, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=source, psrc=four, pdst=peer4),
    }


@pytest.mark.requires(binary="nft")
@pytest.mark.covers("bridge.macspoofchk", "kernel", "packet")
@pytest.mark.parametrize("kind", ["ipv4", "ipv6", "arp"])
def test_frames_with_a_foreign_source_mac_are_dropped(guarded, kind):
    """Under macspoofchk a frame of another source than the container's MAC is lost, one of its own after it is not."""
    attachment, peer = guarded
    own = attachment.sandbox.link("eth0").mac
    with peer.sandbox.capture("eth0") as wire:
        for source in (FOREIGN, own):
            attachment.sandbox.send(_frames(attachment, peer, source)[kind], on="eth0")
        wire.wait_for("Ether", src=own)

    assert wire.matching("Ether", src=FOREIGN) == []


@pytest.mark.covers("bridge.macspoofchk", "packet")
@pytest.mark.parametrize("kind", ["ipv4", "ipv6", "arp"])
def test_without_the_check_foreign_source_macs_pass(node, cni, kind):
    """Without macspoofchk the same frames arrive."""
    attachment, peer = (cni.add(node.sandbox(name), network(4, 6, macspoofchk=False)) for name in ("c1", "c2"))
    with peer.sandbox.capture("eth0") as wire:
        attachment.sandbox.send(_frames(attachment, peer, FOREIGN)[kind], on="eth0")

        assert wire.wait_for("Ether", src=FOREIGN)


@pytest.mark.requires(binary="nft")
@pytest.mark.covers("bridge.macspoofchk", "packet")
def test_a_changed_mac_is_spoofed(guarded):
    """A container that changes its MAC is cut off in both families, and back again with its own."""
    attachment, peer = guarded
    own = attachment.sandbox.link("eth0").mac
    attachment.sandbox.run(["ip", "link", "set", "eth0", "address", FOREIGN])
    cut = [bool(attachment.sandbox.ping(address)) for address in peer.addresses]
    attachment.sandbox.run(["ip", "link", "set", "eth0", "address", own])

    assert cut == [False, False]
    assert attachment.sandbox.ping(peer.address)


@pytest.mark.requires(binary="nft")
@pytest.mark.covers("bridge.macspoofchk", "packet")
def test_the_check_is_of_its_own_port(guarded):
    """Frames of the container under macspoofchk pass, and its peer's foreign source is not its concern."""
    attachment, peer = guarded
    with attachment.sandbox.capture("eth0") as wire:
        peer.sandbox.send(_frames(peer, attachment, FOREIGN)["ipv4"], on="eth0")

        assert wire.wait_for("Ether", src=FOREIGN)
    assert attachment.sandbox.ping(peer.address)


@pytest.mark.requires(binary="nft")
@pytest.mark.covers("bridge.macspoofchk", "packet")
@pytest.mark.covers("bridge.runtimeConfig.mac", "packet")
def test_the_check_knows_a_mac_that_was_asked_for(node, cni):
    """A MAC that the runtime has asked for is the one that passes."""
    peer = cni.add(node.sandbox("c2"), network(4))
    wanted = network(4, macspoofchk=True, capabilities={"mac": True})
    attachment = cni.add(node.sandbox("c1"), wanted, capabilities={"mac": "02:42:ac:11:00:02"})

    assert attachment.sandbox.ping(peer.address)


@pytest.mark.requires(binary="nft")
@pytest.mark.covers("bridge.macspoofchk", "kernel", "DEL", "packet")
def test_delete_takes_the_check_of_its_port_only(node, cni):
    """After DEL no rule of the container is left, and another container's check still holds."""
    gone, stays, peer = (
        cni.add(node.sandbox(name), network(4, 6, macspoofchk=name != "c3")) for name in ("c1", "c2", "c3")
    )
    outside = host_end(gone)
    assert rules(node, outside, "c1")
    cni.delete(gone)
    with peer.sandbox.capture("eth0") as wire:
        for source in (FOREIGN, stays.sandbox.link("eth0").mac):
            stays.sandbox.send(_frames(stays, peer, source)["ipv4"], on="eth0")
        wire.wait_for("Ether", src=stays.sandbox.link("eth0").mac)

    assert rules(node, outside, "-c1-") == []
    assert wire.matching("Ether", src=FOREIGN) == []


@FAMILY
@pytest.mark.requires(plugin="bridge>=1.7")
@pytest.mark.covers("bridge.portIsolation", "kernel", "packet")
def test_isolated_ports_do_not_see_each_other(node, cni, family):
    """With portIsolation containers reach the gateway and what is not isolated, and not each other, by any protocol."""
    first, second = (
        cni.add(node.sandbox(name), network(family, isGateway=True, portIsolation=True)) for name in ("c1", "c2")
    )
    open_one = cni.add(node.sandbox("c3"), network(family, isGateway=True, portIsolation=False))

    assert [port(each).isolated for each in (first, second, open_one)] == [True, True, False]
    assert not first.sandbox.arp(second.address, on="eth0")
    assert not first.sandbox.ping(second.address)
    assert first.sandbox.ping(first.gateway)
    assert first.sandbox.tcp(open_one.address, 80)
    assert open_one.sandbox.udp(second.address, 53)


@pytest.mark.requires(plugin="bridge>=1.7")
@pytest.mark.covers("bridge.portIsolation", "packet")
def test_broadcasts_of_an_isolated_port(node, cni):
    """A broadcast of an isolated port reaches what is not isolated, and no other isolated port."""
    first, second = (cni.add(node.sandbox(name), network(4, portIsolation=True)) for name in ("c1", "c2"))
    open_one = cni.add(node.sandbox("c3"), network(4))
    with second.sandbox.capture("eth0") as isolated, open_one.sandbox.capture("eth0") as free:
        assert first.sandbox.ping(open_one.address)
        free.wait_for("ARP", op="who-has", psrc=first.address)
        assert second.sandbox.ping(open_one.address)

    assert isolated.matching("ARP", psrc=first.address) == []


@pytest.mark.requires(binary="nft")
@pytest.mark.covers("bridge.macspoofchk", "packet")
def test_the_check_stays_when_others_are_added(node, cni, guarded):
    """A second container under macspoofchk takes nothing from the first one's."""
    attachment, peer = guarded
    cni.add(node.sandbox("c3"), network(4, 6, macspoofchk=True))
    own = attachment.sandbox.link("eth0").mac
    with peer.sandbox.capture("eth0") as wire:
        for source in (FOREIGN, own):
            attachment.sandbox.send(_frames(attachment, peer, source)["ipv4"], on="eth0")
        wire.wait_for("Ether", src=own)

    assert wire.matching("Ether", src=FOREIGN) == []
