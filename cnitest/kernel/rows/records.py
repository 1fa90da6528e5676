"""One frozen row for each kernel object, named as ip(8) names it.

Links are named in rows by name, not by index, so that rows of two snapshots compare and read well.
"""

from __future__ import annotations

from typing import NamedTuple

from cnitest.kernel.rows.readers import Pairs


class Link(NamedTuple):
    """A link. ``parent`` is the link it stands on or its veth peer (``@7`` when that one is in another namespace).

    ``detail`` holds what only its kind has, such as ``("mode", "bridge")`` of a macvlan; ``flags`` are ip(8)'s, but for
    those that other fields say or that show a state; ``xdp`` is how a program is attached, and its number.
    """

    name: str
    ifindex: int
    kind: str
    mac: str
    mtu: int
    up: bool
    carrier: bool
    master: str
    parent: str
    promiscuity: int
    txqlen: int
    alias: str
    detail: Pairs = ()
    altnames: tuple[str, ...] = ()
    flags: tuple[str, ...] = ("BROADCAST", "MULTICAST")
    allmulti: int = 0
    group: int = 0
    broadcast: str = "ff:ff:ff:ff:ff:ff"
    linkmode: str = "default"
    protodown: bool = False
    addrgenmode: str = "eui64"
    token: str = ""
    numtxqueues: int = 1
    numrxqueues: int = 1
    gso_max_size: int = 65536
    gso_max_segs: int = 65535
    gro_max_size: int = 65536
    gso_ipv4_max_size: int = 65536
    gro_ipv4_max_size: int = 65536
    xdp: str = ""


class Port(NamedTuple):
    """A bridge port; ``state`` is disabled, listening, learning, forwarding or blocking, ``detail`` its other flags as
    ``bridge -d link`` names them."""

    name: str
    bridge: str
    state: str
    hairpin: bool
    isolated: bool
    detail: Pairs = ()


class Address(NamedTuple):
    """An address with its prefix (``10.40.80.11/24``) on a link; ``tentative`` while IPv6 checks for duplicates.

    ``valid_lft`` and ``preferred_lft`` are ``forever`` or ``limited``; ``deprecated`` once it is no longer preferred.
    """

    link: str
    address: str
    scope: str
    label: str
    tentative: bool
    peer: str = ""
    broadcast: str = ""
    anycast: str = ""
    flags: tuple[str, ...] = ()
    valid_lft: str = "forever"
    preferred_lft: str = "forever"
    protocol: str = ""
    metric: int = 0
    deprecated: bool = False

    @property
    def ip(self) -> str:
        """The address without its prefix."""
        return self.address.partition("/")[0]

    @property
    def is_advertised(self) -> bool:
        """Whether the kernel made it of a prefix that a router advertises (RFC 4862, RFC 8981). Before Linux 5.18 only
        its flags say so."""
        return self.protocol == "kernel_ra" or bool({"mngtmpaddr", "temporary"} & {*self.flags})


class Route(NamedTuple):
    """A route; ``to`` is ``default`` or a prefix, ``via`` the gateway, empty fields are absent ones.

    ``source`` is ip(8)'s ``src``, ``origin`` its ``from``; ``lock`` names the ``metrics`` (``mtu`` included) that
    path discovery may not change, ``nhid`` is a next hop object's number, ``state`` what follows from the link
    (``linkdown``, ``dead``), and ``expired`` of one whose time is over.
    """

    family: int
    table: int
    to: str
    via: str
    link: str
    source: str
    kind: str
    scope: str
    protocol: str
    metric: int
    mtu: int
    hops: tuple[str, ...] = ()
    tos: int = 0
    lock: tuple[str, ...] = ()
    metrics: Pairs = ()
    flags: tuple[str, ...] = ()
    nhid: int = 0
    encap: str = ""
    pref: str = "medium"
    realm: str = ""
    origin: str = ""
    expires: bool = False
    iif: str = ""
    state: tuple[str, ...] = ()

    @property
    def gateways(self) -> tuple[str, ...]:
        """Its gateway, or those of its ``hops``: the kernel makes one IPv6 route of two to the same destination."""
        words = (hop.split() for hop in self.hops)
        return (self.via,) if self.via else tuple(hop[1] for hop in words if hop[0] == "via")


