"""Topologies and packets that are drawn: every one can be declared, planned, and sent."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, given, settings

from cnitest.fuzz.generate.packets import Packet, packets
from cnitest.fuzz.generate.topologies import topologies
from cnitest.topology import loads
from cnitest.topology.building.plan import plan

SETTINGS = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@SETTINGS
@given(topologies())
def test_every_topology_is_accepted(document: dict[str, object]) -> None:
    """The checker has nothing to say of a topology that was drawn, and a plan is made of it."""
    declared = loads(json.dumps(document))

    assert plan(declared).places


@SETTINGS
@given(packets())
def test_every_packet_names_a_probe(packet: Packet) -> None:
    """A packet is one of the probes that a place can send, with sizes and ports that there are."""
    assert packet.probe in ("ping", "tcp", "udp", "arp")
    assert 0 <= packet.options.get("size", 0) <= 65507
    assert 0 < packet.options.get("port", 1) <= 65535
