"""Networks where a packet goes unusual ways, which are no cause of anything, at any link that it passes."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import run
from cnitest.suites.selftest.explain.test_carriers import PODS, topology

from cnitest import Lab
from cnitest.explain.causes.registry import recognised
from cnitest.explain.evidence.loss import Loss
from cnitest.explain.evidence.rows import LastSeen
from cnitest.lab.probe.base import Probe
from cnitest.lab.probe.kinds.echo import EchoProbe
from cnitest.lab.probe.kinds.stream import StreamProbe
from cnitest.lab.probe.verdict.inquiry import prove
from cnitest.lab.probe.verdict.watching import watched_attempt
from cnitest.topology import loads

BRIDGES = """
name: bridges-on-bridges
hosts:
  node:
    bridges: {b1: {}, b2: {}, b3: {addresses: [10.0.0.1/24]}}
    sandboxes: {c: {}, d: {}}
veths:
  - ends: [{at: node/c, name: eth0, addresses: [10.0.0.2/24]}, {at: node, name: vc, bridge: b1}]
  - ends: [{at: node, name: x1, bridge: b1}, {at: node, name: x2, bridge: b2}]
  - ends: [{at: node, name: y1, bridge: b2}, {at: node, name: y2, bridge: b3}]
  - ends: [{at: node/d, name: eth0, addresses: [10.0.0.3/24]}, {at: node, name: vd, bridge: b3}]
"""
IFB = (
    "ip link add ifb0 type ifb; ip link set ifb0 up; tc qdisc add dev vc ingress; "
    "tc filter add dev vc parent ffff: protocol all u32 match u32 0 0 action mirred egress redirect dev ifb0"
)


def causes(lab: Lab, probe: Probe) -> dict[str, str]:
    """What is recognised at the links that a probe passes which is delivered."""
    reach = prove(probe)
    attempt, seen = watched_attempt(probe, {place: lab.sniffer(place) for place in lab.places}, 1.0, probe.far)
    assert reach, reach.explanation
    assert attempt.answered
    spots = [LastSeen(lab.place(s.place), s.frame.link, s.frame.out, s.returning, s.frame) for s in seen.sightings]
    found = {str(spot): recognised(Loss(reach, probe, attempt, seen, spot)) for spot in spots}
    return {where: one.cause.id for where, one in found.items() if one}


def test_another_link_of_who_has_the_address_is_no_wrong_neighbour():
    """A host takes what is for its address by whichever link it is asked for on."""
    with Lab(loads(BRIDGES)) as lab:
        mac = lab.place("node").link("b1").mac
        run(lab, {"node/c": f"ip neigh replace 10.0.0.1 lladdr {mac} nud permanent dev eth0"})

        assert causes(lab, EchoProbe(lab.place("node/c"), "10.0.0.1")) == {}


@pytest.mark.requires(kernel="ifb")
def test_an_ifb_gives_back_what_it_gets():
    """A redirection to an ifb, as plugin bandwidth makes it, takes no packet away."""
    with Lab(loads(BRIDGES)) as lab:
        run(lab, {"node": IFB})

        assert causes(lab, EchoProbe(lab.place("node/c"), "10.0.0.3")) == {}


@pytest.mark.requires(kernel="vxlan")
@pytest.mark.parametrize("family", [4, 6])
def test_nobody_has_to_listen_on_a_tunnel_s_port(family):
    """A connection's tunnel has packets of UDP, for which no socket is looked for."""
    with Lab(loads(topology(family))) as lab:
        pod, far = lab.sandbox("p1"), lab.sandbox("p2")

        assert causes(lab, StreamProbe(pod, PODS[family], 80, far, 80)) == {}
