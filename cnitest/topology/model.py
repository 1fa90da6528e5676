"""What a topology is: frozen data that a file, or Python, writes down and every other package reads.

A *place* is a network namespace: a host, a sandbox inside a host (``host/sandbox``) or a switch.
Where a link names another place's link it writes ``place:link``; a bare name means the same place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Literal

from cnitest.topology import link_kinds, model_links
from cnitest.topology.frozen import Frozen
from cnitest.topology.model_links import *  # noqa: F403
from cnitest.topology.model_links import Link, LinkGroups, Veth, nothing
from cnitest.topology.model_routing import FdbEntry, Neighbour, NextHop, Route, Rule

__all__ = ["FdbEntry", "Host", "Neighbour", "NextHop", "Place", "Route", "Rule", "Sandbox", "Switch", "Topology"]
__all__ += model_links.__all__

#: A field whose lines may also be one text, or come from a file: ``{file: rules.v4}``.
LINES = MappingProxyType({"lines": True})


@dataclass(frozen=True, kw_only=True, repr=False)
class Place(LinkGroups):
    """What a host and a sandbox have in common.

    ``loopback`` are addresses on ``lo``. ``iptables`` and ``ip6tables`` are lines as one would type them after
    the command's name (``-t nat -A POSTROUTING …``), or a dump as iptables-save writes it; ``nft`` is a script for
    ``nft -f``. ``neighbours`` and ``fdb`` are static entries; ``tc`` are lines as one would type them after the name
    of tc(8). ``defaults`` are the sysctls that a distribution sets. ``setup`` are commands that are run when all else
    is there, as lists of words or as lines that are split as a shell would.
    """

    neighbours: tuple[Neighbour, ...] = ()
    fdb: tuple[FdbEntry, ...] = ()
    routes: tuple[Route, ...] = ()
    rules: tuple[Rule, ...] = ()
    sysctls: Mapping[str, str | int] = field(default_factory=nothing)
    defaults: Literal["kernel", "debian", "debian12", "ubuntu", "fedora", "rhel"] | None = None
    iptables: tuple[str, ...] = field(default=(), metadata=LINES)
    ip6tables: tuple[str, ...] = field(default=(), metadata=LINES)
    nft: str = field(default="", metadata=LINES)
    tc: tuple[str, ...] = ()
    setup: tuple[str | tuple[str, ...], ...] = ()

    def links(self) -> Iterator[tuple[str, Link]]:
        """The links declared here by name, veth ends apart, in the order they can be created in."""
        for group in link_kinds.GROUPS:
            yield from getattr(self, group).items()


@dataclass(frozen=True, kw_only=True, repr=False)
class Sandbox(Place):
    """A container's network namespace inside a host; left empty, it waits for a plugin."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Host(Place):
    """A machine we play. A ``router`` forwards both families; ``internet`` is only a way to draw it."""

    role: Literal["host", "router", "internet"] = "host"
    sandboxes: Mapping[str, Sandbox] = field(default_factory=nothing)


@dataclass(frozen=True, kw_only=True, repr=False)
class Switch(Frozen):
    """A bridge (called ``br0``) in a namespace of its own; ``hairpin`` is the default of each port."""

    BRIDGE: ClassVar[str] = "br0"

    hairpin: bool = False
    stp: bool = False
    mtu: int | None = None


@dataclass(frozen=True, kw_only=True, repr=False)
class Topology(Frozen):
    """A whole network: hosts with their sandboxes, switches, and the veth pairs between them."""

    name: str
    about: str = ""
    hosts: Mapping[str, Host] = field(default_factory=nothing)
    switches: Mapping[str, Switch] = field(default_factory=nothing)
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