class Rule(NamedTuple):
    """A policy rule; ``source`` is its ``from``, ``mask`` that of its ``mark`` (both together ``fwmark``),
    ``inverted`` is ``not``; ``sport``, ``dport`` and ``uidrange`` are one number or ``first-last``."""

    family: int
    priority: int
    source: str
    to: str
    table: int
    mark: int
    iif: str
    oif: str
    action: str
    mask: int = 0
    inverted: bool = False
    tos: int = 0
    l3mdev: bool = False
    uidrange: str = ""
    ipproto: str = ""
    sport: str = ""
    dport: str = ""
    tun_id: int = 0
    suppress_prefixlength: int | None = None
    suppress_ifgroup: int | None = None
    realms: str = ""
    goto: int = 0
    protocol: str = ""
    others: Pairs = ()


class Nexthop(NamedTuple):
    """A next hop object, ``ip nexthop``: a gateway or link, or a ``group`` of others by number (``5`` or
    ``5,weight``)."""

    id: int
    family: int
    via: str
    link: str
    group: tuple[str, ...]
    kind: str
    scope: str
    protocol: str
    flags: tuple[str, ...] = ()
    encap: str = ""
    resilient: Pairs = ()


class Neighbour(NamedTuple):
    """An entry of the ARP or ND table; ``flags`` are proxy, router, extern_learn, managed, ``protocol`` who made it."""

    ip: str
    link: str
    mac: str
    state: str
    flags: tuple[str, ...] = ()
    protocol: str = ""

    @property
    def lasts(self) -> bool:
        """Whether somebody has set it: the others come and go with the traffic."""
        return self.state in ("permanent", "noarp") or bool({"proxy", "extern_learn", "managed"} & {*self.flags})


class Fdb(NamedTuple):
    """An entry of the forwarding table of a bridge or VXLAN, ``bridge fdb``; of another link, without a bridge, an
    address that it listens to besides its own. ``state`` is permanent, static or learned, ``via`` a link."""

    mac: str
    link: str
    bridge: str
    state: str
    vlan: int = 0
    dst: str = ""
    port: int = 0
    vni: int = 0
    src_vni: int = 0
    via: str = ""
    nhid: int = 0
    flags: tuple[str, ...] = ()
    protocol: str = ""


class Qdisc(NamedTuple):
    """A queueing discipline; ``options`` is what its kind was given, as (name, value) in the kernel's units."""

    link: str
    kind: str
    handle: str
    parent: str
    options: tuple[tuple[str, int | str], ...]


class Class(NamedTuple):
    """A class of a queueing discipline, ``tc class``; ``leaf`` is the discipline in it."""

    link: str
    kind: str
    handle: str
    parent: str
    leaf: str
    options: Pairs


class Filter(NamedTuple):
    """A filter, ``tc filter``; ``parent`` is its discipline's handle, ``ingress`` or ``egress``, ``pref`` its order.

    ``link`` is ``block 5`` for those of a block that links share; actions stand in ``options`` in their order.
    """

    link: str
    parent: str
    kind: str
    pref: int
    protocol: str
    handle: str
    chain: int
    options: Pairs


class Chain(NamedTuple):
    """A chain of filters without any, ``tc chain``; ``template`` is the kind that it is for."""

    link: str
    parent: str
    chain: int
    template: str


class AddressLabel(NamedTuple):
    """A label by which IPv6 chooses source addresses, ``ip addrlabel``."""

    prefix: str
    link: str
    label: int


class MulticastAddress(NamedTuple):
    """An address that a link listens to, ``ip maddress``: a group of IPv4, IPv6, or a MAC (``static`` when entered)."""

    link: str
    address: str
    static: bool


class Vlan(NamedTuple):
    """A VLAN of a bridge's port, ``bridge vlan``; ``tunnel`` is the VNI that it is mapped to."""

    link: str
    vid: int
    flags: tuple[str, ...]
    tunnel: int = 0


class Mdb(NamedTuple):
    """Where a bridge sends a multicast group, ``bridge mdb``; ``state`` is permanent, or temp when it was learned,
    ``source`` the only sender that it is for (empty: any)."""

    bridge: str
    port: str
    group: str
    vlan: int
    state: str
    flags: tuple[str, ...] = ()
    source: str = ""
