"""The message that a packet is too large, ended at a node that translates its containers' addresses.

As in moby/moby issue 22297.
"""

from __future__ import annotations

import pytest

from cnitest import Lab
from cnitest.topology import loads

TOPOLOGY = """
name: black-hole
hosts:
  node:
    role: router
    bridges: {docker0: {addresses: [172.17.0.1/16, "fd17::1/64"]}}
    routes: [default via 10.0.0.2, "default via 2001:db8::2"]
    iptables: [-t nat -A POSTROUTING -o eth0 -j MASQUERADE]
    ip6tables: [-t nat -A POSTROUTING -o eth0 -j MASQUERADE]
    sandboxes: {c: {routes: [default via 172.17.0.1, "default via fd17::1"]}}
  router: {role: router}
  server: {routes: [default via 10.1.0.1, "default via 2001:db8:1::1"]}
veths:
  - ends:
      - {at: node/c, name: eth0, addresses: [172.17.0.2/16, "fd17::2/64"]}
      - {at: node, name: v0, bridge: docker0}
  - ends:
      - {at: node, name: eth0, addresses: [10.0.0.1/24, "2001:db8::1/64"]}
      - {at: router, name: lan, addresses: [10.0.0.2/24, "2001:db8::2/64"]}
  - ends:
      - {at: router, name: wan, addresses: [10.1.0.1/24, "2001:db8:1::1/64"], mtu: 1400}
      - {at: server, name: eth0, addresses: [10.1.0.2/24, "2001:db8:1::2/64"], mtu: 1400}
"""
DROPS = {
    4: ("iptables", "10.1.0.2", "-p icmp --icmp-type fragmentation-needed -j DROP"),
    6: ("ip6tables", "2001:db8:1::2", "-p ipv6-icmp --icmpv6-type packet-too-big -j DROP"),
}


@pytest.mark.requires(kernel="conntrack", binary=["iptables", "ip6tables"])
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("chain", ["-A FORWARD", "-t raw -A PREROUTING"])
def test_a_message_that_ends_at_the_translating_node_came_to_nobody(chain, family):
    """The container does not know how large its packets may be, though the message came to the address they had."""
    program, to, rule = DROPS[family]
    with Lab(loads(TOPOLOGY)) as lab:
        lab.host("node").load_rules(program, f"{chain} {rule}")

        reach = lab.sandbox("c").ping(to, size=1440, df=True)

        assert (reach.cause.id, reach.cause.place) == ("limits.pmtu-black-hole", "router"), reach.explanation
        assert "was last seen at node:eth0 in" in reach.cause.words
        assert reach.cause.evidence[0].startswith("node/c got no such message")


@pytest.mark.requires(kernel="conntrack", binary=["iptables", "ip6tables"])
@pytest.mark.parametrize("family", [4, 6])
def test_a_message_that_comes_back_is_known(family):
    """Where the node hands it on, the container knows."""
    with Lab(loads(TOPOLOGY)) as lab:
        reach = lab.sandbox("c").ping(DROPS[family][1], size=1440, df=True)

        assert reach.cause.id == "limits.path-mtu", reach.explanation
