"""What a topology is: frozen data that a file, or Python, writes down and every other room reads.

A *place* is a network namespace: a host, a sandbox inside a host (``host/sandbox``) or a switch.
Where a link names another place's link it writes ``place:link``; a bare name means the same place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from cnitest.topology import notation
from cnitest.topology.notation import Notation
from cnitest.topology.symbols import IP_PROTOCOLS, PROTOCOLS, SCOPES, SERVICES, TABLES, number

_EMPTY: Mapping[str, Any] = MappingProxyType({})


def _nothing() -> Mapping[str, Any]:
    return _EMPTY


@dataclass(frozen=True, kw_only=True)
class _Frozen:
    """Turns lists into tuples and mappings into read-only ones, so that a value stays what it was."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, list):
                object.__setattr__(self, item.name, tuple(value))
            elif isinstance(value, dict):
                object.__setattr__(self, item.name, MappingProxyType(dict(value)))


@dataclass(frozen=True, kw_only=True)
class Link(_Frozen):
    """What every link can be given.

    ``addresses`` are written with their prefix (``10.40.80.1/24``, ``2001:db8::1/64``). With ``dad`` its IPv6
    addresses go through duplicate address detection; otherwise they are usable at once. ``bridge`` makes the
    link a port of that bridge of the same place, ``hairpin`` and ``isolated`` are that port's flags.
    """

    addresses: tuple[str, ...] = ()
    mtu: int | None = None
    mac: str | None = None
    state: Literal["up", "down"] = "up"
    dad: bool = False
    bridge: str | None = None
    hairpin: bool | None = None
    isolated: bool = False


@dataclass(frozen=True, kw_only=True)
class Bridge(Link):
    """A bridge; its ports are the links of the same place that name it."""

    stp: bool = False


@dataclass(frozen=True, kw_only=True)
class Macvlan(Link):
    """A macvlan child of ``parent``, which may live in another place (``node:ens33``)."""

    parent: str
    mode: Literal["bridge", "vepa", "private", "passthru"] = "bridge"


@dataclass(frozen=True, kw_only=True)
class Ipvlan(Link):
    """An ipvlan child of ``parent``, which may live in another place."""

    parent: str
    mode: Literal["l2", "l3", "l3s"] = "l2"


@dataclass(frozen=True, kw_only=True)
class Vlan(Link):
    """An 802.1Q sub-interface of ``parent`` with VLAN ``id`` 1-4094."""

    parent: str
    id: int


@dataclass(frozen=True, kw_only=True)
class Dummy(Link):
    """A dummy link."""


@dataclass(frozen=True, kw_only=True)
class Tap(Link):
    """A tap link; nobody holds its other end until a test opens it."""


@dataclass(frozen=True, kw_only=True)
class Bond(Link):
    """A bond over the links ``ports`` of the same place."""

    mode: Literal["balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad"] = "active-backup"
    ports: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Vrf(Link):
    """A VRF with routing table ``table`` over the links ``ports`` of the same place."""

    table: int
    ports: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class VethEnd(Link):
    """One end of a veth pair: the place it is ``at`` and its ``name`` there.

    At a switch it becomes a port, and the name may be left out (``p1``, ``p2``, … in order).
    """

    at: str
    name: str | None = None


@dataclass(frozen=True, kw_only=True)
class Veth(_Frozen):
    """A veth pair between any two places."""

    ends: tuple[VethEnd, ...]


@dataclass(frozen=True, kw_only=True)
class NextHop(_Frozen):
    """One way of a route that has several: ``via`` and ``link`` as in a route, ``weight`` 1-256; ``onlink`` takes
    the gateway to be on the link without a route there."""

    NOTATION: ClassVar[Notation] = notation.NEXTHOP

    via: str | None = None
    link: str | None = None
    weight: int = 1
    onlink: bool = False


@dataclass(frozen=True, kw_only=True)
class Route(_Frozen):
    """A route as ``ip route`` writes it: ``to`` is ``default`` or a prefix; ``family`` is 4 or 6 for a default
    route that has no gateway to tell it.

    ``onlink`` takes the gateway to be on the link without a route there; ``nexthops`` are several ways with
    weights. ``mtu``, ``advmss``, ``hoplimit``, ``window``, ``initcwnd``, ``initrwnd`` may be locked (``lock 1400``).
    ``table``, ``protocol``, ``scope`` and ``tos`` are numbers or ip(8)'s names.
    """

    NOTATION: ClassVar[Notation] = notation.ROUTE
    METRICS: ClassVar[tuple[str, ...]] = (
        "mtu", "advmss", "hoplimit", "window", "initcwnd", "initrwnd", "quickack",
    )  # fmt: skip

    to: str = "default"
    via: str | None = None
    link: str | None = None
    source: str | None = None
    table: int | str | None = None
    metric: int | None = None
    mtu: int | str | None = None
    kind: Literal[
        "unicast", "local", "broadcast", "anycast", "multicast", "blackhole", "unreachable", "prohibit", "throw"
    ] = "unicast"
    family: Literal[4, 6] | None = None
    onlink: bool = False
    nexthops: tuple[NextHop, ...] = ()
    advmss: int | str | None = None
    hoplimit: int | str | None = None
    window: int | str | None = None
    initcwnd: int | str | None = None
    initrwnd: int | str | None = None
    quickack: int | None = None
    congctl: str | None = None
    protocol: int | str | None = None
    scope: int | str | None = None
    tos: int | str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        names = {"table": TABLES, "protocol": PROTOCOLS, "scope": SCOPES, "tos": SERVICES}
        _put_numbers(self, names | dict.fromkeys(self.METRICS))


