"""What neighbours hear of a new container, and what a container cannot talk the host into."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.node_networks import host_end, network, pool, without_dad

from cnitest.deadline import Deadline

pytestmark = [pytest.mark.topology("node-with-uplink"), pytest.mark.requires(plugin=["bridge", "host-local"])]

ROGUE_PREFIX = "2001:db8:bad::"
FORWARDING = "net.ipv6.conf.all.forwarding"


@pytest.fixture
def node(lab):
    """The host on which containers are made."""
    return without_dad(lab.host("node"))


@pytest.mark.covers("bridge", "packet")
def test_a_new_container_announces_its_address(node, cni):
    """A peer on the bridge hears of the address and its MAC by a gratuitous ARP, without having asked."""
    peer = cni.add(node.sandbox("c2"), network(4))
    with peer.sandbox.capture("eth0") as wire:
        attachment = cni.add(node.sandbox("c1"), network(4))
        assert peer.sandbox.ping(attachment.address)
    heard = wire.matching("ARP", psrc=attachment.address, pdst=attachment.address)

    assert [packet["ARP"].hwsrc for packet in heard] == [attachment.sandbox.link("eth0").mac]


@pytest.mark.covers("bridge", "packet")
def test_a_new_container_announces_its_ipv6_address(node, cni):
    """A peer on the bridge hears of the address and its MAC by an unsolicited neighbour advertisement."""
    peer = cni.add(node.sandbox("c2"), network(6))
    with peer.sandbox.capture("eth0") as wire:
        attachment = cni.add(node.sandbox("c1"), network(6))
        assert peer.sandbox.ping(attachment.address)
    heard = [packet for packet in wire.matching("ICMPv6ND_NA", tgt=attachment.address) if not packet["ICMPv6ND_NA"].S]

    assert heard


@pytest.mark.requires(plugin="static")
@pytest.mark.covers("bridge", "packet")
def test_an_address_that_moves_is_reached_at_once(node, cni):
    """A container that takes over the address of one that was deleted is reached by whoever knew the old MAC."""
    wanted = network(ipam={"type": "static", "addresses": [{"address": "10.22.0.77/24"}]})
    peer = cni.add(node.sandbox("c2"), network(4))
    old = cni.add(node.sandbox("c1"), wanted)
    assert peer.sandbox.tcp(old.address, 80)
    cni.delete(old)
    new = cni.add(node.sandbox("c3"), wanted)

    known = [each.mac for each in peer.sandbox.neighbours if each.ip == new.address]
    assert known in ([], [new.sandbox.link("eth0").mac])
    assert peer.sandbox.tcp(new.address, 80)


@pytest.mark.covers("bridge", "kernel", "packet")
def test_a_container_announces_itself_after_its_link_was_down(node, cni):
    """arp_notify is on: a link that comes up again announces its address."""
    peer, attachment = (cni.add(node.sandbox(name), network(4)) for name in ("c2", "c1"))
    assert attachment.sandbox.sysctl("net/ipv4/conf/eth0/arp_notify") == "1"
    attachment.sandbox.run(["ip", "link", "set", "eth0", "down"])
    attachment.sandbox.run(["ip", "link", "set", "eth0", "up"])
    assert attachment.sandbox.ping(peer.address)  # by now the kernel sends on the link
    with peer.sandbox.capture("eth0") as wire:
        attachment.sandbox.run(["ip", "link", "set", "eth0", "address", "02:00:00:00:00:77"])

        assert wire.wait_for("ARP", psrc=attachment.address, pdst=attachment.address, hwsrc="02:00:00:00:00:77")


@pytest.mark.requires(plugin="bridge>=1.7")
@pytest.mark.covers("bridge", "kernel", "packet")
def test_an_ipv6_address_outlives_its_link_being_down(node, cni):
    """keep_addr_on_down is on: the container is reached again once its link is up again."""
    peer, attachment = (cni.add(node.sandbox(name), network(6)) for name in ("c2", "c1"))
    attachment.sandbox.run(["ip", "link", "set", "eth0", "down"])
    attachment.sandbox.run(["ip", "link", "set", "eth0", "up"])

    assert attachment.address in attachment.sandbox.addresses_on("eth0")
    assert peer.sandbox.ping(attachment.address)


def _advertise(attachment):
    """A router advertisement of the container's for all nodes of its link, with a prefix of its own."""
    from scapy.layers.inet6 import ICMPv6ND_RA, ICMPv6NDOptPrefixInfo, IPv6

    rogue = next(a.ip for a in attachment.sandbox.addresses if a.scope == "link")
    reported = ICMPv6ND_RA(routerlifetime=1800) / ICMPv6NDOptPrefixInfo(prefix=ROGUE_PREFIX, prefixlen=64)
    attachment.sandbox.send(IPv6(src=rogue, dst="ff02::1", hlim=255) / reported, on="eth0")
    return rogue


@pytest.fixture
def listening(node):
    """The host does not forward IPv6, so that it listens to routers unless a sysctl says otherwise."""
    node.sysctl(FORWARDING, 0)
    node.sysctl("net.ipv6.conf.default.accept_ra", 1)
    return node


