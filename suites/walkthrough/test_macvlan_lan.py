"""Three nodes on one LAN, each with its own range of the LAN's addresses, wired by macvlan."""

from __future__ import annotations

import pytest

pytestmark = [
    pytest.mark.topology("three-nodes-one-lan"),
    pytest.mark.requires(kernel="macvlan", plugin=["macvlan", "host-local"]),
]

RANGES = {
    "node1": ("192.168.80.120", "192.168.80.129"),
    "node2": ("192.168.80.130", "192.168.80.139"),
    "node3": ("192.168.80.140", "192.168.80.149"),
}
GATEWAY, INTERNET = "192.168.80.2", "8.8.8.8"


def network(node):
    """The conf of one node: the same on all but for the range."""
    start, end = RANGES[node]
    return {
        "cniVersion": "1.0.0",
        "name": "lan",
        "type": "macvlan",
        "master": "ens33",
        "mode": "bridge",
        "isGateway": True,  # of the bridge plugin: macvlan ignores both
        "ipMasq": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": "192.168.80.0/24", "rangeStart": start, "rangeEnd": end, "gateway": GATEWAY}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }


@pytest.fixture
def containers(lab, cni):
    """One container a node, by the node's name."""
    return {name: cni.add(lab.host(name).sandbox("c1"), network(name)) for name in RANGES}


def test_each_container_has_an_address_of_its_node(containers):
    """The address is the first of the node's range, with the LAN's prefix and gateway."""
    for name, attachment in containers.items():
        assert attachment.address == RANGES[name][0]
        assert attachment.result.ips[0].address.endswith("/24")
        assert attachment.gateway == GATEWAY
        assert any(a.address == attachment.result.ips[0].address for a in attachment.sandbox.addresses)


@pytest.mark.parametrize(("here", "there"), [("node1", "node2"), ("node2", "node3"), ("node3", "node1")])
def test_containers_reach_each_other_across_nodes(containers, here, there):
    """A container reaches one of another node directly, under its own address."""
    reach = containers[here].sandbox.ping(containers[there].address)

    assert reach
    assert reach.source_seen == containers[here].address


def test_containers_reach_the_gateway_and_the_internet(containers):
    """The LAN's gateway answers, and the internet answers through it: nothing was masqueraded."""
    for attachment in containers.values():
        assert attachment.sandbox.ping(GATEWAY)
        reach = attachment.sandbox.ping(INTERNET)
        assert reach
        assert reach.source_seen == attachment.address


def test_options_of_another_plugin_are_ignored(lab, containers):
    """isGateway and ipMasq mean nothing to macvlan: no address, no rule, no forwarding on the node."""
    node = lab.host("node1")

    assert [a.address for a in node.addresses if a.link == "ens33" and ":" not in a.address] == ["192.168.80.101/24"]
    assert node.state().firewall == {}
    assert node.sysctl("net.ipv4.ip_forward") == "0"


def test_each_child_has_a_mac_of_its_own(lab, containers):
    """No two containers share a MAC, nor one with its node."""
    macs = [attachment.sandbox.link("eth0").mac for attachment in containers.values()]
    macs += [lab.host(name).link("ens33").mac for name in containers]

    assert len(set(macs)) == len(macs)


def test_multicast_memberships_are_readable(containers):
    """The all-hosts group is joined on the container's link, by IP and by MAC, as ip maddress shows it."""
    groups = containers["node1"].sandbox.multicast

    assert ("eth0", "224.0.0.1") in groups
    assert ("eth0", "01:00:5e:00:00:01") in groups
