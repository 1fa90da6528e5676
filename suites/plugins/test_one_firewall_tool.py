"""Hosts that have nft or iptables and not both: what plugins do there, when no configuration names a backend."""

from __future__ import annotations

import os

import pytest
from cnitest.suites.plugins.node_networks import INTERNET, UPLINK, network, pool, ptp, rules, without_dad
from cnitest.suites.plugins.ports import HOST_PORT, asked, published
from cnitest.suites.plugins.seen import source

from cnitest.kernel.processes import programs

pytestmark = [
    pytest.mark.topology("node-with-uplink"),
    pytest.mark.requires(kernel="conntrack", plugin=["host-local"], binary=["nft", "iptables"]),
]

FAMILY = pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
DEFAULT = {4: "0.0.0.0/0", 6: "::/0"}


#: What a host has (nft alone does since release 1.6), and the programs that are not there: their names lead to none.
ABSENT = {"nft": ("iptables", "ip6tables"), "iptables": ("nft",)}


@pytest.fixture(params=[pytest.param("nft", marks=pytest.mark.requires(plugin="host-local>=1.6")), "iptables"])
def node(lab, request):
    """A host with one of the tools alone."""
    host = without_dad(lab.host("node"))
    for program in {os.path.realpath(programs.find(name)) for name in ABSENT[request.param]}:
        host.run(["mount", "--bind", "/dev/null", program])
    return host


@FAMILY
@pytest.mark.requires(plugin="bridge")
@pytest.mark.covers("bridge.ipMasq", "packet", "DEL")
def test_a_bridge_masquerades(node, cni, family):
    """Containers of a bridge with ipMasq reach the internet as their host, and DEL takes the rules back."""
    attachment = cni.add(node.sandbox("c1"), network(family, isDefaultGateway=True, ipMasq=True))

    assert source(attachment.sandbox.ping(INTERNET[family])) == UPLINK[family]

    cni.delete(attachment)
    assert rules(node, attachment.address) == []


@FAMILY
@pytest.mark.requires(plugin="ptp")
@pytest.mark.covers("ptp.ipMasq", "packet", "DEL")
def test_a_ptp_link_masquerades(node, cni, family):
    """The same of a link of its own to the host."""
    routed = ptp(ipam=pool(family, routes=[{"dst": DEFAULT[family]}]), ipMasq=True)
    attachment = cni.add(without_dad(node.sandbox("c1")), routed)

    assert source(attachment.sandbox.ping(INTERNET[family])) == UPLINK[family]

    cni.delete(attachment)
    assert rules(node, attachment.address) == []


@pytest.mark.requires(plugin=["bridge", "portmap"])
@pytest.mark.covers("portmap.backend", "packet", "DEL")
def test_ports_are_published(lab, node, cni):
    """A port of the host leads to the container, and DEL takes the way back."""
    server = cni.add(node.sandbox("c1"), published(4), capabilities=asked())

    assert lab.host("router").tcp(UPLINK[4], HOST_PORT, listener=server.sandbox, listener_port=80)

    cni.delete(server)
    assert rules(node, server.address) == []