@dataclass(frozen=True, kw_only=True)
class Rule(_Frozen):
    """A policy rule as ``ip rule`` writes it; ``source`` is its ``from``, ``mark`` its ``fwmark`` with a mask or
    without, ``inverted`` its ``not``.

    ``table`` is what it looks up (a number, ``main``, ``local``, ``default``), unless it has a ``goto`` to another
    rule's priority or a ``kind``. ``ipproto`` is a number or ``tcp``, ``udp``, ``icmp``, …; ``sport``, ``dport`` and
    ``uidrange`` are numbers or ranges (``8000-8080``). ``suppress_prefixlength`` passes over routes that are not
    longer, ``suppress_ifgroup`` those of a group of links.
    """

    NOTATION: ClassVar[Notation] = notation.RULE

    table: int | str | None = None
    priority: int | None = None
    source: str | None = None
    to: str | None = None
    mark: int | str | None = None
    iif: str | None = None
    oif: str | None = None
    family: Literal[4, 6] | None = None
    inverted: bool = False
    tos: int | str | None = None
    ipproto: int | str | None = None
    sport: int | str | None = None
    dport: int | str | None = None
    uidrange: int | str | None = None
    suppress_prefixlength: int | None = None
    suppress_ifgroup: int | None = None
    tun_id: int | None = None
    l3mdev: bool = False
    goto: int | None = None
    protocol: int | str | None = None
    kind: Literal["unicast", "blackhole", "unreachable", "prohibit", "nop"] = "unicast"

    def __post_init__(self) -> None:
        super().__post_init__()
        names = {"table": TABLES, "protocol": PROTOCOLS, "tos": SERVICES, "ipproto": IP_PROTOCOLS}
        _put_numbers(self, names | dict.fromkeys(("mark", "sport", "dport", "uidrange")))
        for name in ("source", "to"):
            if getattr(self, name) in ("all", "any", "default"):
                object.__setattr__(self, name, None)


def _put_numbers(value: Any, names: Mapping[str, Mapping[str, int] | None]) -> None:
    """Give fields the numbers that their names stand for, so that two spellings are one value."""
    for field_name, known in names.items():
        object.__setattr__(value, field_name, number(getattr(value, field_name), known))


@dataclass(frozen=True, kw_only=True)
class Place(_Frozen):
    """What a host and a sandbox have in common.

    ``loopback`` are addresses on ``lo``. ``iptables`` and ``ip6tables`` are lines as one would type them after
    the command's name (``-t nat -A POSTROUTING …``); ``nft`` is a script for ``nft -f``.
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
    routes: tuple[Route, ...] = ()
    rules: tuple[Rule, ...] = ()
    sysctls: Mapping[str, str | int] = field(default_factory=_nothing)
    iptables: tuple[str, ...] = ()
    ip6tables: tuple[str, ...] = ()
    nft: str = ""

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
class Switch(_Frozen):
    """A bridge (called ``br0``) in a namespace of its own; ``hairpin`` is the default of each port."""

    BRIDGE: ClassVar[str] = "br0"

    hairpin: bool = False
    stp: bool = False
    mtu: int | None = None


@dataclass(frozen=True, kw_only=True)
class Topology(_Frozen):
    """A whole network: hosts with their sandboxes, switches, and the veth pairs between them."""

    name: str
    about: str = ""
    hosts: Mapping[str, Host] = field(default_factory=_nothing)
    switches: Mapping[str, Switch] = field(default_factory=_nothing)
    veths: tuple[Veth, ...] = ()

    def places(self) -> Iterator[tuple[str, Place]]:
        """Every host and sandbox with the name others refer to it by (``node``, ``node/c1``), hosts first."""
        yield from self.hosts.items()
        for name, host in self.hosts.items():
            for inner, sandbox in host.sandboxes.items():
                yield f"{name}/{inner}", sandbox
