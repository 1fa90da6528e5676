"""CHECK and DEL of the ptp plugin: what was changed behind its back, and what is left, however the container ended."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cnitest.suites.plugins.ends import ENDS
from cnitest.suites.plugins.node_networks import (
    FORWARDING,
    INTERNET,
    address,
    caller,
    gateway,
    host_end,
    pool,
    ptp,
    rules,
    without_dad,
)

from cnitest import PluginError, difference

pytestmark = [
    pytest.mark.topology("node-with-uplink"),
    pytest.mark.requires(kernel="conntrack", plugin=["ptp", "host-local"], binary=["iptables"]),
]

LEASES = "/var/lib/cni/networks/net/"
ROUTES = [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]
NETWORK = ptp(ipam=pool(4, 6, routes=ROUTES), ipMasq=True, mtu=1400)
END = pytest.mark.parametrize("end", ENDS)


@pytest.fixture
def node(lab):
    """The host on which containers are made."""
    return without_dad(lab.host("node"))


@pytest.fixture
def attached(node, cni):
    """A container with all that the network can give it; its DEL may fail after what a test has changed."""
    attachment = cni.add(without_dad(node.sandbox("c1")), NETWORK)
    yield attachment
    if attachment in cni.attachments:
        cni.delete(attachment, may_fail=True)


def _inside(*argv):
    return lambda attachment: attachment.sandbox.run([*argv])


def _outside(*argv):
    def tamper(attachment):
        names = {"VETH": host_end(attachment), "IPV4": address(attachment, 4), "IPV6": address(attachment, 6)}
        names |= {"GATEWAY4": f"{gateway(attachment, 4)}/32", "GATEWAY6": f"{gateway(attachment, 6)}/128"}
        attachment.sandbox.host.run([names.get(word, word) for word in argv])

    return tamper


def _no_address(family):
    def tamper(attachment):
        own = next(ip.address for ip in attachment.result.ips if (":" in ip.address) == (family == 6))
        attachment.sandbox.run(["ip", "address", "del", own, "dev", "eth0"])

    return tamper


def _no_forwarding(family):
    return lambda attachment: attachment.sandbox.host.sysctl(FORWARDING[family], 0)


def _no_leases(attachment):
    attachment.sandbox.host.run(["rm", *(f"{LEASES}{own}" for own in attachment.addresses)])


#: Each thing that ADD has made or set, taken away or changed behind the plugin's back.
TAMPERINGS = {
    "container-link-gone": _inside("ip", "link", "del", "eth0"),
    "container-link-down": _inside("ip", "link", "set", "eth0", "down"),
    "container-link-renamed": _inside("ip", "link", "set", "eth0", "name", "eth9"),
    "container-mac": _inside("ip", "link", "set", "eth0", "address", "02:00:00:00:00:99"),
    "container-mtu": _inside("ip", "link", "set", "eth0", "mtu", "1280"),
    "container-address-ipv4": _no_address(4),
    "container-address-ipv6": _no_address(6),
    "default-route-ipv4": _inside("ip", "route", "del", "default"),
    "default-route-ipv6": _inside("ip", "-6", "route", "del", "default"),
    "subnet-route-ipv4": _inside("ip", "route", "del", "10.22.0.0/24"),
    "gateway-route-ipv4": _inside("ip", "route", "flush", "table", "main"),
    "host-link-down": _outside("ip", "link", "set", "VETH", "down"),
    "host-link-mtu": _outside("ip", "link", "set", "VETH", "mtu", "1280"),
    "host-address-ipv4": _outside("ip", "address", "del", "GATEWAY4", "dev", "VETH"),
    "host-address-ipv6": _outside("ip", "address", "del", "GATEWAY6", "dev", "VETH"),
    "host-route-ipv4": _outside("ip", "route", "del", "IPV4"),
    "host-route-ipv6": _outside("ip", "-6", "route", "del", "IPV6", "dev", "VETH"),
    "forwarding-ipv4": _no_forwarding(4),
    "forwarding-ipv6": _no_forwarding(6),
    "masquerade-ipv4": _outside("iptables", "-t", "nat", "-F"),
    "masquerade-ipv6": _outside("ip6tables", "-t", "nat", "-F"),
    "leases": _no_leases,
}


@pytest.mark.covers("ptp", "CHECK")
@pytest.mark.covers("ptp.ipMasq", "CHECK")
@pytest.mark.covers("ptp.mtu", "CHECK")
@pytest.mark.covers("ptp.ipam", "CHECK")
@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_check_finds_what_was_changed(cni, attached, tampering):
    """CHECK fails once a thing that ADD has made is gone or another one."""
    cni.check(attached)
    TAMPERINGS[tampering](attached)

    with pytest.raises(PluginError):
        cni.check(attached)


@pytest.mark.covers("ptp", "CHECK", "packet")
def test_check_passes_with_traffic_and_neighbours(node, cni, attached):
    """CHECK passes of what nobody has changed: after traffic, and while other containers come and go."""
    neighbour = cni.add(without_dad(node.sandbox("c2")), NETWORK)
    assert attached.sandbox.ping(INTERNET[4])
    cni.check(attached)
    cni.delete(neighbour)

    cni.check(attached)


@pytest.mark.covers("ptp", "CHECK", "DEL")
def test_check_fails_after_delete(cni, attached):
    """CHECK of what was deleted fails, with the result that ADD gave."""
    cni.delete(attached)

    with pytest.raises(PluginError):
        caller(cni).check(attached.target, attached.result.document)


@pytest.mark.covers("ptp", "DEL", "packet")
@pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
def test_delete_takes_one_container(node, cni, family):
    """After DEL links, addresses and routes of the container are gone at both ends, and its neighbour is as it was."""
    gone, stays = (cni.add(without_dad(node.sandbox(name)), ptp(family)) for name in ("c1", "c2"))
    outside = host_end(gone)
    cni.delete(gone)

    assert [link.name for link in gone.sandbox.links] == ["lo"]
    assert outside not in [link.name for link in node.links]
    assert [route for route in node.routes if route.to.partition("/")[0] == gone.address] == []
    assert not stays.sandbox.ping(gone.address)
    assert node.ping(stays.address)


@pytest.mark.covers("ptp", "DEL")
@pytest.mark.parametrize("added", [True, False], ids=["twice", "never added"])
def test_delete_of_what_is_not_there(node, cni, added):
    """A second DEL, and one for a container that was never added, succeed and change nothing."""
    attachment = cni.add(without_dad(node.sandbox("c1")), NETWORK)
    target = attachment.target
    if added:
        cni.delete(attachment)
    else:
        target = replace(target, container_id="never", netns=node.sandbox("c2").path)
    before = node.state()
    caller(cni).delete(target, None)

    assert difference(before, node.state()) == ()


@END
@pytest.mark.covers("ptp.ipMasq", "DEL", "kernel")
@pytest.mark.covers("ptp.ipMasqBackend", "DEL", "kernel")
@pytest.mark.parametrize(
    "backend",
    [
        pytest.param({}, id="default"),
        pytest.param(
            {"ipMasqBackend": "nftables"}, id="nftables", marks=pytest.mark.requires(plugin="ptp>=1.6", binary="nft")
        ),
    ],
)
def test_no_masquerade_is_left(node, cni, end, backend):
    """Whichever way the container ended, after DEL no rule of either family masquerades its addresses."""
    attachment = cni.add(without_dad(node.sandbox("c1")), {**NETWORK, **backend})
    before = rules(node, *attachment.addresses)
    ENDS[end](cni, attachment)

    assert before
    assert rules(node, *attachment.addresses) == []


@END
@pytest.mark.covers("ptp.ipam", "DEL", "kernel")
def test_no_lease_is_left(node, cni, end):
    """Whichever way the container ended, after DEL its addresses are free."""
    attachment = cni.add(without_dad(node.sandbox("c1")), ptp(4, 6))
    before = [file.path for file in node.files() if file.path.removeprefix(LEASES) in attachment.addresses]
    ENDS[end](cni, attachment)

    assert len(before) == len(attachment.addresses)
    assert [file.path for file in node.files() if file.path.removeprefix(LEASES) in attachment.addresses] == []


@END
@pytest.mark.covers("ptp", "DEL", "kernel")
def test_no_link_is_left(node, cni, end):
    """Whichever way the container ended, after DEL neither end of its veth is there, nor a route to it."""
    attachment = cni.add(without_dad(node.sandbox("c1")), ptp(4))
    outside = host_end(attachment)
    ENDS[end](cni, attachment)

    assert outside not in [link.name for link in node.links]
    assert [route for route in node.routes if route.to.partition("/")[0] == attachment.address] == []
