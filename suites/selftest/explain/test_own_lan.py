"""A tunnel's routes that take what is for a neighbour on the LAN.

As in tailscale/tailscale issues 1227 and 925: a subnet route that is accepted is that of the LAN itself.
"""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import PROBES, run

from cnitest import Lab
from cnitest.topology import loads

TOPOLOGY = """
name: own-lan
hosts:
  host:
    routes: [100.64.0.2/32 dev tun0, 10.9.0.0/24 via 100.64.0.2 dev tun0 onlink table 52]
    rules: [from all lookup 52 priority 5270, "-6 from all lookup 52 priority 5270"]
  vpn: {role: router, routes: [100.64.0.1/32 dev tun0]}
  nas: {}
switches: {lan: {}}
veths:
  - ends: [{at: host, name: eth0, addresses: [192.168.1.10/24, "2001:db8:1::10/64"]}, {at: lan}]
  - ends: [{at: nas, name: eth0, addresses: [192.168.1.20/24, "2001:db8:1::20/64"]}, {at: lan}]
  - ends:
      - {at: host, name: tun0, addresses: [100.64.0.1/32, "fd64::1/64"]}
      - {at: vpn, name: tun0, addresses: [100.64.0.2/32, "fd64::2/64"]}
"""
ROUTES = {
    4: "ip route add 192.168.1.0/{length} via 100.64.0.2 dev tun0 onlink{table}",
    6: "ip -6 route add 2001:db8:1::/{length} via fd64::2 dev tun0{table}",
}
HOST, NAS = {4: "192.168.1.10", 6: "2001:db8:1::10"}, {4: "192.168.1.20", 6: "2001:db8:1::20"}


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("how", ["rule", "prefix"])
@pytest.mark.parametrize("way", ["there", "back"])
@pytest.mark.parametrize("kind", PROBES)
def test_the_route_that_takes_the_lan_is_named(kind, way, how, family):
    """The route is the cause, not the router that has none; without it all works, and the topology's rule stays."""
    lengths = {"rule": (24, 64, " table 52"), "prefix": (26, 122, "")}[how]
    route = ROUTES[family].format(length=lengths[0 if family == 4 else 1], table=lengths[2])
    with Lab(loads(TOPOLOGY)) as lab:
        run(lab, {"host": route})
        sender, to = ("host", NAS) if way == "there" else ("nas", HOST)

        reach = PROBES[kind](lab.host(sender), to[family])

        cause = "routing.astray" if way == "there" else "routing.reply-astray"
        assert (reach.cause.id, reach.cause.place) == (cause, "host"), reach.explanation
        assert "route del" in reach.cause.remedy
        run(lab, {"host": reach.cause.remedy})
        assert PROBES[kind](lab.host(sender), to[family]), reach.cause.remedy
