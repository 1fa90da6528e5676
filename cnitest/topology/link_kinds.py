"""The kinds of links, a row each: what rules, plans, pictures, the schema and reproducers have to know of them.

A new kind is a class and a group in `model_links`, a row here, and a line of `cnitest.kernel.rtnetlink.link_data`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from cnitest.topology.model_links import (
    Bond,
    Bridge,
    Dummy,
    Ifb,
    Ipvlan,
    Link,
    Macvlan,
    Tap,
    Tunnel,
    VethEnd,
    Vlan,
    Vrf,
    Vxlan,
    Wireguard,
)
from cnitest.topology.words.address import ip
from cnitest.topology.words.phrase import pairs

_ANY = frozenset({"bridge", "bond", "vrf"})
_ROUTED = _ANY - {"bridge"}


class Limits(NamedTuple):
    """The least and the most that a number may be; ``what`` is the noun of an error's text."""

    least: int
    most: int
    what: str = ""


def _never(_: Any) -> bool:
    return False


def _nothing(_: Any) -> tuple[str, ...]:
    return ()


def _no_words(_: Link) -> Iterator[str]:
    """A kind that is made from its name alone."""
    yield from ()


def _bridge(link: Link) -> Iterator[str]:
    """A bridge; that of a switch is a plain `Link`."""
    yield f"stp_state {int(isinstance(link, Bridge) and link.stp)}"
    if isinstance(link, Bridge):
        yield from ["vlan_filtering 1"] if link.vlan_filtering else []
        yield from [f"vlan_default_pvid {pvid}"] if (pvid := link.default_pvid) is not None else []


def _mode(link: Macvlan | Ipvlan | Bond) -> Iterator[str]:
    """A kind that has a mode only."""
    yield f"mode {link.mode}"


def _vlan(link: Vlan) -> Iterator[str]:
    """A VLAN sub-interface."""
    yield f"id {link.id}"


def _vrf(link: Vrf) -> Iterator[str]:
    """A VRF."""
    yield f"table {link.table}"


def _tunnel(link: Tunnel) -> Iterator[str]:
    """A tunnel of any mode."""
    yield f"local {link.local} remote {link.remote} ttl {link.ttl or 'inherit'}{pairs({'key': link.key})}"


def _vxlan(link: Vxlan) -> Iterator[str]:
    """A VXLAN link; its parent is one of its own words."""
    yield f"id {link.id} dstport {link.port} {'' if link.learning else 'no'}learning"
    if link.remote:
        yield f"{'group' if _is_group(link.remote) else 'remote'} {link.remote}"
    if link.local:
        yield f"local {link.local}"
    if link.parent:
        yield f"dev {link.parent.rpartition(':')[2]}"


def _is_group(address: str) -> bool:
    found = ip(address)
    return bool(found and found.is_multicast)


def _no_label(_kind: str, _: Link) -> str:
    """A link that speaks for itself."""
    return ""


def _kind_and_mode(kind: str, link: Link) -> str:
    """The kind, with its mode where it has one."""
    return f"{kind} {getattr(link, 'mode', '')}".rstrip()


def _vlan_label(_kind: str, link: Vlan) -> str:
    """``vlan 5``."""
    return f"vlan {link.id}"


def _vrf_label(_kind: str, link: Vrf) -> str:
    """``vrf, table 100: eth0``."""
    return f"vrf, table {link.table}: {', '.join(link.ports)}"


def _bond_label(_kind: str, link: Bond) -> str:
    """``bond active-backup: eth0, eth1``."""
    return f"bond {link.mode}: {', '.join(link.ports)}"


def _vxlan_label(_kind: str, link: Vxlan) -> str:
    """``vxlan 7 remote 192.0.2.1``."""
    return f"vxlan {link.id}{pairs({'remote': link.remote, 'local': link.local})}"


def _tunnel_label(kind: str, link: Tunnel) -> str:
    """``gre 192.0.2.1 to 192.0.2.2 key 5``."""
    return f"{kind} {link.local} to {link.remote}{pairs({'key': link.key})}"


