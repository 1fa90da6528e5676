"""Routes by a neighbour that forwards nothing, where the topology has a gateway."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import PROBES, Broken, demand

NODE = """
name: a-node
hosts:
  node:
    role: router
    bridges: {br0: {addresses: [10.5.0.1/24, "fd05::1/64"]}}
    sandboxes:
      a: {routes: [{via: 10.5.0.1}, {via: "fd05::1"}]}
      b: {routes: [{via: 10.5.0.1}, {via: "fd05::1"}]}
  out: {routes: [{via: 10.6.0.1}, {via: "fd06::1"}]}
veths:
  - ends: [{at: node/a, name: eth0, addresses: [10.5.0.2/24, "fd05::2/64"]}, {at: node, name: va, bridge: br0}]
  - ends: [{at: node/b, name: eth0, addresses: [10.5.0.3/24, "fd05::3/64"]}, {at: node, name: vb, bridge: br0}]
  - ends:
      - {at: node, name: eth0, addresses: [10.6.0.1/24, "fd06::1/64"]}
      - {at: out, name: eth0, addresses: [10.6.0.2/24, "fd06::2/64"]}
"""
WRONG = [
    ("ip route replace default via 10.5.0.3", "ip route replace default via 10.5.0.1", 4),
    ("ip route add 10.6.0.0/24 via 10.5.0.3", "ip route del 10.6.0.0/24 via 10.5.0.3 dev eth0 table main", 4),
    ("ip rule add pref 9 to all lookup 9; ip route add default via 10.5.0.3 table 9", "ip rule del pref 9", 4),
    ("ip -6 route replace default via fd05::3", "ip -6 route replace default via fd05::1", 6),
    (
        "ip -6 route add fd06::/64 via fd05::3",
        "ip -6 route del fd06::/64 via fd05::3 dev eth0 table main metric 1024",
        6,
    ),
]
ENDS = {4: ("10.5.0.2", "10.6.0.2"), 6: ("fd05::2", "fd06::2")}


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize(("command", "remedy", "family"), WRONG)
def test_who_sends_to_it_is_named(command, remedy, family, probe):
    """Not the neighbour that does not forward what it never was to: its sender's route."""
    to, wrong = ENDS[family][1], {"node/a": command}

    demand(
        Broken("routing.no-router", "no router", "node/a", remedy, wrong, "node/a", to, NODE, probe=PROBES[probe]),
        warm=False,
    )


@pytest.mark.parametrize(("command", "remedy", "family"), WRONG)
def test_who_sends_its_answer_to_it_is_named(command, remedy, family):
    """The same of a reply."""
    to, wrong = ENDS[family][0], {"node/a": command}

    demand(Broken("routing.no-router", "no router", "node/a", remedy, wrong, "out", to, NODE), warm=True)
