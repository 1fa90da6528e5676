"""The requests of the hot path, packed by hand: links, addresses, routes.

pyroute2 packs the same messages some ten times slower, which alone would miss the build time that is promised;
the rare kinds go through it (`rtnl_pyroute2`). Numbers: include/uapi/linux/{rtnetlink,if_link}.h.
"""

from __future__ import annotations

import functools
import ipaddress
import socket
import struct

from cnitest.kernel.rtnetlink.netlink import CREATE, EXCL, Message, attribute

NEWLINK, DELLINK, GETLINK, SETLINK = 16, 17, 18, 19
NEWADDR, DELADDR, GETADDR = 20, 21, 22
NEWROUTE, GETROUTE = 24, 26
NEWNEIGH, GETNEIGH = 28, 30
GETRULE, GETMDB = 34, 86
GETNEXTHOP, GETADDRLABEL = 106, 74

LOOPBACK = 1
_UP = 1
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINK, _IFLA_MASTER, _IFLA_PROTINFO = 1, 3, 4, 5, 10, 12
_IFLA_LINKINFO, _IFLA_NET_NS_FD, _IFLA_EXT_MASK = 18, 28, 29
_IFLA_NEW_IFINDEX = 49
_INFO_KIND, _INFO_DATA = 1, 2
_NESTED = 0x8000
_SKIP_STATISTICS, _VLANS = 1 << 3, 1 << 1
_BRPORT_HAIRPIN, _BRPORT_ISOLATED = 4, 33
_BR_FORWARD_DELAY, _BR_STP, _BR_VLAN_FILTERING, _BR_VLAN_DEFAULT_PVID = 1, 5, 7, 39
_LEAST_FORWARD_DELAY = 200  # in hundredths of a second
_MACVLAN_MODES = {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8}
_ROUTE_KINDS = {"unicast": 1, "blackhole": 6, "unreachable": 7, "prohibit": 8}
_LOCAL, _ROUTE_KIND_AT = 2, 16 + 7  # behind the header of the message
_IFA_NODAD = 0x02
_REPLACE = 0x100
_NTF_PROXY = 0x08

_ifinfo = struct.Struct("=BxHiII")
_ifaddr = struct.Struct("=BBBBi")
# The bits of TOS that routes look at; the kernel refuses the others.
_ROUTABLE_TOS = 0x1C
_rtmsg = struct.Struct("=BBBBBBBBI")


def _info(index: int = 0, flags: int = 0, change: int = 0, family: int = 0) -> bytes:
    return _ifinfo.pack(family, 0, index, flags, change)


def _u32(kind: int, value: int) -> bytes:
    return struct.pack("=HHI", 8, kind, value)


def _string(kind: int, text: str) -> bytes:
    return attribute(kind, text.encode() + b"\0")


def mac_bytes(mac: str) -> bytes:
    """Six bytes of ``02:00:…``."""
    return bytes.fromhex(mac.replace(":", ""))


def _common(name: str, mac: str | None, mtu: int | None, master: int) -> bytes:
    body = _string(_IFLA_IFNAME, name)
    if mac:
        body += attribute(_IFLA_ADDRESS, mac_bytes(mac))
    if mtu:
        body += _u32(_IFLA_MTU, mtu)
    if master:
        body += _u32(_IFLA_MASTER, master)
    return body


def _new_link(kind: str, data: bytes, body: bytes, index: int, up: bool, what: str) -> Message:
    flag = _UP if up else 0
    information = _string(_INFO_KIND, kind) + (attribute(_INFO_DATA, data) if data else b"")
    return Message(
        NEWLINK, CREATE | EXCL, _info(index, flag, flag) + body + attribute(_IFLA_LINKINFO, information), what
    )


def add_bridge(
    name: str,
    index: int,
    *,
    mac: str | None,
    mtu: int | None,
    stp: bool,
    up: bool,
    what: str,
    vlan_filtering: bool = False,
    default_pvid: int | None = None,
) -> Message:
    """A bridge with a chosen index.

    With STP a port listens and learns before it forwards; the delay is set to the least that the kernel allows.
    """
    data = _u32(_BR_FORWARD_DELAY, _LEAST_FORWARD_DELAY) + _u32(_BR_STP, 1) if stp else b""
    if vlan_filtering:
        data += attribute(_BR_VLAN_FILTERING, b"\1")
    if default_pvid is not None:
        data += attribute(_BR_VLAN_DEFAULT_PVID, struct.pack("=H", default_pvid))
    return _new_link("bridge", data, _common(name, mac, mtu, 0), index, up, what)


def add_veth(
    name: str,
    index: int,
    peer: str,
    peer_index: int,
    peer_namespace: int,
    *,
    mac: str | None,
    peer_mac: str | None,
    mtu: int | None,
    peer_mtu: int | None,
    master: int,
    up: bool,
    what: str,
) -> Message:
    """A veth pair; the peer is created in the namespace of the fd ``peer_namespace``, always down.

    A peer cannot be created up: it is opened before the pair is tied together (ENOTCONN).
    """
    peer_body = _info(peer_index) + _common(peer, peer_mac, peer_mtu, 0) + _u32(_IFLA_NET_NS_FD, peer_namespace)
    return _new_link("veth", attribute(1, peer_body), _common(name, mac, mtu, master), index, up, what)


