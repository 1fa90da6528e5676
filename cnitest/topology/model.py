"""What a topology is: frozen data that a file, or Python, writes down and every other room reads.

A *place* is a network namespace: a host, a sandbox inside a host (``host/sandbox``) or a switch.
Where a link names another place's link it writes ``place:link``; a bare name means the same place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from cnitest.topology.frozen import Frozen
from cnitest.topology.model_links import (
    Bond,
    Bridge,
    Dummy,
    Ifb,
    Ipvlan,
    Link,
    Macvlan,
    PortVlan,
    Tap,
    Tunnel,
    Veth,
    VethEnd,
    Vlan,
    Vrf,
    Vxlan,
    Wireguard,
)
from cnitest.topology.model_routing import FdbEntry, Neighbour, NextHop, Route, Rule

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
]

#: A field whose lines may also be one text, or come from a file: ``{file: rules.v4}``.
LINES = MappingProxyType({"lines": True})
_EMPTY: Mapping[str, Any] = MappingProxyType({})


def _nothing() -> Mapping[str, Any]:
    return _EMPTY


@dataclass(frozen=True, kw_only=True)
class Place(Frozen):
    """What a host and a sandbox have in common.

    ``loopback`` are addresses on ``lo``. ``iptables`` and ``ip6tables`` are lines as one would type them after
    the command's name (``-t nat -A POSTROUTING …``), or a dump as iptables-save writes it; ``nft`` is a script for
    ``nft -f``. ``neighbours`` and ``fdb`` are static entries; ``tc`` are lines as one would type them after the name
    of tc(8). ``defaults`` are the sysctls that a distribution sets. ``setup`` are commands that are run when all else
    is there, as lists of words or as lines that are split as a shell would.
    """

    loopback: tuple[str, ...] = ()
    bridges: Mapping[str, Bridge] = field(default_factory=_nothing)
    macvlans: Mapping[str, Macvlan] = field(default_factory=_nothing)
    ipvlans: Mapping[str, Ipvlan] = field(default_factory=_nothing)
    vlans: Mapping[str, Vlan] = field(default_factory=_nothing)
    dummies: Mapping[str, Dummy] = field(default_factory=_nothing)
    bonds: Mapping[str, Bond] = field(default_factory=_nothing)
    vrfs: Mapping[str, Vrf] = field(default_factory=_nothing)
    taps: Mapping[str, Tap] = field(default_factory=_nothing)
    vxlans: Mapping[str, Vxlan] = field(default_factory=_nothing)
    tunnels: Mapping[str, Tunnel] = field(default_factory=_nothing)
    wireguards: Mapping[str, Wireguard] = field(default_factory=_nothing)
    ifbs: Mapping[str, Ifb] = field(default_factory=_nothing)
    neighbours: tuple[Neighbour, ...] = ()
    fdb: tuple[FdbEntry, ...] = ()
    routes: tuple[Route, ...] = ()
    rules: tuple[Rule, ...] = ()
    sysctls: Mapping[str, str | int] = field(default_factory=_nothing)
    defaults: Literal["kernel", "debian", "debian12", "ubuntu", "fedora", "rhel"] | None = None
    iptables: tuple[str, ...] = field(default=(), metadata=LINES)
    ip6tables: tuple[str, ...] = field(default=(), metadata=LINES)
    nft: str = field(default="", metadata=LINES)
    tc: tuple[str, ...] = ()
    setup: tuple[str | tuple[str, ...], ...] = ()

    def links(self) -> Iterator[tuple[str, Link]]:
        """The links declared here by name, veth ends apart, in the order they can be created in."""
        for group in (
            self.bridges,
            self.dummies,
            self.taps,
            self.macvlans,
            self.ipvlans,
            self.vlans,
            self.bonds,
            self.vrfs,
            self.vxlans,
            self.tunnels,
            self.wireguards,
            self.ifbs,
        ):
            yield from group.items()


@dataclass(frozen=True, kw_only=True)
class Sandbox(Place):
    """A container's network namespace inside a host; left empty, it waits for a plugin."""


@dataclass(frozen=True, kw_only=True)
class Host(Place):
    """A machine we play. A ``router`` forwards both families; ``internet`` is only a way to draw it."""

    role: Literal["host", "router", "internet"] = "host"
    sandboxes: Mapping[str, Sandbox] = field(default_factory=_nothing)


@dataclass(frozen=True, kw_only=True)
class Switch(Frozen):
    """A bridge (called ``br0``) in a namespace of its own; ``hairpin`` is the default of each port."""

    BRIDGE: ClassVar[str] = "br0"

    hairpin: bool = False
    stp: bool = False
    mtu: int | None = None


@dataclass(frozen=True, kw_only=True)
class Topology(Frozen):
    """A whole network: hosts with their sandboxes, switches, and the veth pairs between them."""

    name: str
    about: str = ""
    hosts: Mapping[str, Host] = field(default_factory=_nothing)
    switches: Mapping[str, Switch] = field(default_factory=_nothing)
    veths: tuple[Veth, ...] = ()

    def where(self, path: str) -> str:
        """A path as a person finds it: with its file and line where the topology was read from one."""
        found = self.__dict__.get("_where", {}).get(path)
        return f"{found}: {path}" if found else path

    def places(self) -> Iterator[tuple[str, Place]]:
        """Every host and sandbox with the name others refer to it by (``node``, ``node/c1``), hosts first."""
        yield from self.hosts.items()
        for name, host in self.hosts.items():
            for inner, sandbox in host.sandboxes.items():
                yield f"{name}/{inner}", sandbox
