"""Topologies: the language in which a network is declared, how it is judged, and its picture."""

from __future__ import annotations

from cnitest.topology.load import find, load, loads, shipped
from cnitest.topology.model import (
    Bond,
    Bridge,
    Dummy,
    FdbEntry,
    Host,
    Ipvlan,
    Link,
    Macvlan,
    Place,
    Route,
    Rule,
    Sandbox,
    Switch,
    Tap,
    Topology,
    Veth,
    VethEnd,
    Vlan,
    Vrf,
)
from cnitest.topology.picture.draw import draw
from cnitest.topology.problem import Problem
from cnitest.topology.rules.check import check, problems
from cnitest.topology.schema import json_schema

__all__ = [
    "Bond",
    "Bridge",
    "Dummy",
    "FdbEntry",
    "Host",
    "Ifb",
    "Ipvlan",
    "Link",
    "Macvlan",
    "Neighbour",
    "NextHop",
    "Place",
    "PortVlan",
    "Problem",
    "Route",
    "Rule",
    "Sandbox",
    "Switch",
    "Tap",
    "Topology",
    "Tunnel",
    "Veth",
    "VethEnd",
    "Vlan",
    "Vrf",
    "Vxlan",
    "Wireguard",
    "check",
    "draw",
    "find",
    "json_schema",
    "load",
    "loads",
    "problems",
    "shipped",
]