def add_macvlan(
    name: str, index: int, parent: int, mode: str, namespace: int, *, mac: str | None, mtu: int | None, what: str
) -> Message:
    """A macvlan child of link ``parent``, created in the namespace of the fd ``namespace``, down."""
    data = _u32(1, _MACVLAN_MODES[mode])
    return new_link("macvlan", data, name, index, namespace, parent=parent, mac=mac, mtu=mtu, what=what)


def new_link(
    kind: str,
    data: bytes,
    name: str,
    index: int,
    namespace: int,
    *,
    parent: int | None = None,
    mac: str | None,
    mtu: int | None,
    what: str,
) -> Message:
    """A link of a kind with its options, on link ``parent`` if on any, created down in the namespace of the fd
    ``namespace``."""
    body = _common(name, mac, mtu, 0) + (_u32(_IFLA_LINK, parent) if parent else b"")
    body += _u32(_IFLA_NET_NS_FD, namespace)
    return _new_link(kind, data, body, index, False, what)


def add_plain(kind: str, name: str, index: int, *, mac: str | None, mtu: int | None, what: str) -> Message:
    """A link that needs no data of its kind (dummy, ifb)."""
    return _new_link(kind, b"", _common(name, mac, mtu, 0), index, False, what)


def set_link(
    index: int,
    *,
    up: bool | None = None,
    master: int | None = None,
    mac: str | None = None,
    mtu: int | None = None,
    what: str = "",
) -> Message:
    """Change a link: bring it up or down, enslave it (0 frees it), set MAC or MTU."""
    body = _info(index, _UP if up else 0, 0 if up is None else _UP)
    if master is not None:
        body += _u32(_IFLA_MASTER, master)
    if mac:
        body += attribute(_IFLA_ADDRESS, mac_bytes(mac))
    if mtu:
        body += _u32(_IFLA_MTU, mtu)
    return Message(SETLINK, 0, body, what)


def move_link(index: int, namespace: int, name: str, new_index: int, what: str = "") -> Message:
    """Put a link into the namespace of the fd ``namespace``, with a name and an index there; it comes there down."""
    body = _info(index, 0, _UP) + _u32(_IFLA_NET_NS_FD, namespace) + _string(_IFLA_IFNAME, name)
    return Message(SETLINK, 0, body + _u32(_IFLA_NEW_IFINDEX, new_index), what)


def set_port(index: int, *, hairpin: bool, isolated: bool, what: str) -> Message:
    """The flags of a bridge port."""
    flags = attribute(_BRPORT_HAIRPIN, bytes([hairpin])) + attribute(_BRPORT_ISOLATED, bytes([isolated]))
    return Message(SETLINK, 0, _info(index, family=socket.AF_BRIDGE) + attribute(_IFLA_PROTINFO | _NESTED, flags), what)


def flush_link(index: int, what: str = "") -> Message:
    """Ask for one link, which makes the kernel (6.8 and later) catch up with its carrier and bridge port."""
    return Message(GETLINK, 0, _info(index) + _u32(_IFLA_EXT_MASK, _SKIP_STATISTICS), what)


@functools.lru_cache(maxsize=4096)
def _interface(address: str) -> tuple[int, int, bytes, bytes]:
    """(family, prefix length, packed address, packed broadcast or nothing)."""
    text, _, length = address.partition("/")
    if ":" in text:
        return socket.AF_INET6, int(length or 128), socket.inet_pton(socket.AF_INET6, text), b""
    packed, prefix = socket.inet_aton(text), int(length or 32)
    if prefix >= 31:
        return socket.AF_INET, prefix, packed, b""
    host_bits = (1 << (32 - prefix)) - 1
    return socket.AF_INET, prefix, packed, (int.from_bytes(packed, "big") | host_bits).to_bytes(4, "big")


def add_address(index: int, address: str, *, dad: bool = False, replace: bool = False, what: str = "") -> Message:
    """An address with prefix; an IPv6 one is usable at once unless ``dad``. With ``replace`` it may be there."""
    family, prefix, packed, broadcast = _interface(address)
    flags = _IFA_NODAD if family == socket.AF_INET6 and not dad else 0
    body = _ifaddr.pack(family, prefix, flags, 0, index) + attribute(2, packed) + attribute(1, packed)
    if broadcast:
        body += attribute(4, broadcast)
    return Message(NEWADDR, CREATE | (_REPLACE if replace else EXCL), body, what)


def delete_address(index: int, address: str, what: str = "") -> Message:
    """Take an address with prefix from a link."""
    family, prefix, packed, _ = _interface(address)
    return Message(DELADDR, 0, _ifaddr.pack(family, prefix, 0, 0, index) + attribute(2, packed), what)


def delete_link(index: int, what: str = "") -> Message:
    """Remove a link."""
    return Message(DELLINK, 0, _info(index), what)


