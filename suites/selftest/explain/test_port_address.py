"""Addresses that stayed on a link when it became a port of a bridge."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import PROBES, run

from cnitest import Lab
from cnitest.topology import loads

TOPOLOGY = """
name: port-address
hosts:
  host: {bridges: {br0: {}}, routes: [default via 10.0.0.2, "default via 2001:db8::2"]}
  router: {role: router}
  far: {routes: [default via 10.5.0.1, "default via 2001:db8:5::1"]}
veths:
  - ends:
      - {at: host, name: eth0, addresses: [10.0.0.1/24, "2001:db8::1/64"]}
      - {at: router, name: eth0, addresses: [10.0.0.2/24, "2001:db8::2/64"]}
  - ends:
      - {at: router, name: eth1, addresses: [10.5.0.1/24, "2001:db8:5::1/64"]}
      - {at: far, name: eth0, addresses: [10.5.0.2/24, "2001:db8:5::2/64"]}
"""
HOST, FAR = {4: "10.0.0.1", 6: "2001:db8::1"}, {4: "10.5.0.2", 6: "2001:db8:5::2"}


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(("sender", "to"), [("host", FAR), ("far", HOST), ("router", HOST)])
@pytest.mark.parametrize("probe", PROBES.values(), ids=PROBES)
def test_an_address_on_a_port_is_named(probe, sender, to, family):
    """Whoever asks, the port with the address is the cause; moved to the bridge with its routes, all works."""
    with Lab(loads(TOPOLOGY)) as lab:
        run(lab, {"host": "ip link set eth0 master br0"})

        reach = probe(lab.host(sender), to[family])

        assert not reach
        assert (reach.cause.id, reach.cause.place) == ("l2.port-address", "host"), reach.explanation
        assert "host:eth0" in reach.cause.words
        run(lab, {"host": reach.cause.remedy, "router": "ip neigh flush all"})
        assert probe(lab.host(sender), to[family]), reach.cause.remedy
