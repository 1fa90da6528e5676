"""What any network with addresses has to do: run with each --cni-conf, or with the configurations we ship."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.topology("node-with-uplink")]


@pytest.fixture
def pair(lab, cni, network):
    """Two containers of the network."""
    return [cni.add(lab.host("node").sandbox(name), network) for name in ("c1", "c2")]


def test_containers_reach_their_gateway(pair):
    """Each container reaches the gateway that its result names."""
    for attachment in pair:
        assert attachment.gateway, "the result names no gateway"
        assert attachment.sandbox.ping(attachment.gateway)


def test_containers_reach_each_other(pair):
    """Two containers of the network exchange echo, TCP and UDP."""
    first, second = pair

    assert first.sandbox.ping(second.address)
    assert first.sandbox.tcp(second.address, 80)
    assert second.sandbox.udp(first.address, 53)


def test_delete_takes_the_link_away(lab, cni, network):
    """After DEL the container has no link of that name and its address does not answer any more."""
    node = lab.host("node")
    attachment = cni.add(node.sandbox("c1"), network)
    neighbour = cni.add(node.sandbox("c2"), network)
    address = attachment.address
    cni.delete(attachment)

    assert "eth0" not in [link.name for link in attachment.sandbox.links]
    assert not neighbour.sandbox.ping(address)
