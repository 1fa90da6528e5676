"""Rules that keep two networks apart: one for each direction, and both have to go.

As Docker's chains do (moby/moby issues 9889 and 34365).
"""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import PROBES, run

from cnitest import Lab
from cnitest.topology import loads

TOPOLOGY = """
name: apart
hosts:
  node:
    role: router
    sysctls: {net.bridge.bridge-nf-call-iptables: 0, net.bridge.bridge-nf-call-ip6tables: 0}
    bridges:
      br1: {addresses: [10.1.0.1/24, "fd01::1/64"]}
      br2: {addresses: [10.2.0.1/24, "fd02::1/64"]}
    sandboxes:
      a: {routes: [default via 10.1.0.1, "default via fd01::1"]}
      b: {routes: [default via 10.2.0.1, "default via fd02::1"]}
veths:
  - ends: [{at: node/a, name: eth0, addresses: [10.1.0.2/24, "fd01::2/64"]}, {at: node, name: v1, bridge: br1}]
  - ends: [{at: node/b, name: eth0, addresses: [10.2.0.2/24, "fd02::2/64"]}, {at: node, name: v2, bridge: br2}]
"""
STAGES = (
    "-N APART",
    "-A FORWARD -i br1 ! -o br1 -j APART",
    "-A FORWARD -i br2 ! -o br2 -j APART",
    "-A APART -o br1 -j DROP",
    "-A APART -o br2 -j DROP",
)
SUBNETS = (
    "-N APART",
    "-A FORWARD -j APART",
    "-A APART ! -s {net} -o br2 -j DROP",
    "-A APART ! -d {net} -i br2 -j DROP",
)
FOREIGN = ("-N APART", "-A FORWARD -j APART", "-A APART -o br2 -p sctp -j DROP", "-A APART -o br2 -j DROP")
WAYS = {"stages": (STAGES, 2), "subnets": (SUBNETS, 2), "one": (FOREIGN, 1)}


@pytest.mark.requires(kernel="conntrack", binary=["iptables", "ip6tables"])
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(("rules", "number"), WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("kind", PROBES)
def test_the_remedy_lets_the_reply_pass_too(kind, rules, number, family):
    """The rule of the other direction is in the remedy, and none that would let the reply pass."""
    program, to = ("ip6tables", "fd02::2") if family == 6 else ("iptables", "10.2.0.2")
    with Lab(loads(TOPOLOGY)) as lab:
        lab.host("node").load_rules(
            program, *(rule.format(net="fd02::/64" if family == 6 else "10.2.0.0/24") for rule in rules)
        )

        reach = PROBES[kind](lab.sandbox("a"), to)

        assert (reach.cause.id, reach.cause.place) == ("firewall.rule", "node"), reach.explanation
        assert reach.cause.remedy.count(f"{program} -D APART") == number
        run(lab, {"node": reach.cause.remedy})
        assert PROBES[kind](lab.sandbox("a"), to), reach.cause.remedy