class LinkKind(NamedTuple):
    """A kind of link; ``kind`` is the kernel's word for it and the feature that it needs.

    ``group`` is the key of a topology under which its links stand, ``model`` their class.
    """

    kind: str
    group: str
    model: type[Link]
    #: Every kernel that can do anything for us has it, so nobody tries.
    everywhere: bool = False
    #: It gets a MAC that its place and name decide, unless one is declared.
    own_mac: bool = False
    #: It asks for neighbours, from a MAC that is known beforehand: its own, or that of its parent.
    asks_neighbours: bool = False
    #: It has the MAC of its parent and no other.
    parents_mac: bool = False
    #: It stands on other links and is made after them.
    stacked: bool = False
    #: It is made up, unless it is declared down.
    made_up: bool = False
    #: Set up, it is awaited until it carries.
    awaited: bool = False
    #: It takes all that its parent receives (the kernel's rx_handler): the parent is no port, its children of one kind.
    rx_handler: bool = False
    #: Whether a link hears its parent's broadcasts.
    hears_parent: Callable[[Any], bool] = _never
    #: It hands a packet on later: a program, a worker or another softirq takes it up.
    defers: bool = False
    #: Whether it hands on what is redirected to it to where that came from, or would have gone.
    gives_back: bool = False
    #: The modes in which it gets its parent's broadcasts by a work queue of the kernel.
    broadcasts_later: frozenset[str] = frozenset()
    #: Its forwarding entries lead to addresses.
    fdb_dst: bool = False
    #: The protocol of IP in which it carries packets; 0 in none.
    carrier: int = 0
    #: The kinds of links that it can be a port of.
    masters: frozenset[str] = _ANY
    #: The family of its ends ``local`` and ``remote``: 4, or 0 for any one; None where it has none.
    ends: int | None = None
    #: By field, what its number may be.
    limits: Mapping[str, Limits] = MappingProxyType({})
    #: What a link needs of the kernel besides its kind.
    features: Callable[[Any], tuple[str, ...]] = _nothing
    #: ip(8) makes it with ``ip link add``; a tap has a command of its own.
    command: str = "link add"
    #: ip(8) names its parent with ``link``; others do among their own words.
    parent_first: bool = True
    #: What ip(8) wants after ``type KIND``.
    words: Callable[[Any], Iterator[str]] = _no_words
    #: What a picture says of it, in brackets; empty for nothing.
    label: Callable[[str, Any], str] = _kind_and_mode

    @property
    def needs_parent(self) -> bool:
        """Whether it cannot be without the link that it stands on."""
        return any(
            each.name == "parent" and each.default is dataclasses.MISSING for each in dataclasses.fields(self.model)
        )


_TUNNEL = LinkKind("gre", "tunnels", Tunnel, carrier=47, masters=_ROUTED, ends=4, words=_tunnel, label=_tunnel_label)
_ROWS = (
    LinkKind(
        "veth",
        "veths",
        VethEnd,
        everywhere=True,
        own_mac=True,
        made_up=True,
        asks_neighbours=True,
        awaited=True,
        label=_no_label,
    ),
    LinkKind(
        "bridge",
        "bridges",
        Bridge,
        asks_neighbours=True,
        everywhere=True,
        own_mac=True,
        made_up=True,
        masters=_ROUTED,
        features=lambda link: ("vlan_filtering",) if link.vlan_filtering else (),
        words=_bridge,
    ),
    LinkKind("dummy", "dummies", Dummy, own_mac=True),
    LinkKind("tap", "taps", Tap, own_mac=True, defers=True, command="tuntap add"),
    LinkKind(
        "macvlan",
        "macvlans",
        Macvlan,
        asks_neighbours=True,
        everywhere=True,
        own_mac=True,
        stacked=True,
        awaited=True,
        rx_handler=True,
        hears_parent=lambda _: True,
        broadcasts_later=frozenset({"bridge", "vepa", "private", "passthru"}),
        words=_mode,
    ),
    LinkKind(
        "ipvlan",
        "ipvlans",
        Ipvlan,
        parents_mac=True,
        defers=True,
        stacked=True,
        awaited=True,
        rx_handler=True,
        hears_parent=lambda link: link.mode == "l2",
        words=_mode,
    ),
    LinkKind(
        "vlan",
        "vlans",
        Vlan,
        asks_neighbours=True,
        stacked=True,
        awaited=True,
        limits={"id": Limits(1, 4094, "a VLAN id")},
        words=_vlan,
        label=_vlan_label,
    ),
    LinkKind("bond", "bonds", Bond, stacked=True, defers=True, masters=_ANY - {"bond"}, words=_mode, label=_bond_label),
    LinkKind(
        "vrf",
        "vrfs",
        Vrf,
        stacked=True,
        masters=_ROUTED - {"bond"},
        limits={"table": Limits(1, (1 << 32) - 1, "a routing table")},
        words=_vrf,
        label=_vrf_label,
    ),
    LinkKind(
        "vxlan",
        "vxlans",
        Vxlan,
        own_mac=True,
        stacked=True,
        fdb_dst=True,
        carrier=17,
        ends=0,
        limits={"id": Limits(0, (1 << 24) - 1), "port": Limits(1, 65535)},
        parent_first=False,
        words=_vxlan,
        label=_vxlan_label,
    ),
    _TUNNEL,
    _TUNNEL._replace(kind="gretap", own_mac=True, masters=_ANY),
    _TUNNEL._replace(kind="ipip", carrier=4),
    _TUNNEL._replace(kind="sit", carrier=41),
    LinkKind("wireguard", "wireguards", Wireguard, defers=True, carrier=17, masters=_ROUTED),
    LinkKind("ifb", "ifbs", Ifb, own_mac=True, defers=True, gives_back=True),
)
#: Every kind by the kernel's word.
KINDS: Mapping[str, LinkKind] = MappingProxyType({row.kind: row for row in _ROWS})
#: The groups of a host or sandbox, in the order in which their links are made.
GROUPS = tuple(dict.fromkeys(row.group for row in _ROWS if row.model is not VethEnd))
_BY_MODEL = {row.model: [each for each in _ROWS if each.model is row.model] for row in _ROWS}


def of(link: Link) -> LinkKind:
    """The row of a link's kind: where a class has several, its ``mode`` says which."""
    rows = _BY_MODEL[type(link)]
    if len(rows) == 1:
        return rows[0]
    return next((row for row in rows if row.kind == getattr(link, "mode", "")), rows[0])
