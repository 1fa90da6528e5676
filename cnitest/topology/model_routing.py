"""Routes, rules and the entries of tables: what ip(8) and bridge(8) add to a place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from cnitest.topology.frozen import Frozen
from cnitest.topology.words import notation
from cnitest.topology.words.address import whole
from cnitest.topology.words.notation import Notation
from cnitest.topology.words.symbols import IP_PROTOCOLS, PROTOCOLS, SCOPES, SERVICES, TABLES, number


@dataclass(frozen=True, kw_only=True, repr=False)
class NextHop(Frozen):
    """One way of a route that has several: ``via`` and ``link`` as in a route, ``weight`` 1-256; ``onlink`` takes
    the gateway to be on the link without a route there."""

    NOTATION: ClassVar[Notation] = notation.NEXTHOP

    via: str | None = None
    link: str | None = None
    weight: int = 1
    onlink: bool = False


@dataclass(frozen=True, kw_only=True, repr=False)
class Route(Frozen):
    """A route as ``ip route`` writes it: ``to`` is ``default``, a prefix or an address;
    ``family`` is 4 or 6 for a default route that has no gateway to show it.

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
        object.__setattr__(self, "to", "default" if self.to in ("all", "any") else whole(self.to))


@dataclass(frozen=True, kw_only=True, repr=False)
class Rule(Frozen):
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
            given = getattr(self, name)
            object.__setattr__(self, name, None if given in (None, "all", "any", "default") else whole(given))


@dataclass(frozen=True, kw_only=True, repr=False)
class Neighbour(Frozen):
    """A static entry of the ARP or ND table as ``ip neigh`` writes it: the address ``to`` on ``link`` has ``mac``
    (ip's ``lladdr``).

    With ``proxy`` the link answers for it instead.
    """

    NOTATION: ClassVar[Notation] = notation.NEIGHBOUR

    to: str
    link: str
    mac: str | None = None
    nud: Literal["permanent", "noarp", "reachable", "stale"] = "permanent"
    proxy: bool = False
    router: bool = False


@dataclass(frozen=True, kw_only=True, repr=False)
class FdbEntry(Frozen):
    """An entry of a forwarding table as ``bridge fdb`` writes it: ``mac`` is behind ``link``.

    ``bridged`` (``master``) puts it into the table of the bridge whose port the link is, ``own`` (``self``) into the
    link's own, which is so unless said; there ``dst``, ``port`` and ``vni`` are where a VXLAN sends to. ``vlan`` is the
    bridge's, ``sticky`` keeps it there.
    """

    NOTATION: ClassVar[Notation] = notation.FDB

    mac: str
    link: str
    dst: str | None = None
    vlan: int | None = None
    vni: int | None = None
    port: int | None = None
    own: bool = False
    bridged: bool = False
    sticky: bool = False
    state: Literal["permanent", "static", "dynamic"] = "permanent"


def _put_numbers(value: Any, names: Mapping[str, Mapping[str, int] | None]) -> None:
    """Give fields the numbers that their names stand for, so that two spellings are one value."""
    for field_name, known in names.items():
        object.__setattr__(value, field_name, number(getattr(value, field_name), known))
