"""The portmap plugin for SCTP, which needs no kernel that speaks it: its packets are sent and seen as they are."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.firewalls import ROUTER, UPLINK
from cnitest.suites.plugins.node_networks import without_dad
from cnitest.suites.plugins.ports import BACKENDS, HOST_PORT, PORT, asked, mapping, published

pytestmark = [
    pytest.mark.topology("node-with-uplink"),
    pytest.mark.requires(
        kernel="conntrack", plugin=["bridge", "host-local", "portmap"], binary=["iptables", "ip6tables"]
    ),
]

PLACES = pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])


def begin(place, to):
    """Ask for an association at a port of the host, as the first packet of SCTP does."""
    from scapy.layers.inet import IP
    from scapy.layers.inet6 import IPv6
    from scapy.layers.sctp import SCTP, SCTPChunkInit

    network = IPv6 if ":" in to else IP
    place.send(network(dst=to) / SCTP(sport=4000, dport=HOST_PORT) / SCTPChunkInit(init_tag=7, a_rwnd=65535))


@pytest.mark.parametrize("backend", BACKENDS)
@PLACES
@pytest.mark.covers("portmap.runtimeConfig.portMappings", "packet")
def test_a_port_of_sctp(lab, cni, backend, family):
    """The first packet of an association comes to the container's port with its sender, and TCP stays the host's."""
    from scapy.layers.inet import IP
    from scapy.layers.inet6 import IPv6

    node, router = without_dad(lab.host("node")), lab.host("router")
    server = cni.add(node.sandbox("c1"), published(family, **backend), capabilities=asked(mapping(protocol="sctp")))

    with server.sandbox.capture("eth0") as seen:
        begin(router, UPLINK[family])
        packet = seen.wait_for("SCTP", dport=PORT)

    assert packet[IPv6 if family == 6 else IP].src == ROUTER[family]
    assert router.tcp(UPLINK[family], HOST_PORT, listener=node)
