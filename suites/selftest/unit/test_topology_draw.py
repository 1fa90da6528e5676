"""The picture of a topology: what it shows, and that it never breaks."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from topology_strategies import any_topologies

from cnitest.topology import (
    Bridge,
    Dummy,
    Host,
    Macvlan,
    Rule,
    Sandbox,
    Switch,
    Topology,
    Veth,
    VethEnd,
    draw,
    find,
    load,
    shipped,
)

_WALKTHROUGH = """\
bridge-walkthrough: Two sandboxes on a bridge, behind a host with an uplink to the internet
┌─ node ─────────────────────────────────────────────────────────┐
│ ┌─ ns01 ─────────────────────┐  ┌─ ns02 ─────────────────────┐ │
│ │ eth01 ── node:veth01       │  │ eth02 ── node:veth02       │ │
│ │   10.40.80.11/24           │  │   10.40.80.12/24           │ │
│ │   2001:db8:40::11/64       │  │   2001:db8:40::12/64       │ │
│ │ default via 10.40.80.1     │  │ default via 10.40.80.1     │ │
│ │ default via 2001:db8:40::1 │  │ default via 2001:db8:40::1 │ │
│ └────────────────┬───────────┘  └─────────────┬──────────────┘ │
│                  │ eth01                      │ eth02          │
│                  │ veth01                     │ veth02         │
│ ┌─ br01 (bridge) ┴────────────────────────────┴──────────────┐ │
│ │ 10.40.80.1/24                                              │ │
│ │ 2001:db8:40::1/64                                          │ │
│ │ veth01 ── node/ns01:eth01                                  │ │
│ │ veth02 ── node/ns02:eth02                                  │ │
│ └────────────────────────────────────────────────────────────┘ │
│ ens33 ── router:lan0                                           │
"""


def test_the_walkthrough_is_drawn_as_people_draw_it() -> None:
    """Sandboxes stand over their bridge, their wires are lines, and the uplink follows."""
    assert draw(load(find("bridge-walkthrough"))).startswith(_WALKTHROUGH)


@pytest.mark.parametrize("name", shipped())
def test_every_wire_of_a_shipped_topology_is_a_line(name: str) -> None:
    """The shipped topologies are small enough that each wire is drawn, and named at both ends."""
    topology = load(find(name))

    picture = draw(topology)

    assert picture.count("┴") == picture.count("┬") == len(topology.veths)
    assert picture == draw(topology)


def test_a_failed_pair_is_marked_and_named() -> None:
    """Both places carry the mark, no other does, and the last line says which way it was."""
    picture = draw(load(find("bridge-walkthrough")), failed=("node/ns01", "internet"))

    assert "─ ✗ ns01 ─" in picture
    assert "─ ✗ internet ─" in picture
    assert picture.endswith("\n\nnode/ns01 ✗→ internet")
    assert picture.count("✗") == 3


def test_extra_lines_stand_in_their_place() -> None:
    """What a plugin made is shown with the place; a sandbox or host that is not declared is drawn for it."""
    extra = {"node/c9": ["eth0 10.40.80.2/24 (bridge net)"], "node": ["cni0 10.40.80.1/24"], "other": ["eth7"]}

    picture = draw(load(find("node-with-uplink")), extra=extra)

    assert "│ ┌─ c9 ─" in picture
    assert "│ │ eth0 10.40.80.2/24 (bridge net) │ │" in picture
    assert "│ cni0 10.40.80.1/24 " in picture
    assert "┌─ other ─" in picture


def test_children_stand_under_their_parent() -> None:
    """A parent lists its children with their modes, those of other places by their place."""
    host = Host(
        dummies={"ens33": Dummy(mtu=1400, state="down")},
        macvlans={"macv-host": Macvlan(parent="ens33", addresses=["10.0.0.9/24"])},
        sandboxes={"c1": Sandbox(macvlans={"eth0": Macvlan(parent="h:ens33", mode="vepa")})},
    )

    picture = draw(Topology(name="t", hosts={"h": host}))

    lines = [line.strip("│ ").rstrip() for line in picture.splitlines()]
    at = lines.index("ens33 (dummy)")
    assert lines[at + 1 : at + 5] == [
        "mtu 1400, down",
        "└ macv-host (macvlan bridge)",
        "10.0.0.9/24",
        "└ h/c1:eth0 (macvlan vepa)",
    ]
    assert "eth0 (macvlan vepa) on h:ens33" in lines


def test_settings_are_listed() -> None:
    """Rules, sysctls and firewall lines are shown as one would type them."""
    host = Host(
        rules=[Rule(table=7, source="10.0.0.0/8")],
        sysctls={"net.ipv4.ip_forward": 1},
        iptables=["-P FORWARD DROP"],
        nft="table inet t {\n}\n",
    )

    picture = draw(Topology(name="t", hosts={"h": host}))

    for line in ("rule from 10.0.0.0/8 table 7", "net.ipv4.ip_forward = 1", "iptables -P FORWARD DROP", "nft: }"):
        assert f"│ {line} " in picture


def test_a_crowd_is_wrapped_in_rows() -> None:
    """Fifty sandboxes and twenty hosts fit in 100 columns, and no one is lost."""
    crowd = Host(sandboxes={f"c{n}": Sandbox() for n in range(50)})
    hosts = {"node": crowd, **{f"host{n}": Host() for n in range(20)}}
    veths = [Veth(ends=[VethEnd(at=f"host{n}", name="eth0"), VethEnd(at="lan")]) for n in range(20)]

    picture = draw(Topology(name="t", hosts=hosts, switches={"lan": Switch()}, veths=veths))

    assert max(map(len, picture.splitlines())) <= 100
    assert all(f"┌─ c{n} ─" in picture for n in range(50))
    assert all(f"┌─ host{n} ─" in picture and f"── host{n}:eth0" in picture for n in range(20))


def test_a_full_bridge_has_sandboxes_on_both_sides() -> None:
    """When a row is not enough the bridge stands between two, so that more wires are lines."""
    host = Host(bridges={"br0": Bridge()}, sandboxes={f"c{n}": Sandbox() for n in range(6)})
    veths = [
        Veth(ends=[VethEnd(at=f"h/c{n}", name="eth0"), VethEnd(at="h", name=f"v{n}", bridge="br0")]) for n in range(6)
    ]

    picture = draw(Topology(name="t", hosts={"h": host}, veths=veths))

    above, _, below = picture.partition("br0 (bridge)")
    assert "c0" in above
    assert "c5" in below.partition("└")[2]
    assert picture.count("┬") == picture.count("┴") == 6


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(any_topologies)
def test_no_topology_breaks_the_frame(topology: Topology) -> None:
    """Whatever is declared, valid or not, each line has at most 100 columns, all of them printable."""
    picture = draw(topology, failed=("h1", "h2/a"), extra={"h1": ["x " * 99], "h9/c": ["y" * 200]})

    lines = picture.split("\n")

    assert max(map(len, lines)) <= 100
    assert all(line.isprintable() for line in lines)
    assert all(line == line.rstrip() for line in lines)
