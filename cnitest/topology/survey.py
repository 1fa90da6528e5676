"""A topology's places and links with their paths, looked up once and shared by every rule and picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from cnitest.topology import link_kinds
from cnitest.topology.link_kinds import KINDS, LinkKind
from cnitest.topology.model import Link, Place, Switch, Topology
from cnitest.topology.problem import child
from cnitest.topology.words.address import Prefix, prefix


class Spot(NamedTuple):
    """A place with its path; ``body`` is None for a switch, ``host`` is the host that it is or lies in."""

    name: str
    path: str
    body: Place | None
    host: str


class Item(NamedTuple):
    """A link where it is declared. ``kind`` is the kernel's word; ``name`` is empty while nobody gave one."""

    place: str
    name: str
    kind: str
    link: Link
    path: str

    @property
    def key(self) -> tuple[str, str]:
        """What identifies it in the topology: its place and name."""
        return self.place, self.name

    @property
    def row(self) -> LinkKind | None:
        """What is known of its kind; None for the loopback."""
        return KINDS.get(self.kind)


class Owned(NamedTuple):
    """A well-formed address of ``item``; the loopback's belong to an item called ``lo``."""

    prefix: Prefix
    item: Item
    path: str


@dataclass(frozen=True)
class Survey:
    """What the rules ask about a topology."""

    topology: Topology

    @cached_property
    def spots(self) -> dict[str, Spot]:
        """Every place by name: hosts, sandboxes, switches."""
        found: dict[str, Spot] = {}
        for name, host in self.topology.hosts.items():
            path = child("hosts", name)
            found[name] = Spot(name, path, host, name)
            for inner, sandbox in host.sandboxes.items():
                found[f"{name}/{inner}"] = Spot(f"{name}/{inner}", child(f"{path}.sandboxes", inner), sandbox, name)
        for name in self.topology.switches:
            found.setdefault(name, Spot(name, child("switches", name), None, name))
        return found

    @cached_property
    def pairs(self) -> tuple[tuple[Item, ...], ...]:
        """The ends of each veth; an unnamed end at a switch has the name that it will get (``p1``, …)."""
        taken: dict[str, set[str]] = {}
        return tuple(
            tuple(
                Item(end.at, self._name(end.at, end.name, taken), "veth", end, f"veths[{number}].ends[{side}]")
                for side, end in enumerate(veth.ends)
            )
            for number, veth in enumerate(self.topology.veths)
        )

    def _name(self, place: str, name: str | None, taken: dict[str, set[str]]) -> str:
        used = taken.setdefault(place, {Switch.BRIDGE})
        if not name and self.is_switch(place):
            name = next(free for number in range(1, len(used) + 2) if (free := f"p{number}") not in used)
        used.add(name or "")
        return name or ""

    @cached_property
    def declared(self) -> tuple[Item, ...]:
        """The links of every host and sandbox, veth ends apart."""
        return tuple(
            Item(spot.name, name, link_kinds.of(link).kind, link, child(f"{spot.path}.{group}", name))
            for spot in self.spots.values()
            if spot.body
            for group in link_kinds.GROUPS
            for name, link in getattr(spot.body, group).items()
        )

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """Every link there is, veth ends last."""
        return self.declared + tuple(end for pair in self.pairs for end in pair)

    @cached_property
    def links(self) -> dict[str, dict[str, Item]]:
        """The links of each place by name, the first to claim a name winning; each switch has its bridge."""
        found: dict[str, dict[str, Item]] = {name: {} for name in self.spots}
        for name, switch in self.topology.switches.items():
            bridge = Item(name, Switch.BRIDGE, "bridge", Link(mtu=switch.mtu), child("switches", name))
            found[name][Switch.BRIDGE] = bridge
        for item in self.items:
            if item.name:
                found.setdefault(item.place, {}).setdefault(item.name, item)
        return found

    @cached_property
    def owned(self) -> tuple[Owned, ...]:
        """Every well-formed address, the loopbacks' included."""
        return tuple(self._owned())

    def _owned(self) -> Iterator[Owned]:
        loopbacks = (
            Item(spot.name, "lo", "loopback", Link(addresses=spot.body.loopback), spot.path)
            for spot in self.spots.values()
            if spot.body and spot.body.loopback
        )
        for item in (*loopbacks, *self.items):
            group = "loopback" if item.kind == "loopback" else "addresses"
            for number, text in enumerate(item.link.addresses):
                if found := prefix(text):
                    yield Owned(found, item, f"{item.path}.{group}[{number}]")

    @cached_property
    def owned_by_place(self) -> dict[str, list[Owned]]:
        """The same by place; every place is there."""
        found: dict[str, list[Owned]] = {name: [] for name in self.spots}
        for owned in self.owned:
            found.setdefault(owned.item.place, []).append(owned)
        return found

    def is_switch(self, place: str) -> bool:
        """Whether ``place`` names a switch."""
        return place in self.topology.switches and place not in self.topology.hosts

    def resolve(self, place: str, reference: str) -> Item | None:
        """The link that ``reference`` (``ens33``, ``node:ens33``) means when written in ``place``."""
        where, colon, name = reference.rpartition(":")
        return self.links.get(where if colon else place, {}).get(name)

    def parent(self, item: Item) -> Item | None:
        """The link that a macvlan, ipvlan or vlan stands on, where there is one."""
        reference = getattr(item.link, "parent", None)
        return self.resolve(item.place, reference) if reference else None

    @cached_property
    def collectors(self) -> dict[tuple[str, str], list[Item]]:
        """By link, the bonds and VRFs of the same place that list it among their ports."""
        found: dict[tuple[str, str], list[Item]] = {}
        for item in self.declared:
            for port in getattr(item.link, "ports", ()):
                found.setdefault((item.place, port), []).append(item)
        return found

    def bridge_of(self, item: Item) -> Item | None:
        """The bridge whose port ``item`` is, a switch's own bridge included."""
        if self.is_switch(item.place):
            return self.links[item.place][Switch.BRIDGE] if item.kind == "veth" else None
        return self.links.get(item.place, {}).get(item.link.bridge) if item.link.bridge else None

    def names_at(self, place: str, wanted: str) -> tuple[str, ...]:
        """The paths that decide whether ``place`` has a link ``wanted``: what "unknown link" relies on."""
        spot = self.spots.get(place)
        groups = tuple(f"{spot.path}.{group}" for group in link_kinds.GROUPS) if spot else ()
        ends = tuple(f"veths[{number}].ends" for number in range(len(self.topology.veths)))
        everyone = [end for pair in self.pairs for end in pair]
        places = tuple(f"{end.path}.at" for end in everyone if end.name in (wanted, ""))
        names = tuple(f"{end.path}.name" for end in everyone if end.place == place)
        return (*groups, "veths", *ends, *places, *names)

    def place_names(self, wanted: str) -> tuple[str, ...]:
        """The paths that decide whether there is a place ``wanted``: what "unknown place" relies on."""
        host, slash, _ = wanted.partition("/")
        return ("hosts", "switches", *([f"{child('hosts', host)}.sandboxes"] if slash else []))
