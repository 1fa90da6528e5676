"""A gateway that nobody has, where a host's bridge without an address is what should have it: a bridge plugin without
``isGateway``, or with that key mistyped."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import Broken, demand, run

from cnitest import Lab
from cnitest.topology import loads

TOPOLOGY = """
name: vacant
hosts:
  node:
    sysctls: {net.ipv4.ip_forward: 1, net.ipv6.conf.all.forwarding: 1}
    bridges: {br0: {}}
    sandboxes:
      pod: {routes: [default via 10.88.0.1, "default via fd00:88::1"]}
  far: {routes: [default via 10.99.0.1, "default via fd00:99::1"]}
veths:
  - ends:
      - {at: node/pod, name: eth0, addresses: [10.88.0.2/16, "fd00:88::2/64"]}
      - {at: node, name: veth0, bridge: br0}
  - ends:
      - {at: node, name: up0, addresses: [10.99.0.1/24, "fd00:99::1/64"]}
      - {at: far, name: eth0, addresses: [10.99.0.2/24, "fd00:99::2/64"]}
"""
GIVEN = {4: "ip address add 10.88.0.1/16 dev br0", 6: "ip address add fd00:88::1/64 dev br0 nodad"}


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(
    ("cause", "dropped_by", "to"),
    [
        ("routing.no-such-gateway", "no such gateway", {4: "10.99.0.2", 6: "fd00:99::2"}),
        ("l2.nobody", "address not in use", {4: "10.88.0.1", 6: "fd00:88::1"}),
    ],
    ids=["gateway", "address"],
)
def test_the_bridge_is_to_have_the_address(cause, dropped_by, to, family):
    """The command names the bridge and the subnet's length, and lets the probe pass."""
    broken = Broken(
        cause, dropped_by, "node", GIVEN[family], {}, sender="node/pod", to=to[family], topology=TOPOLOGY
    )  # fmt: skip
    demand(broken, warm=False)


@pytest.mark.parametrize("family", [4, 6])
def test_a_bridge_that_has_an_address_is_left_as_it_is(family):
    """Who is to have the gateway's address is not known then."""
    other = {4: "10.88.0.254/16", 6: "fd00:88::fe/64"}[family]
    with Lab(loads(TOPOLOGY)) as lab:
        run(lab, {"node": f"ip address add {other} dev br0"})

        reach = lab.sandbox("pod").ping({4: "10.99.0.2", 6: "fd00:99::2"}[family])

        assert (reach.cause.id, reach.cause.place) == ("routing.no-such-gateway", "node/pod")
        assert "br0" not in reach.cause.remedy
