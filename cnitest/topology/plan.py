"""From a topology to the ordered steps that build it: pure, printable, the same each time.

Links get fixed indexes and MACs here, so that building needs no look-ups and two builds compare equal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cnitest.topology.check import check
from cnitest.topology.ip_words import is_ipv6, is_ipv6_rule, route_words, rule_words
from cnitest.topology.model import (
    Bond,
    Bridge,
    Host,
    Ipvlan,
    Link,
    Macvlan,
    Place,
    Route,
    Rule,
    Switch,
    Topology,
    Veth,
    VethEnd,
    Vlan,
    Vrf,
)

# Below it lie lo and the tunnels that some kernels put into every namespace.
_FIRST_INDEX = 16
_FORWARDING = {"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"}
_KINDS = {Bridge: "bridge", Macvlan: "macvlan", Ipvlan: "ipvlan", Vlan: "vlan", Bond: "bond", Vrf: "vrf"}
_PLAIN_ROUTES = ("unicast", "blackhole", "unreachable", "prohibit")
_KEPT = "_plan"
_OWN_MAC = ("bridge", "veth", "macvlan", "dummy", "tap")


class Handle(NamedTuple):
    """A link by its place, name and index."""

    place: str
    name: str
    ifindex: int


class Sysctl(NamedTuple):
    """Set a sysctl of the place."""

    place: str
    name: str
    value: str

    def __str__(self) -> str:
        return f"{self.place}: sysctl -w {self.name}={self.value}"


class AddLink(NamedTuple):
    """Create a link in ``place``; a child of a parent elsewhere is created there and moved by the same request."""

    place: str
    link: Handle
    kind: str
    model: Link
    mac: str | None
    up: bool = False
    peer: Handle | None = None
    peer_mac: str | None = None
    peer_mtu: int | None = None
    parent: Handle | None = None
    master: int = 0

    def __str__(self) -> str:
        text = f"{self.place}: ip link add {self.link.name} type {self.kind}"
        if self.peer:
            text += f" peer {self.peer.name} in {self.peer.place}"
        return text + (f" on {self.parent.place}:{self.parent.name}" if self.parent else "")


class SetLink(NamedTuple):
    """Bring a link up (or leave it down), enslave it, fix its MTU (a bridge's would follow its ports)."""

    place: str
    link: Handle
    up: bool
    master: int | None = None
    mtu: int | None = None

    def __str__(self) -> str:
        mtu = f" mtu {self.mtu}" if self.mtu else ""
        return f"{self.place}: ip link set {self.link.name} {'up' if self.up else 'down'}{mtu}"


class SetPort(NamedTuple):
    """Set the flags of a bridge port."""

    place: str
    link: Handle
    hairpin: bool
    isolated: bool

    def __str__(self) -> str:
        flags = [name for name, on in (("hairpin", self.hairpin), ("isolated", self.isolated)) if on]
        return f"{self.place}: bridge link set dev {self.link.name} {' '.join(flags)}"


class AddAddress(NamedTuple):
    """Give a link an address."""

    place: str
    link: Handle
    address: str
    dad: bool = False

    def __str__(self) -> str:
        return f"{self.place}: ip address add {self.address} dev {self.link.name}"


class AddRoute(NamedTuple):
    """Add a route; ``link`` is its link's index, ``links`` those of its next hops."""

    place: str
    route: Route
    link: int
    links: tuple[int, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether it has only what most routes have."""
        route = self.route
        rare = (route.onlink, route.nexthops, route.congctl, isinstance(route.mtu, str), route.protocol, route.tos)
        others = (getattr(route, name) for name in Route.METRICS if name != "mtu")
        absent = route.scope is None and all(each is None for each in others)
        return not any(rare) and absent and route.kind in _PLAIN_ROUTES and not (route.via or "").startswith("inet")

    def __str__(self) -> str:
        return f"{self.place}: ip {'-6 ' if is_ipv6(self.route) else ''}route add {route_words(self.route)}"


class AddRule(NamedTuple):
    """Add a policy rule."""

    place: str
    rule: Rule

    def __str__(self) -> str:
        six = "-6 " if is_ipv6_rule(self.rule) else ""
        return f"{self.place}: ip {six}rule add {rule_words(self.rule).strip()}"


class Ready(NamedTuple):
    """Wait until the link carries what its peer sends and, as a bridge port, forwards it."""

    place: str
    link: Handle

    def __str__(self) -> str:
        return f"{self.place}: await {self.link.name}"


class Firewall(NamedTuple):
    """Load rules with ``program`` (iptables, ip6tables or nft)."""

    place: str
    program: str
    lines: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.place}: {self.program}: {len(self.lines)} lines"


Step = Sysctl | AddLink | SetLink | SetPort | AddAddress | AddRoute | AddRule | Ready | Firewall


@dataclass(frozen=True)
class Plan:
    """The namespaces to make and the steps to take, in order."""

    topology: Topology
    places: tuple[str, ...]
    steps: tuple[Step, ...]
    kinds: frozenset[str] = field(default=frozenset())

    def __str__(self) -> str:
        return "\n".join([*(f"{place}: make" for place in self.places), *map(str, self.steps)])


def plan(topology: Topology) -> Plan:
    """The steps that build ``topology``. Raises TopologyError when it cannot be built as declared.

    Both are frozen, so the plan is made once and kept with the topology.
    """
    kept: Plan | None = topology.__dict__.get(_KEPT)
    if kept is None:
        check(topology)
        kept = topology.__dict__[_KEPT] = _Planner(topology).plan()
    return kept


def mac_of(place: str, name: str) -> str:
    """The MAC a link gets unless one is declared: locally administered, the same in each build."""
    digest = hashlib.blake2s(f"{place}:{name}".encode(), digest_size=5).digest()
    return f"02:{digest.hex(':')}"


class _Planner:
    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._places: dict[str, Place] = dict(topology.places())
        self._handles: dict[tuple[str, str], Handle] = {}
        self._models: dict[Handle, Link] = {}
        self._order: dict[str, list[Handle]] = {}
        self._born_up: set[Handle] = set()

    def plan(self) -> Plan:
        places = (*self._places, *self._topology.switches)
        self._order = {place: [] for place in places}
        veths = [self._name_ends(veth) for veth in self._topology.veths]
        for place, declared in self._places.items():
            for name, link in declared.links():
                self._handle(place, name, link)
        creations = [*self._simple(), *self._veths(veths), *self._stacked()]
        steps: list[Step] = [*self._sysctls(), *creations]
        for place in reversed(places):
            steps += self._configure(place)
        steps += [Ready(handle.place, handle) for handle in self._last_awaited()]
        steps += self._firewalls()
        return Plan(self._topology, places, tuple(steps), frozenset(step.kind for step in creations))

    def _handle(self, place: str, name: str, link: Link) -> Handle:
        handle = Handle(place, name, _FIRST_INDEX + len(self._order[place]))
        self._handles[place, name] = handle
        self._models[handle] = link
        self._order[place].append(handle)
        return handle

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
        return declared or (mac_of(handle.place, handle.name) if kind in _OWN_MAC else None)

    def _bridge_of(self, handle: Handle) -> Handle | None:
        if handle.place in self._topology.switches:
            return self._handles.get((handle.place, Switch.BRIDGE))
        bridge = self._models[handle].bridge
        return self._handles[handle.place, bridge] if bridge else None

    def _add(self, place: str, handle: Handle, kind: str, **more: Any) -> AddLink:
        model = self._models[handle]
        up = model.state == "up" and kind in ("bridge", "veth") and self._collector(handle) is None
        if up:
            self._born_up.add(handle)
        return AddLink(place, handle, kind, model, self._mac(handle, kind), up=up, **more)

    def _simple(self) -> Iterator[AddLink]:
        """What stands alone: bridges, dummies, taps, and the bridges that switches are."""
        for name, switch in self._topology.switches.items():
            bridge = Bridge(stp=switch.stp, mtu=switch.mtu)
            yield self._add(name, self._handle(name, Switch.BRIDGE, bridge), "bridge")
        for place, declared in self._places.items():
            for kind, group in (("bridge", declared.bridges), ("dummy", declared.dummies), ("tap", declared.taps)):
                for name in group:
                    yield self._add(place, self._handles[place, name], kind)

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
        waiting = [
            handle
            for handles in self._order.values()
            for handle in handles
            if isinstance(self._models[handle], (Macvlan, Ipvlan, Vlan, Bond, Vrf))
        ]
        for handle in sorted(waiting, key=self._depth):
            model = self._models[handle]
            parent_name = getattr(model, "parent", None)
            parent = self._find(handle.place, parent_name) if parent_name else None
            yield self._add(parent.place if parent else handle.place, handle, _KINDS[type(model)], parent=parent)

    def _depth(self, handle: Handle) -> int:
        parent = getattr(self._models[handle], "parent", None)
        return 1 + self._depth(self._find(handle.place, parent)) if parent else 0

    def _sysctls(self) -> Iterator[Sysctl]:
        for place, declared in self._places.items():
            forwarding = _FORWARDING if isinstance(declared, Host) and declared.role == "router" else {}
            for name, value in {**forwarding, **declared.sysctls}.items():
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

    def _set(self, handle: Handle) -> Iterator[Step]:
        model = self._models[handle]
        bridge = self._bridge_of(handle) if not isinstance(model, Bridge) else None
        up = model.state == "up"
        master = bridge.ifindex if bridge else self._collector(handle)
        mtu = model.mtu if isinstance(model, Bridge) else None
        if handle not in self._born_up or mtu:
            yield SetLink(handle.place, handle, up, master, mtu)
            if self._awaited(handle):
                yield Ready(handle.place, handle)
        switch = self._topology.switches.get(handle.place)
        hairpin = switch.hairpin if switch and model.hairpin is None else bool(model.hairpin)
        if bridge and (hairpin or model.isolated):
            yield SetPort(handle.place, handle, hairpin, model.isolated)

    def _collector(self, handle: Handle) -> int | None:
        """The index of the bond or VRF that lists this link among its ports."""
        declared = self._places.get(handle.place)
        if declared:
            for group in (declared.bonds, declared.vrfs):
                for name, model in group.items():
                    if handle.name in model.ports:
                        return self._handles[handle.place, name].ifindex
        return None

    def _route(self, place: str, route: Route) -> AddRoute:
        links = tuple(self._index(place, each.link) for each in route.nexthops)
        return AddRoute(place, route, self._index(place, route.link), links)

    def _index(self, place: str, link: str | None) -> int:
        """The index of a link of a place; 0 where none is named."""
        if link == "lo":
            return 1
        return self._handles[place, link].ifindex if link else 0

    def _awaited(self, handle: Handle) -> bool:
        model = self._models[handle]
        return model.state == "up" and isinstance(model, (VethEnd, Macvlan, Ipvlan, Vlan))

    def _last_awaited(self) -> list[Handle]:
        """What was up before its peer was: ports first, then the bridges that carry when they do."""
        awaited = [handle for handle in sorted(self._born_up) if self._models[handle].state == "up"]
        return sorted(awaited, key=lambda handle: isinstance(self._models[handle], Bridge))

    def _firewalls(self) -> Iterator[Firewall]:
        for place, declared in self._places.items():
            if declared.nft:
                yield Firewall(place, "nft", tuple(declared.nft.splitlines()))
            for program, lines in (("iptables", declared.iptables), ("ip6tables", declared.ip6tables)):
                if lines:
                    yield Firewall(place, program, lines)
