"""CHECK and DEL of the ptp plugin: what was changed behind its back, and what is left, however the container ended."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cnitest.suites.plugins.ends import ENDS
from cnitest.suites.plugins.lan_networks import leases
from cnitest.suites.plugins.node_networks import INTERNET, caller, host_end, pool, ptp, rules, settled, without_dad
from cnitest.suites.plugins.tampering import OF_ANY_VETH, inside, outside

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


#: Each thing that ADD has made or set, taken away or changed behind the plugin's back.
TAMPERINGS = {
    **OF_ANY_VETH,
    "gateway-route-ipv4": inside("ip", "route", "flush", "table", "main"),
    "host-address-ipv4": outside("ip", "address", "del", "GATEWAY4", "dev", "VETH"),
    "host-address-ipv6": outside("ip", "address", "del", "GATEWAY6", "dev", "VETH"),
    "host-route-ipv4": outside("ip", "route", "del", "IPV4"),
    "host-route-ipv6": outside("ip", "-6", "route", "del", "IPV6", "dev", "VETH"),
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
    assert leases(node, stays.network.name) == [stays.address]


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
    before = settled(node).state()
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
