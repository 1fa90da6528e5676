"""Links of every kind, as a topology declares them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from cnitest.topology.frozen import Frozen
from cnitest.topology.words import notation
from cnitest.topology.words.notation import Notation

__all__ = [
    "Bond",
    "Bridge",
    "Dummy",
    "Ifb",
    "Ipvlan",
    "Link",
    "LinkGroups",
    "Macvlan",
    "PortVlan",
    "Tap",
    "Tunnel",
    "Veth",
    "VethEnd",
    "Vlan",
    "Vrf",
    "Vxlan",
    "Wireguard",
]
_EMPTY: Mapping[str, Any] = MappingProxyType({})


def nothing() -> Mapping[str, Any]:
    """The default of a mapping."""
    return _EMPTY


@dataclass(frozen=True, kw_only=True, repr=False)
class PortVlan(Frozen):
    """VLANs of a bridge's port as ``bridge vlan add`` writes them: ``vid`` is a number or a range (``10-20``), ``pvid``
    makes it that of frames without a tag, ``untagged`` takes the tag off on the way out."""

    NOTATION: ClassVar[Notation] = notation.PORT_VLAN

    vid: int | str
    pvid: bool = False
    untagged: bool = False


@dataclass(frozen=True, kw_only=True, repr=False)
class Link(Frozen):
    """What every link can be given.

    ``addresses`` are written with their prefix (``10.40.80.1/24``, ``2001:db8::1/64``). With ``dad`` its IPv6
    addresses go through duplicate address detection; otherwise they are usable at once. ``bridge`` makes the
    link a port of that bridge of the same place, ``hairpin`` and ``isolated`` are that port's flags, ``vlans`` what
    ``bridge vlan add`` says of it (of the bridge itself for a bridge); ``altnames`` are further names of it.
    """

    addresses: tuple[str, ...] = ()
    mtu: int | None = None
    mac: str | None = None
    state: Literal["up", "down"] = "up"
    dad: bool = False
    bridge: str | None = None
    hairpin: bool | None = None
    isolated: bool = False
    vlans: tuple[PortVlan, ...] = ()
    altnames: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, repr=False)
class Bridge(Link):
    """A bridge; its ports are the links of the same place that name it.

    With ``vlan_filtering`` it heeds the VLANs of its ports; ``default_pvid`` is the VLAN that a new port is in (1
    unless said, 0 for none).
    """

    stp: bool = False
    vlan_filtering: bool = False
    default_pvid: int | None = None


@dataclass(frozen=True, kw_only=True, repr=False)
class Macvlan(Link):
    """A macvlan child of ``parent``, which may live in another place (``node:ens33``)."""

    parent: str
    mode: Literal["bridge", "vepa", "private", "passthru"] = "bridge"


@dataclass(frozen=True, kw_only=True, repr=False)
class Ipvlan(Link):
    """An ipvlan child of ``parent``, which may live in another place."""

    parent: str
    mode: Literal["l2", "l3", "l3s"] = "l2"


@dataclass(frozen=True, kw_only=True, repr=False)
class Vlan(Link):
    """An 802.1Q sub-interface of ``parent`` with VLAN ``id`` 1-4094."""

    parent: str
    id: int


@dataclass(frozen=True, kw_only=True, repr=False)
class Dummy(Link):
    """A dummy link."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Tap(Link):
    """A tap link; nobody holds its other end until a test opens it."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Bond(Link):
    """A bond over the links ``ports`` of the same place."""

    mode: Literal["balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad"] = "active-backup"
    ports: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, repr=False)
class Vrf(Link):
    """A VRF with routing table ``table`` over the links ``ports`` of the same place."""

    table: int
    ports: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, repr=False)
class Vxlan(Link):
    """A VXLAN link with network identifier ``id`` 0-16777215.

    ``remote`` is the address of the other end, or the multicast group of all of them; ``local`` that of this one,
    ``port`` the destination's, ``parent`` the link it leaves by (needed with a group). Without ``learning`` the fdb
    says where to send.
    """

    id: int
    remote: str | None = None
    local: str | None = None
    port: int = 4789
    parent: str | None = None
    learning: bool = True


@dataclass(frozen=True, kw_only=True, repr=False)
class Tunnel(Link):
    """A tunnel of a ``mode`` of ip-tunnel(8) between the addresses ``local`` and ``remote``; ``key`` is that of GRE,
    ``ttl`` that of the outer packets (0 takes over the inner one's)."""

    mode: Literal["gre", "gretap", "ipip", "sit"]
    local: str
    remote: str
    key: int | None = None
    ttl: int = 64


@dataclass(frozen=True, kw_only=True, repr=False)
class Wireguard(Link):
    """A WireGuard link without keys and peers: ``setup`` can give them with wg(8)."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Ifb(Link):
    """An intermediate functional block, to which tc(8) can redirect."""


@dataclass(frozen=True, kw_only=True, repr=False)
class VethEnd(Link):
    """One end of a veth pair: the place it is ``at`` and its ``name`` there.

    At a switch it becomes a port, and the name may be left out (``p1``, ``p2``, … in order).
    """

    at: str
    name: str | None = None


@dataclass(frozen=True, kw_only=True, repr=False)
class Veth(Frozen):
    """A veth pair between any two places."""

    ends: tuple[VethEnd, ...]


@dataclass(frozen=True, kw_only=True, repr=False)
class LinkGroups(Frozen):
    """The links of a host or sandbox by kind and name; ``loopback`` are addresses on ``lo``."""

    loopback: tuple[str, ...] = ()
    bridges: Mapping[str, Bridge] = field(default_factory=nothing)
    macvlans: Mapping[str, Macvlan] = field(default_factory=nothing)
    ipvlans: Mapping[str, Ipvlan] = field(default_factory=nothing)
    vlans: Mapping[str, Vlan] = field(default_factory=nothing)
    dummies: Mapping[str, Dummy] = field(default_factory=nothing)
    bonds: Mapping[str, Bond] = field(default_factory=nothing)
    vrfs: Mapping[str, Vrf] = field(default_factory=nothing)
    taps: Mapping[str, Tap] = field(default_factory=nothing)
    vxlans: Mapping[str, Vxlan] = field(default_factory=nothing)
    tunnels: Mapping[str, Tunnel] = field(default_factory=nothing)
    wireguards: Mapping[str, Wireguard] = field(default_factory=nothing)
    ifbs: Mapping[str, Ifb] = field(default_factory=nothing)
