"""From a topology to the ordered steps that build it: pure, printable, the same each time.

Links get fixed indexes and MACs here, so that building needs no look-ups and two builds compare equal.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from cnitest.topology import link_kinds
from cnitest.topology.building import defaults, link_local
from cnitest.topology.building.steps import (
    AddAddress,
    AddForwarding,
    AddLink,
    AddNames,
    AddNeighbour,
    AddRoute,
    AddRule,
    AddVlans,
    Command,
    Firewall,
    Handle,
    Late,
    Ready,
    SetLink,
    SetPort,
    Step,
    Sysctl,
)
from cnitest.topology.link_kinds import KINDS, LinkKind
from cnitest.topology.model import Bridge, Host, Link, Place, Route, Switch, Topology, Veth, VethEnd
from cnitest.topology.problem import child
from cnitest.topology.rules.settings import is_dump

# Below it lie lo and the tunnels that some kernels put into every namespace.
_FIRST_INDEX = 16
_FIRST_INDEX_OF_MOVED = 1 << 14
_FORWARDING = {"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"}
_KEPT = "_plan"


@dataclass(frozen=True)
class Plan:
    """The namespaces to make and the steps to take, in order."""

    topology: Topology
    places: tuple[str, ...]
    steps: tuple[Step, ...]
    #: The kinds of links, and what else the kernel has to know.
    kinds: frozenset[str] = field(default=frozenset())

    def __str__(self) -> str:
        return "\n".join([*(f"{place}: make" for place in self.places), *map(str, self.steps)])


def plan(topology: Topology) -> Plan:
    """The steps that build ``topology``. Raises TopologyError when it cannot be built as declared.

    Both are frozen, so the plan is made once and kept with the topology.
    """
    kept: Plan | None = topology.__dict__.get(_KEPT)
    if kept is None:
        from cnitest.topology.rules.check import check

        check(topology)
        kept = topology.__dict__[_KEPT] = _Planner(topology).plan()
    return kept


def mac_of(place: str, name: str) -> str:
    """The MAC a link gets unless one is declared: locally administered, the same in each build."""
    digest = hashlib.blake2s(f"{place}:{name}".encode(), digest_size=5).digest()
    return f"02:{digest.hex(':')}"


def _values(place: Place) -> dict[str, str | int]:
    """All sysctls of a place: those of its distribution, of its role, and its own."""
    forwarding = _FORWARDING if isinstance(place, Host) and place.role == "router" else {}
    return {**defaults.of(place.defaults), **forwarding, **place.sysctls}


class _Planner:
    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._places: dict[str, Place] = dict(topology.places())
        self._handles: dict[tuple[str, str], Handle] = {}
        self._models: dict[Handle, Link] = {}
        self._rows: dict[Handle, LinkKind] = {}
        self._links = {place: tuple(declared.links()) for place, declared in self._places.items()}
        self._collectors = {
            (place, port): (place, name)
            for place, links in self._links.items()
            for name, link in links
            for port in getattr(link, "ports", ())
        }
        self._values = {place: _values(declared) for place, declared in self._places.items()}
        self._ask_link_locally = {place for place in self._places if self._asks_link_locally(place)}
        self._order: dict[str, list[Handle]] = {}
        self._made_up: set[Handle] = set()

    def plan(self) -> Plan:
        places = (*self._places, *self._topology.switches)
        self._order = {place: [] for place in places}
        veths = [self._name_ends(veth) for veth in self._topology.veths]
        for place, links in self._links.items():
            for name, link in links:
                self._handle(place, name, link)
        creations = [*self._simple(), *self._veths(veths), *self._stacked()]
        steps: list[Step] = [*self._sysctls()]
        for creation in creations:
            steps.append(creation)
            if creation.up:
                steps += self._link_local(creation.link)
        for place in reversed(places):
            steps += self._configure(place)
        steps += [Ready(handle.place, handle) for handle in self._last_awaited()]
        steps += self._late()
        kinds = {step.kind for step in creations}
        more = {feature for step in creations for feature in KINDS[step.kind].features(step.model)}
        return Plan(self._topology, places, tuple(steps), frozenset(kinds | more))

    def _handle(self, place: str, name: str, link: Link) -> Handle:
        handle = Handle(place, name, self._next_index(place, link))
        self._handles[place, name] = handle
        self._models[handle] = link
        self._rows[handle] = link_kinds.of(link)
        self._order[place].append(handle)
        return handle

    def _next_index(self, place: str, link: Link) -> int:
        """The index of the next link of a place. One whose parent is elsewhere is made there and moved, and older
        kernels (6.1) want its index to be free there, too."""
        where, elsewhere, _ = (getattr(link, "parent", None) or "").rpartition(":")
        if elsewhere and where != place:
            return _FIRST_INDEX_OF_MOVED + sum(handle.ifindex >= _FIRST_INDEX_OF_MOVED for handle in self._models)
        return _FIRST_INDEX + len(self._order[place])

    def _name_ends(self, veth: Veth) -> tuple[Handle, Handle]:
        first, second = (self._handle(end.at, end.name or self._port_name(end), end) for end in veth.ends)
        return first, second

    def _port_name(self, end: VethEnd) -> str:
        taken = {handle.name for handle in self._order[end.at]}
        return next(name for number in range(1, 1 << 16) if (name := f"p{number}") not in taken)

    def _find(self, place: str, name: str) -> Handle:
        """A link by ``name`` as written in ``place``: bare, or with its place before a colon."""
        where, colon, bare = name.rpartition(":")
        return self._handles[(where, bare) if colon else (place, name)]

    def _mac(self, handle: Handle, kind: str) -> str | None:
        declared = self._models[handle].mac
        return declared or (mac_of(handle.place, handle.name) if KINDS[kind].own_mac else None)

    def _bridge_of(self, handle: Handle) -> Handle | None:
        if handle.place in self._topology.switches:
            return self._handles.get((handle.place, Switch.BRIDGE))
        bridge = self._models[handle].bridge
        return self._handles[handle.place, bridge] if bridge else None

    def _add(self, place: str, handle: Handle, kind: str, **more: Any) -> AddLink:
        model = self._models[handle]
        up = model.state == "up" and KINDS[kind].made_up and self._collector(handle) is None
        if up:
            self._made_up.add(handle)
        return AddLink(place, handle, kind, model, self._mac(handle, kind), up=up, **more)

    def _simple(self) -> Iterator[AddLink]:
        """What stands on no other link: bridges, dummies, tunnels, …, and the bridges that switches are."""
        for name, switch in self._topology.switches.items():
            bridge = Bridge(stp=switch.stp, mtu=switch.mtu)
            yield self._add(name, self._handle(name, Switch.BRIDGE, bridge), "bridge")
        for place, links in self._links.items():
            for name, _ in links:
                handle = self._handles[place, name]
                if not self._rows[handle].stacked:
                    yield self._add(place, handle, self._rows[handle].kind)

    def _veths(self, pairs: list[tuple[Handle, Handle]]) -> Iterator[AddLink]:
        """Each pair is made from the end that is a bridge port, which saves a request."""
        for first, second in sorted(pairs, key=lambda pair: self._root(pair).place):
            root = self._root((first, second))
            peer = second if root is first else first
            bridge = self._bridge_of(root)
            yield self._add(
                root.place,
                root,
                "veth",
                peer=peer,
                peer_mac=self._mac(peer, "veth"),
                peer_mtu=self._mtu(peer),
                master=bridge.ifindex if bridge else 0,
            )

    def _root(self, pair: tuple[Handle, Handle]) -> Handle:
        return pair[1] if self._bridge_of(pair[1]) and not self._bridge_of(pair[0]) else pair[0]

    def _mtu(self, handle: Handle) -> int | None:
        switch = self._topology.switches.get(handle.place)
        return self._models[handle].mtu or (switch.mtu if switch else None)

    def _stacked(self) -> Iterator[AddLink]:
        """What stands on other links, parents before children."""
        waiting = [each for handles in self._order.values() for each in handles if self._rows[each].stacked]
        for handle in sorted(waiting, key=self._depth):
            parent_name = getattr(self._models[handle], "parent", None)
            parent = self._find(handle.place, parent_name) if parent_name else None
            place = parent.place if parent else handle.place
            yield self._add(place, handle, self._rows[handle].kind, parent=parent)

    def _depth(self, handle: Handle) -> int:
        parent = getattr(self._models[handle], "parent", None)
        return 1 + self._depth(self._find(handle.place, parent)) if parent else 0

    def _sysctls(self) -> Iterator[Sysctl]:
        for place, values in self._values.items():
            for name, value in values.items():
                if not self._of_a_link(place, name):
                    yield Sysctl(place, name, str(value))

    def _of_a_link(self, place: str, name: str) -> bool:
        """Whether a sysctl belongs to a link that has to exist first."""
        parts = name.split("/") if "/" in name else name.split(".")
        return any(handle.name in parts for handle in self._order[place])

    def _configure(self, place: str) -> Iterator[Step]:
        declared = self._places.get(place)
        handles = self._order[place]
        loopback = Handle(place, "lo", 1)
        if handles or (declared and declared.loopback):
            yield SetLink(place, loopback, True)
        if declared:
            yield from (
                Sysctl(place, name, str(v)) for name, v in declared.sysctls.items() if self._of_a_link(place, name)
            )
        for handle in handles:
            yield from self._set(handle)
        for handle in handles:
            model = self._models[handle]
            yield from (AddAddress(place, handle, address, model.dad) for address in model.addresses)
        if declared:
            yield from (AddAddress(place, loopback, address) for address in declared.loopback)
            yield from (self._route(place, route) for route in declared.routes)
            yield from (AddRule(place, rule) for rule in declared.rules)
            yield from (AddNeighbour(place, each, self._index(place, each.link)) for each in declared.neighbours)
            yield from (AddForwarding(place, each, self._index(place, each.link)) for each in declared.fdb)

    def _link_local(self, handle: Handle) -> Iterator[AddAddress]:
        """The link-local address of a link, to be given before it carries, where its place asks from there."""
        if handle.place not in self._ask_link_locally or not link_local.is_wanted(self._models[handle]):
            return
        if self._collector(handle) is None and (mac := self._own_mac(handle)):
            yield AddAddress(handle.place, handle, link_local.of_mac(mac), replace=True)

    def _asks_link_locally(self, place: str) -> bool:
        """Whether a place asks for neighbours from link-local addresses, and leaves it to us to give it some."""
        declared = self._places[place]
        asks = link_local.forwards(self._values[place]) or any(":" in text for text in declared.loopback)
        return asks and not link_local.is_left_to_the_kernel(declared.sysctls)

    def _own_mac(self, handle: Handle) -> str | None:
        """The MAC that a link is going to have, where that is known: a VLAN has its parent's."""
        row, parent = self._rows[handle], getattr(self._models[handle], "parent", None)
        if not row.asks_neighbours:
            return None
        mac = self._mac(handle, row.kind)
        return self._own_mac(self._find(handle.place, parent)) if mac is None and parent else mac

    def _set(self, handle: Handle) -> Iterator[Step]:
        model = self._models[handle]
        bridge = self._bridge_of(handle) if not isinstance(model, Bridge) else None
        up = model.state == "up"
        master = bridge.ifindex if bridge else None
        mtu = model.mtu if isinstance(model, Bridge) else None
        if handle not in self._made_up and (collector := self._collector(handle)):
            # A bond takes no link that is up, and older kernels (6.1) look at the flags of a request before its master.
            yield SetLink(handle.place, handle, False, collector)
        if handle not in self._made_up:
            yield from self._link_local(handle)
        if handle not in self._made_up or mtu:
            yield SetLink(handle.place, handle, up, master, mtu)
            if self._awaited(handle):
                yield Ready(handle.place, handle)
        yield from self._port(handle, model) if bridge else ()
        if model.altnames:
            yield AddNames(handle.place, handle, model.altnames)
        own = isinstance(model, Bridge)
        yield from (AddVlans(handle.place, handle, vlan, own) for vlan in model.vlans)

    def _port(self, handle: Handle, model: Link) -> Iterator[Step]:
        """What a bridge's port is set to; where a link says nothing about hairpin mode, its switch does."""
        switch = self._topology.switches.get(handle.place)
        hairpin = switch.hairpin if switch and model.hairpin is None else bool(model.hairpin)
        if hairpin or model.isolated:
            yield SetPort(handle.place, handle, hairpin, model.isolated)

    def _collector(self, handle: Handle) -> int | None:
        """The index of the bond or VRF that lists this link among its ports."""
        found = self._collectors.get((handle.place, handle.name))
        return self._handles[found].ifindex if found else None

    def _route(self, place: str, route: Route) -> AddRoute:
        links = tuple(self._index(place, each.link) for each in route.nexthops)
        return AddRoute(place, route, self._index(place, route.link), links)

    def _index(self, place: str, link: str | None) -> int:
        """The index of a link of a place; 0 where none is named."""
        if link == "lo":
            return 1
        return self._handles[place, link].ifindex if link else 0

    def _awaited(self, handle: Handle) -> bool:
        return self._models[handle].state == "up" and self._rows[handle].awaited

    def _last_awaited(self) -> list[Handle]:
        """What was up before its peer was: ports first, then the bridges that carry when they do."""
        awaited = [handle for handle in sorted(self._made_up) if self._models[handle].state == "up"]
        return sorted(awaited, key=lambda handle: isinstance(self._models[handle], Bridge))

    def _late(self) -> Iterator[Late]:
        for place, declared in self._places.items():
            path = self._path(place)
            if declared.nft:
                yield Firewall(place, "nft", tuple(declared.nft.splitlines()), f"{path}.nft")
            for program, lines in (("iptables", declared.iptables), ("ip6tables", declared.ip6tables)):
                if lines:
                    used = f"{program}-restore" if is_dump(lines) else program
                    yield Firewall(place, used, lines, f"{path}.{program}")
        for place, declared in self._places.items():
            path = self._path(place)
            for number, line in enumerate(declared.tc):
                yield Command(place, ("tc", *shlex.split(line)), f"{path}.tc[{number}]")
        for place, declared in self._places.items():
            for number, command in enumerate(declared.setup):
                words = shlex.split(command) if isinstance(command, str) else command
                yield Command(place, tuple(words), f"{self._path(place)}.setup[{number}]")

    def _path(self, place: str) -> str:
        """Where a place is declared."""
        host, slash, inner = place.partition("/")
        path = child("hosts", host)
        return child(f"{path}.sandboxes", inner) if slash else path