@pytest.mark.covers("bridge", "kernel", "packet")
def test_the_host_refuses_a_containers_router_advertisement(listening, cni):
    """A container that plays router gets neither a route nor an address into its host, on no link."""
    attachment = cni.add(listening.sandbox("c1"), network(6))
    outside = host_end(attachment)
    assert attachment.sandbox.ping("ff02::1%eth0")
    with listening.capture() as wire:
        rogue = _advertise(attachment)
        wire.wait_for("ICMPv6ND_RA")
        assert attachment.sandbox.ping("ff02::1%eth0")

    assert [listening.sysctl(f"net/ipv6/conf/{link}/accept_ra") for link in ("cni0", outside)] == ["0", "0"]
    assert rogue not in [route.via for route in listening.routes]
    assert [a.address for a in listening.addresses if a.address.startswith(ROGUE_PREFIX)] == []


@pytest.mark.covers("bridge", "kernel", "packet")
def test_a_host_that_listens_would_obey(listening, cni):
    """The same advertisement makes a route where the bridge is set to accept it: it is the setting that rejects."""
    attachment = cni.add(listening.sandbox("c1"), network(6))
    assert attachment.sandbox.ping("ff02::1%eth0")
    listening.sysctl("net/ipv6/conf/cni0/accept_ra", 2)
    rogue = _advertise(attachment)

    def obeyed():
        return rogue in [route.via for route in listening.routes]

    assert Deadline.after(10, "the route of the advertisement").poll(obeyed)


@pytest.mark.covers("bridge.ipam", "kernel", "packet")
def test_ipv6_where_it_is_disabled_by_default(node, cni):
    """In a namespace that disables IPv6 by default the container's link has it once it gets an address, and lo, too:
    the container reaches its own address, which packets to oneself pass by lo."""
    sandbox, peer = node.sandbox("c1"), cni.add(node.sandbox("c2"), network(6))
    for name in ("default", "all", "lo"):
        sandbox.sysctl(f"net.ipv6.conf.{name}.disable_ipv6", 1)
    sandbox.run(["ip", "link", "set", "lo", "up"])
    attachment = cni.add(sandbox, network(6))
    itself = sandbox.ping(attachment.address)

    assert [sandbox.sysctl(f"net/ipv6/conf/{name}/disable_ipv6") for name in ("eth0", "lo")] == ["0", "0"]
    assert peer.sandbox.ping(attachment.address)
    assert itself


@pytest.mark.covers("bridge.ipam", "kernel")
def test_ipv6_stays_disabled_where_nothing_needs_it(node, cni):
    """A network of IPv4 alone enables no IPv6 in a namespace that disables it."""
    sandbox = node.sandbox("c1")
    for name in ("default", "all", "lo"):
        sandbox.sysctl(f"net.ipv6.conf.{name}.disable_ipv6", 1)
    cni.add(sandbox, network(4))

    names = ("default", "all", "lo", "eth0")
    assert [sandbox.sysctl(f"net/ipv6/conf/{name}/disable_ipv6") for name in names] == ["1"] * 4


@pytest.mark.covers("bridge", "packet")
@pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
def test_addresses_work_the_moment_add_returns(node, cni, family):
    """The first packet after ADD, from the container to its neighbour, passes: nothing is tentative any more."""
    peer, attachment = (cni.add(node.sandbox(name), network(ipam=pool(family))) for name in ("c2", "c1"))

    assert [a.address for a in attachment.sandbox.addresses if a.scope == "global" and a.tentative] == []
    assert attachment.sandbox.ping(peer.address).attempts == 1


@pytest.mark.covers("bridge.isGateway", "kernel")
def test_the_ipv6_gateway_works_the_moment_add_returns(lab, cni):
    """The bridge's own IPv6 address is usable when ADD returns, as the container's is."""
    node = lab.host("node")
    cni.add(node.sandbox("c1"), network(6, isGateway=True))

    assert [a.address for a in node.addresses if a.link == "cni0" and a.scope == "global" and a.tentative] == []


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.covers("bridge.isGateway", "packet")
def test_a_gateway_with_a_new_mac_is_found_again(node, cni, family):
    """What a container remembers of its gateway is forgotten as any neighbour is: a new MAC does not cut it off."""
    attachment = cni.add(without_dad(node.sandbox("c1")), network(family, isGateway=True))
    gateway = attachment.gateway
    assert attachment.sandbox.ping(gateway)
    node.run(["ip", "link", "set", "cni0", "address", "02:00:5e:00:53:88"])
    attachment.sandbox.run(["ip", "neighbour", "flush", "dev", "eth0"])

    assert attachment.sandbox.ping(gateway)


@pytest.mark.covers("bridge.ipam", "packet")
def test_without_an_ipv6_address_the_link_still_has_ipv6(node, cni):
    """Containers of an IPv4 network reach each other by the addresses that the kernel gives links."""
    first, second = (cni.add(without_dad(node.sandbox(name)), network(4)).sandbox for name in ("c1", "c2"))
    # The kernel gives a link its own address behind the call that set it up, once it has learned of the carrier.
    Deadline.after(10.0, "the kernel to give both links an address").poll(lambda: all(map(_of_link, (first, second))))

    assert [first.ping(f"{each}%eth0").verdict.value for each in _of_link(second)] == ["delivered"]


def _of_link(sandbox):
    """The addresses of eth0 that the kernel gave it, without prefix."""
    return [row.ip for row in sandbox.addresses if row.link == "eth0" and row.scope == "link"]