@functools.lru_cache(maxsize=4096)
def prefix_bytes(to: str, family: int) -> tuple[int, int, bytes]:
    """Family, length and bytes of a prefix, or of ``default`` in a family."""
    if to == "default":
        return family, 0, b""
    network = ipaddress.ip_network(to, strict=False)
    return (
        (socket.AF_INET if network.version == 4 else socket.AF_INET6),
        network.prefixlen,
        network.network_address.packed,
    )


def add_route(
    to: str,
    *,
    via: str | None = None,
    link: int = 0,
    source: str | None = None,
    table: int | None = None,
    metric: int | None = None,
    mtu: int | None = None,
    kind: str = "unicast",
    family: int = 4,
    what: str = "",
) -> Message:
    """A route; ``link`` is an index, 0 lets the kernel find it through the gateway."""
    wanted = socket.AF_INET6 if family == 6 or ":" in (via or "") else socket.AF_INET
    family_number, length, packed = prefix_bytes(to, wanted)
    scope = 253 if kind == "unicast" and not via else 0
    table = table or 254
    head = _rtmsg.pack(family_number, length, 0, 0, table if table < 256 else 0, 4, scope, _ROUTE_KINDS[kind], 0)
    body = head + (attribute(1, packed) if packed else b"") + (_u32(15, table) if table > 255 else b"")
    if via:
        body += attribute(5, _interface(via)[2])
    if link:
        body += _u32(4, link)
    if source:
        body += attribute(7, _interface(source)[2])
    if metric:
        body += _u32(6, metric)
    if mtu:
        body += attribute(8, _u32(2, mtu))
    return Message(NEWROUTE, CREATE | EXCL, body, what)


def get_route(
    destination: str, *, source: str | None = None, link: int = 0, iif: int = 0, mark: int = 0, tos: int = 0,
    ports: tuple[int, int, int] | None = None, what: str,
) -> Message:  # fmt: skip
    """Ask which route a packet to ``destination`` takes, with the source, link, mark and TOS that are chosen, and for
    rules that ask for them its protocol and ``ports``; with ``iif`` one that came in by that link."""
    family, length, packed, _ = _interface(destination)
    body = attribute(1, packed) + (attribute(2, _interface(source)[2]) if source else b"")
    body += b"".join(_u32(kind, value) for kind, value in ((4, link), (3, iif), (16, mark)) if value)
    if ports:
        body += attribute(27, bytes(ports[:1]))
        given = zip((28, 29), ports[1:], strict=True)
        body += b"".join(attribute(kind, port.to_bytes(2, "big")) for kind, port in given if port)
    routable = tos if family == socket.AF_INET6 else tos & _ROUTABLE_TOS
    header = _rtmsg.pack(family, length, length if source else 0, routable, 0, 0, 0, 0, 0)
    return Message(GETROUTE, 0, header + body, what)


def is_to_oneself(answer: bytes) -> bool:
    """Whether the route that answers `get_route` leads to the place itself."""
    return answer[_ROUTE_KIND_AT] == _LOCAL


def dump_links() -> Message:
    """All links, without statistics."""
    return Message(GETLINK, 0, _info() + _u32(_IFLA_EXT_MASK, _SKIP_STATISTICS), "links")


def dump_addresses(family: int = 0) -> Message:
    """All addresses of both families, or of one."""
    return Message(GETADDR, 0, _ifaddr.pack(family, 0, 0, 0, 0), "addresses")


def dump_routes() -> Message:
    """All routes of all tables of both families."""
    return Message(GETROUTE, 0, _rtmsg.pack(0, 0, 0, 0, 0, 0, 0, 0, 0), "routes")


def dump_rules() -> Message:
    """All policy rules of both families."""
    return Message(GETRULE, 0, _rtmsg.pack(0, 0, 0, 0, 0, 0, 0, 0, 0), "rules")


def dump_nexthops() -> Message:
    """All next hop objects."""
    return Message(GETNEXTHOP, 0, bytes(8), "nexthops")


def dump_neighbours(family: int = 0, *, proxies: bool = False) -> Message:
    """The neighbour tables, or the addresses that are answered for others; with AF_BRIDGE the forwarding tables."""
    flags = _NTF_PROXY if proxies else 0
    return Message(GETNEIGH, 0, struct.pack("=BxxxiHBB", family, 0, 0, flags, 0), "neighbours")


def dump_labels() -> Message:
    """The labels by which IPv6 source addresses are chosen."""
    return Message(GETADDRLABEL, 0, struct.pack("=BxxxII", socket.AF_INET6, 0, 0), "address labels")


def dump_vlans() -> Message:
    """The VLANs of all ports of bridges."""
    return Message(GETLINK, 0, _info(family=socket.AF_BRIDGE) + _u32(_IFLA_EXT_MASK, _VLANS), "vlans")


def dump_groups() -> Message:
    """The multicast groups of all bridges."""
    return Message(GETMDB, 0, struct.pack("=BxxxI", socket.AF_BRIDGE, 0), "multicast groups")
