"""Requests for static neighbours, forwarding entries, VLANs of ports, further names; packed by hand.

Numbers and layouts: include/uapi/linux/{neighbour,if_link,if_bridge,rtnetlink}.h.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Sequence

from cnitest.kernel.rtnetlink.netlink import CREATE, EXCL, Message, attribute, attributes
from cnitest.kernel.rtnetlink.rtnl import NEWNEIGH, SETLINK, mac_bytes

_NEWLINKPROP, _DELNEIGH = 108, 29
_INCOMPLETE = 0x01
_HEADER = 16
_APPEND = 0x800
_NESTED = 0x8000
_STATES = {"permanent": 0x80, "noarp": 0x40, "reachable": 0x02, "stale": 0x04, "static": 0x40, "dynamic": 0x02}
_SELF, _MASTER, _PROXY, _STICKY, _ROUTER = 0x02, 0x04, 0x08, 0x40, 0x80
_NDA_DST, _NDA_LLADDR, _NDA_VLAN, _NDA_PORT, _NDA_VNI = 1, 2, 5, 6, 7
_IFLA_AF_SPEC, _IFLA_PROP_LIST, _IFLA_ALT_IFNAME = 26, 52, 53
_BRIDGE_SELF = 2
_VLAN_PVID, _VLAN_UNTAGGED, _VLAN_BEGIN, _VLAN_END = 2, 4, 8, 16
_ndmsg = struct.Struct("=BxxxiHBB")
_ifinfo = struct.Struct("=BxHiII")


def address_bytes(address: str) -> tuple[int, bytes]:
    """Family and bytes of an address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return family, socket.inet_pton(family, address)


def add_neighbour(
    link: int, address: str, mac: str | None, *, nud: str, proxy: bool, router: bool, what: str
) -> Message:
    """An entry of the ARP or ND table, or an address that the link answers for."""
    family, packed = address_bytes(address)
    flags = (_PROXY if proxy else 0) | (_ROUTER if router else 0)
    body = _ndmsg.pack(family, link, _STATES[nud], flags, 0) + attribute(_NDA_DST, packed)
    body += attribute(_NDA_LLADDR, mac_bytes(mac)) if mac else b""
    return Message(NEWNEIGH, CREATE | EXCL, body, what)


def forget_unanswered(rows: Iterable[bytes]) -> list[Message]:
    """Remove, of entries as they are dumped, those whose answer is still awaited: the next packet asks anew."""
    found = []
    for row in rows:
        family, index, state, _, _ = _ndmsg.unpack_from(row, _HEADER)
        if state == _INCOMPLETE:
            kinds = {kind: row[a:b] for kind, a, b in attributes(row, _HEADER + _ndmsg.size, len(row))}
            body = _ndmsg.pack(family, index, 0, 0, 0) + attribute(_NDA_DST, kinds.get(_NDA_DST, b""))
            found.append(Message(_DELNEIGH, 0, body, "neighbour"))
    return found


def add_forwarding(
    link: int,
    mac: str,
    *,
    state: str,
    own: bool,
    bridged: bool,
    sticky: bool,
    dst: str | None,
    vlan: int | None,
    vni: int | None,
    port: int | None,
    what: str,
) -> Message:
    """An entry of a bridge's forwarding table, or of a link's own; a MAC without bits may have several."""
    flags = (_MASTER if bridged else 0) | (_SELF if own or not bridged else 0) | (_STICKY if sticky else 0)
    body = _ndmsg.pack(socket.AF_BRIDGE, link, _STATES[state], flags, 0) + attribute(_NDA_LLADDR, mac_bytes(mac))
    if dst:
        body += attribute(_NDA_DST, address_bytes(dst)[1])
    if vlan is not None:
        body += attribute(_NDA_VLAN, struct.pack("=H", vlan))
    if port is not None:
        body += attribute(_NDA_PORT, struct.pack(">H", port))
    if vni is not None:
        body += attribute(_NDA_VNI, struct.pack("=I", vni))
    several = not any(mac_bytes(mac))
    return Message(NEWNEIGH, CREATE | (_APPEND if several else EXCL), body, what)


def add_names(link: int, names: Sequence[str], what: str) -> Message:
    """Further names of a link."""
    listed = b"".join(attribute(_IFLA_ALT_IFNAME, name.encode() + b"\0") for name in names)
    body = _ifinfo.pack(0, 0, link, 0, 0) + attribute(_IFLA_PROP_LIST | _NESTED, listed)
    return Message(_NEWLINKPROP, CREATE | EXCL | _APPEND, body, what)


def add_vlans(link: int, first: int, last: int, *, pvid: bool, untagged: bool, own: bool, what: str) -> Message:
    """VLANs of a bridge's port, or with ``own`` of the bridge itself."""
    flags = (_VLAN_PVID if pvid else 0) | (_VLAN_UNTAGGED if untagged else 0)
    ends = [(first, 0)] if first == last else [(first, _VLAN_BEGIN), (last, _VLAN_END)]
    inner = attribute(0, struct.pack("=H", _BRIDGE_SELF)) if own else b""
    inner += b"".join(attribute(2, struct.pack("=HH", flags | end, vid)) for vid, end in ends)
    body = _ifinfo.pack(socket.AF_BRIDGE, 0, link, 0, 0) + attribute(_IFLA_AF_SPEC | _NESTED, inner)
    return Message(SETLINK, 0, body, what)
