"""Replies that go by a stateful firewall, while their requests went straight to a receiver on the same segment.

As in firewalld/firewalld issues 1061 and 1207.
"""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import run

from cnitest import Lab
from cnitest.topology import loads

TOPOLOGY = """
name: straight
hosts:
  gw:
    role: router
    sysctls: {net.ipv4.conf.all.send_redirects: 0, net.ipv4.conf.lan0.send_redirects: 0}
    nft: |
      table inet fw {
        chain f {
          type filter hook forward priority 0;
          ct state established,related accept
          ct state invalid drop
        }
      }
  server: {routes: [default via 10.50.0.1, "default via 2001:db8:50::1"]}
  client: {routes: [default via 192.168.1.1, "default via 2001:db8:1::1"]}
switches: {lan: {}}
veths:
  - ends:
      - {at: gw, name: lan0, addresses: [10.50.0.1/24, 192.168.1.1/24, "2001:db8:50::1/64", "2001:db8:1::1/64"]}
      - {at: lan}
  - ends: [{at: server, name: eth0, addresses: [10.50.0.2/24, "2001:db8:50::2/64"]}, {at: lan}]
  - ends: [{at: client, name: eth0, addresses: [192.168.1.9/24, "2001:db8:1::9/64"]}, {at: lan}]
"""
DECLARED = TOPOLOGY.replace("default via 192.168.1.1, ", "10.50.0.0/24 dev eth0, ").replace(
    '"default via 2001:db8:1::1"', '"2001:db8:50::/64 dev eth0"'
)
SERVER, CLIENT = {4: "10.50.0.2", 6: "2001:db8:50::2"}, {4: "192.168.1.9", 6: "2001:db8:1::9"}


@pytest.mark.requires(kernel="conntrack", binary=["nft"])
@pytest.mark.parametrize("family", [4, 6])
def test_a_route_that_goes_past_the_firewall_is_named(family):
    """A client's route that the topology does not have is the cause: without it the request goes that way, too."""
    with Lab(loads(TOPOLOGY)) as lab:
        run(lab, {"client": f"ip route add {SERVER[family]} dev eth0"})

        reach = lab.host("client").tcp(SERVER[family], 80)

        assert (reach.cause.id, reach.cause.place) == ("conntrack.other-way", "client"), reach.explanation
        assert "route del" in reach.cause.remedy
        run(lab, {"client": reach.cause.remedy})
        assert lab.host("client").tcp(SERVER[family], 80)


@pytest.mark.requires(kernel="conntrack", binary=["nft"])
@pytest.mark.parametrize("family", [4, 6])
def test_a_reply_that_does_not_go_straight_back_is_named(family):
    """Where the topology has the client send straight, it is the server that is to do so, too."""
    with Lab(loads(DECLARED)) as lab:
        reach = lab.host("client").tcp(SERVER[family], 80)

        assert (reach.cause.id, reach.cause.place) == ("conntrack.other-way", "server"), reach.explanation
        six = "-6 " if family == 6 else ""
        assert reach.cause.remedy == f"ip {six}route add {CLIENT[family]} dev eth0"
        run(lab, {"server": reach.cause.remedy})
        assert lab.host("client").tcp(SERVER[family], 80)
