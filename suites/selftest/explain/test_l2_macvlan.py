"""Macvlans of every mode: who does not hear whom is said, and that mode bridge fixes it."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import Broken, demand

from cnitest import Lab
from cnitest.kernel import features
from cnitest.topology.load import loads

pytestmark = pytest.mark.skipif(not features.link_kind("macvlan").present, reason=features.link_kind("macvlan").why)

LAN = """
name: macvlans
switches:
  lan: {hairpin: HAIRPIN}
hosts:
  node:
    sandboxes:
      a: {macvlans: {eth0: {parent: "node:ens33", mode: FIRST, addresses: [192.0.2.11/24, "2001:db8::11/64"]}}}
      b: {macvlans: {eth0: {parent: "node:ens33", mode: SECOND, addresses: [192.0.2.12/24, "2001:db8::12/64"]}}}
  peer: {}
veths:
  - ends:
      - {at: node, name: ens33, addresses: [192.0.2.101/24, "2001:db8::101/64"]}
      - {at: lan}
  - ends:
      - {at: peer, name: ens33, addresses: [192.0.2.102/24, "2001:db8::102/64"]}
      - {at: lan}
"""
ALONE = LAN.replace(LAN[LAN.index("      b:") : LAN.index("  peer:")], "").replace("FIRST", "passthru")
BRIDGE = "ip link set eth0 type macvlan mode bridge"
BOTH = {"node/a": BRIDGE, "node/b": BRIDGE}


def lan(first: str, second: str, hairpin: str = "false") -> str:
    """The topology with two macvlans of some modes."""
    return LAN.replace("FIRST", first).replace("SECOND", second).replace("HAIRPIN", hairpin)


MODES = [
    Broken(
        "l2.macvlan-mode",
        f"macvlan mode {mode}",
        place,
        BRIDGE,
        {},
        sender="node/a",
        to=to,
        topology=lan(first, second),
        afterwards=BOTH,
    )
    for to in ("192.0.2.12", "2001:db8::12")
    for first, second, mode, place in (
        ("private", "private", "private", "node/a"),
        ("private", "bridge", "private", "node/a"),
        ("bridge", "private", "private", "node/b"),
        ("vepa", "vepa", "vepa", "node/a"),
        ("bridge", "vepa", "vepa", "node/b"),
        ("private", "vepa", "private", "node/a"),
    )
]
PARENT = [
    Broken(
        "l2.macvlan-parent",
        "macvlan to its parent",
        "node",
        "ip link add … link ens33 type macvlan mode bridge",
        {},
        sender=sender,
        to=to,
        topology=lan("bridge", "bridge"),
    )
    for sender, to in (("node/a", "192.0.2.101"), ("node", "192.0.2.12"), ("node/a", "2001:db8::101"))
]
OTHERS = [
    Broken(
        "l2.macvlan-mode",
        "macvlan mode private",
        "node/a",
        BRIDGE,
        {},
        sender="node/a",
        to="192.0.2.12",
        topology=lan("private", "private", "true"),
        afterwards=BOTH,
    ),
    Broken(
        "l2.macvlan-passthru",
        "macvlan mode passthru",
        "node/a",
        "ip link delete eth0",
        {},
        sender="peer",
        to="192.0.2.101",
        topology=ALONE.replace("HAIRPIN", "false"),
    ),
    Broken(
        "l2.link-down",
        "link down",
        "node",
        "ip link set ens33 up",
        {"node": "ip link set ens33 down"},
        sender="node/a",
        to="192.0.2.12",
        topology=lan("bridge", "bridge"),
    ),
    Broken(
        "l2.protodown",
        "protodown",
        "node/b",
        "ip link set eth0 protodown off",
        {"node/b": "ip link set eth0 protodown on; ip link show eth0"},
        sender="peer",
        to="192.0.2.12",
        topology=lan("bridge", "bridge"),
    ),
]


@pytest.mark.parametrize("broken", [*MODES, *PARENT, *OTHERS], ids=str)
def test_a_macvlan_that_keeps_a_frame_is_named(broken):
    """Its mode, or that it stands on the other one, with the command that fixes it where there is one."""
    demand(broken, warm=False)


def test_a_macvlan_in_mode_source_hears_only_the_macs_of_its_list():
    """Whose MAC it lacks is said."""
    with Lab(loads(lan("bridge", "bridge"))) as lab:
        mac = lab.host("peer").link("ens33").mac
        lab.sandbox("a").run(["ip", "link", "set", "eth0", "type", "macvlan", "mode", "source"])

        reach = lab.host("peer").ping("192.0.2.11")

        assert (reach.cause.id, reach.cause.place, reach.dropped_by) == (
            "l2.macvlan-source",
            "node/a",
            "macvlan mode source",
        )
        assert reach.cause.remedy == f"ip link set eth0 type macvlan macaddr add {mac}"
        lab.sandbox("a").run(reach.cause.remedy.split())
        assert lab.host("peer").ping("192.0.2.11")


@pytest.mark.parametrize(("first", "second", "hairpin"), [("bridge", "bridge", "false"), ("vepa", "vepa", "true")])
def test_macvlans_that_hear_each_other_have_no_cause(first, second, hairpin):
    """Mode bridge, and vepa on a switch that reflects, deliver."""
    with Lab(loads(lan(first, second, hairpin))) as lab:
        reach = lab.sandbox("a").ping("192.0.2.12")

        assert reach
        assert reach.dropped_by == ""
