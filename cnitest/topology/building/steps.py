"""The steps that build a topology: what each does, and the command that would do the same."""

from __future__ import annotations

import shlex
from typing import NamedTuple

from cnitest.topology.model import FdbEntry, Link, Neighbour, PortVlan, Route, Rule
from cnitest.topology.words.ip_words import fdb_words, is_ipv6, is_ipv6_rule, neighbour_words, route_words, rule_words
from cnitest.topology.words.phrase import flags

_PLAIN_ROUTES = ("unicast", "blackhole", "unreachable", "prohibit")


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
    #: Whether the kernel may have given it already.
    replace: bool = False

    def __str__(self) -> str:
        return f"{self.place}: ip address {'replace' if self.replace else 'add'} {self.address} dev {self.link.name}"


class AddNames(NamedTuple):
    """Give a link further names."""

    place: str
    link: Handle
    names: tuple[str, ...]

    def __str__(self) -> str:
        added = " ".join(f"altname {name}" for name in self.names)
        return f"{self.place}: ip link property add dev {self.link.name} {added}"


class AddVlans(NamedTuple):
    """Put a bridge's port, or the bridge itself, into VLANs."""

    place: str
    link: Handle
    vlan: PortVlan
    own: bool

    def __str__(self) -> str:
        words = [f"vid {self.vlan.vid}", *flags(pvid=self.vlan.pvid, untagged=self.vlan.untagged, self=self.own)]
        return f"{self.place}: bridge vlan add dev {self.link.name} {' '.join(words)}"


class AddNeighbour(NamedTuple):
    """Add a static entry of the ARP or ND table."""

    place: str
    entry: Neighbour
    link: int

    def __str__(self) -> str:
        return f"{self.place}: ip neigh add {neighbour_words(self.entry)}"


class AddForwarding(NamedTuple):
    """Add an entry of a forwarding table."""

    place: str
    entry: FdbEntry
    link: int

    def __str__(self) -> str:
        return f"{self.place}: bridge fdb append {fdb_words(self.entry)}"


class Command(NamedTuple):
    """Run a program when all else is there; ``path`` is where it is declared."""

    place: str
    argv: tuple[str, ...]
    path: str

    def __str__(self) -> str:
        return f"{self.place}: {shlex.join(self.argv)}"


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
    """Load rules with ``program`` (iptables, ip6tables, …-restore, nft); ``path`` is where they are declared."""

    place: str
    program: str
    lines: tuple[str, ...]
    path: str

    def __str__(self) -> str:
        return f"{self.place}: {self.program}: {len(self.lines)} lines"


Step = (
    Sysctl
    | AddLink
    | SetLink
    | SetPort
    | AddNames
    | AddVlans
    | AddAddress
    | AddRoute
    | AddRule
    | AddNeighbour
    | AddForwarding
    | Ready
    | Firewall
    | Command
)
#: Steps that programs take, when everything else is there.
Late = Firewall | Command
