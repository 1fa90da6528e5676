"""Probes to whom has just gone: what kernels say of packets that wait for a neighbour is no answer that came late."""

from __future__ import annotations

import pytest

from cnitest.lab.reach import Verdict
from cnitest.topology import loads

TOPOLOGY = loads(
    """
name: gone
hosts:
  client: {}
  node:
    role: router
    bridges:
      br0: {addresses: [10.99.0.1/24, "2001:db8:99::1/64"]}
    sandboxes:
      c1: {routes: [{via: 10.99.0.1}, {via: "2001:db8:99::1"}]}
veths:
  - ends:
      - {at: client, name: eth0, addresses: [10.98.0.2/24, "2001:db8:98::2/64"]}
      - {at: node, name: eth0, addresses: [10.98.0.1/24, "2001:db8:98::1/64"]}
  - ends:
      - {at: node/c1, name: eth0, addresses: [10.99.0.7/24, "2001:db8:99::7/64"]}
      - {at: node, name: veth1, bridge: br0}
"""
)
NODE = {4: "10.98.0.1", 6: "2001:db8:98::1"}
CONTAINER = {4: "10.99.0.7", 6: "2001:db8:99::7"}
PROGRAM = {4: "iptables", 6: "ip6tables"}
pytestmark = [
    pytest.mark.topology(TOPOLOGY),
    pytest.mark.requires(kernel="conntrack", binary=["iptables", "ip6tables"]),
]


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("probe", ["tcp", "udp"])
@pytest.mark.parametrize("known", [True, False], ids=["known before", "never known"])
def test_a_port_that_leads_to_who_is_gone_is_dropped(lab, family, probe, known):
    """The node says in its own name that it found no neighbour, as soon as its questions are withdrawn; no answer of
    the destination is late."""
    client, node, server = lab.host("client"), lab.host("node"), lab.host("node").sandbox("c1")
    to = f"{CONTAINER[family]}:80" if family == 4 else f"[{CONTAINER[family]}]:80"
    rule = f"-t nat -A PREROUTING -d {NODE[family]} -p {probe} --dport 8080 -j DNAT --to-destination {to}"
    node.run([PROGRAM[family], "-w", *rule.split()])
    if known:
        assert getattr(client, probe)(NODE[family], 8080, listener=server, listener_port=80, source_port=4000)
    node.run(["ip", "link", "del", "veth1"])

    reach = getattr(client, probe)(NODE[family], 8080, listener=node, source_port=4000)

    assert reach.verdict is Verdict.DROPPED
    assert "later than" not in reach.reason
