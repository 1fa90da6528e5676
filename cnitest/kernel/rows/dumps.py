"""Reads addresses, neighbours and forwarding entries into rows.

Only the attributes that a row has are looked at. Numbers: include/uapi/linux/{if_addr,neighbour}.h.
"""

from __future__ import annotations

import functools
import ipaddress
import struct
from collections.abc import Iterable
from typing import NamedTuple

from cnitest.kernel.rows.link_details import OWN_FDB
from cnitest.kernel.rows.link_rows import LinkNames, LinkTable
from cnitest.kernel.rows.readers import MAIN_HEADER, attributes_of, big, bits, integer, ip, number, text, u32
from cnitest.kernel.rows.records import Address, AddressLabel, Fdb, Neighbour
from cnitest.kernel.rows.route_rows import PROTOCOLS, SCOPES
from cnitest.kernel.rtnetlink.netlink import attributes

_ifaddr = struct.Struct("=BBBBi")
_ndmsg = struct.Struct("=BxxxiHBB")
_labelled = struct.Struct("=BxBxi4x")
# Where both have the index of a link.
_INDEX_AT = 4
_LABEL_ADDRESS, _LABEL = 1, 2

_NEIGHBOUR_STATES = {
    0: "none",
    1: "incomplete",
    2: "reachable",
    4: "stale",
    8: "delay",
    16: "probe",
    32: "failed",
    64: "noarp",
    128: "permanent",
}
_FOREVER = 0xFFFFFFFF
_TENTATIVE, _DAD_FAILED, _DEPRECATED = 0x40, 0x08, 0x20
_TEMPORARY = 0x01
# What of an address's flags is set or lasts.
_ADDRESS_FLAGS = {
    0x02: "nodad",
    0x08: "dadfailed",
    0x10: "home",
    0x100: "mngtmpaddr",
    0x200: "noprefixroute",
    0x400: "autojoin",
    0x800: "stable-privacy",
}
_ADDRESS_PROTOCOLS = {0: "", 1: "kernel_lo", 2: "kernel_ra", 3: "kernel_ll"}
# IFA_…
_IFA_ADDRESS, _IFA_LOCAL, _IFA_LABEL, _IFA_BROADCAST, _IFA_ANYCAST, _IFA_CACHEINFO = 1, 2, 3, 4, 5, 6
_IFA_FLAGS, _IFA_METRIC, _IFA_PROTOCOL = 8, 9, 11
_NEIGHBOUR_FLAGS = {
    0x01: "use",
    0x02: "self",
    0x04: "master",
    0x08: "proxy",
    0x10: "extern_learn",
    0x40: "sticky",
    0x80: "router",
}
_EXTENDED_FLAGS = {1: "managed", 2: "locked"}
_PERMANENT, _NOARP, _PROXY, _SELF = 0x80, 0x40, 0x08, 0x02
# NDA_…
_DST, _LLADDR, _VLAN, _PORT, _VNI, _IFINDEX, _MASTER, _SOURCE_VNI, _PROTOCOL, _NH_ID, _FLAGS_EXT = (
    1, 2, 5, 6, 7, 8, 9, 11, 12, 13, 15,
)  # fmt: skip


def addresses(rows: Iterable[bytes], links: LinkNames) -> tuple[Address, ...]:
    """RTM_NEWADDR rows."""
    return tuple(_address(row[MAIN_HEADER:], links.name(u32(row, MAIN_HEADER + _INDEX_AT))) for row in rows)


@functools.lru_cache(maxsize=2048)
def _address(row: bytes, link: str) -> Address:
    """The same bytes are read once: most addresses stay as they are."""
    family, length, flags, scope, _ = _ifaddr.unpack_from(row)
    found = {kind: (a, b) for kind, a, b in attributes(row, _ifaddr.size, len(row))}

    def value(kind: int) -> str:
        return ip(row[slice(*found[kind])]) if kind in found else ""

    if _IFA_FLAGS in found:
        flags = number(row, *found[_IFA_FLAGS])
    far, near = value(_IFA_ADDRESS), value(_IFA_LOCAL)
    label = text(row, *found[_IFA_LABEL]) if _IFA_LABEL in found else ""
    protocol = number(row, *found[_IFA_PROTOCOL]) if _IFA_PROTOCOL in found else 0
    preferred, valid = _lifetimes(row, found.get(_IFA_CACHEINFO))
    return Address(
        link=link,
        address=f"{near or far}/{length}",
        scope=SCOPES.get(scope, str(scope)),
        label="" if label == link else label,
        tentative=bool(flags & _TENTATIVE and not flags & _DAD_FAILED),
        peer=f"{far}/{length}" if near and far and near != far else "",
        broadcast=value(_IFA_BROADCAST),
        anycast=value(_IFA_ANYCAST),
        flags=_address_flags(flags, family, preferred),
        valid_lft=valid,
        preferred_lft=preferred,
        protocol=_ADDRESS_PROTOCOLS.get(protocol, str(protocol)),
        metric=number(row, *found[_IFA_METRIC]) if _IFA_METRIC in found else 0,
        deprecated=bool(flags & _DEPRECATED),
    )


def _address_flags(flags: int, family: int, preferred: str) -> tuple[str, ...]:
    """What is set; an address that is deprecated without an end to its preference was made so."""
    first = ("secondary" if family == 2 else "temporary",) if flags & _TEMPORARY else ()
    set_so = ("deprecated",) if flags & _DEPRECATED and preferred == "forever" else ()
    return (*first, *bits(flags, _ADDRESS_FLAGS), *set_so)


def _lifetimes(row: bytes, where: tuple[int, int] | None) -> tuple[str, str]:
    """Whether an address is preferred and valid ``forever``, or for a time that runs down: ``limited``."""
    if where is None:
        return "forever", "forever"
    preferred, valid = ("forever" if u32(row, where[0] + at) == _FOREVER else "limited" for at in (0, 4))
    return preferred, valid


def labels(rows: Iterable[bytes], links: LinkNames) -> tuple[AddressLabel, ...]:
    """RTM_NEWADDRLABEL rows."""
    return tuple(sorted(_label(row[MAIN_HEADER:], links.name(u32(row, MAIN_HEADER + _INDEX_AT))) for row in rows))


@functools.lru_cache(maxsize=256)
def _label(row: bytes, link: str) -> AddressLabel:
    """The same bytes are read once: each namespace has those that the kernel makes."""
    _, length, _ = _labelled.unpack_from(row)
    values = attributes_of(row, _labelled.size, len(row))
    return AddressLabel(f"{ip(values.get(_LABEL_ADDRESS, bytes(16)))}/{length}", link, integer(values, _LABEL))


class _RawNeighbour(NamedTuple):
    """One RTM_NEWNEIGH row."""

    ifindex: int
    state: int
    flags: int
    found: dict[int, bytes]

    def number(self, kind: int) -> int:
        """A number, 0 when there is none."""
        return number(self.found.get(kind, b""), 0, 8)

    @property
    def names(self) -> tuple[str, ...]:
        """The flags by name, those of NDA_FLAGS_EXT included."""
        return bits(self.flags, _NEIGHBOUR_FLAGS) + bits(self.number(_FLAGS_EXT), _EXTENDED_FLAGS)

    @property
    def protocol(self) -> str:
        """Who made it, when that is known."""
        value = self.number(_PROTOCOL)
        return PROTOCOLS.get(value, str(value))


def _raw_neighbour(row: bytes) -> _RawNeighbour:
    _, index, state, flags, _ = _ndmsg.unpack_from(row, MAIN_HEADER)
    return _RawNeighbour(
        index, state, flags, {kind: row[a:b] for kind, a, b in attributes(row, MAIN_HEADER + 12, len(row))}
    )


def neighbours(rows: Iterable[bytes], links: LinkNames) -> tuple[Neighbour, ...]:
    """RTM_NEWNEIGH rows of the ARP and ND tables; what the kernel makes up for multicast and itself is left out."""
    found = []
    for raw in map(_raw_neighbour, rows):
        if _DST not in raw.found or (raw.state & _NOARP and _is_made_up(raw)):
            continue
        state = "" if raw.flags & _PROXY else _NEIGHBOUR_STATES.get(raw.state, str(raw.state))
        address, hardware = ip(raw.found[_DST]), raw.found.get(_LLADDR, b"").hex(":")
        found.append(Neighbour(address, links.name(raw.ifindex), hardware, state, raw.names, raw.protocol))
    return tuple(found)


def _is_made_up(raw: _RawNeighbour) -> bool:
    """Whether an entry that needs no ARP is the kernel's own: for multicast, broadcast, or a link without addresses."""
    hardware = raw.found.get(_LLADDR, b"")
    return not any(hardware) or bool(hardware[0] & 1) or ipaddress.ip_address(raw.found[_DST]).is_multicast


def forwarding(rows: Iterable[bytes], links: LinkTable) -> tuple[Fdb, ...]:
    """RTM_NEWNEIGH rows of AF_BRIDGE: entries of bridges, of VXLANs, and the addresses that a link listens to besides
    its own; those of multicast groups are left out (see `cnitest.kernel.rows.multicast`)."""
    own_tables = {link.name for link in links.links if link.kind in OWN_FDB}
    found = []
    for raw in map(_raw_neighbour, rows):
        link, hardware = links.name(raw.ifindex), raw.found.get(_LLADDR, b"")
        if _MASTER not in raw.found and link not in own_tables and (not hardware or hardware[0] & 1):
            continue
        kept = "permanent" if raw.state & _PERMANENT else "static" if raw.state & _NOARP else "learned"
        found.append(
            Fdb(
                mac=hardware.hex(":"),
                link=link,
                bridge=links.name(raw.number(_MASTER)),
                state=kept,
                vlan=raw.number(_VLAN),
                dst=ip(raw.found[_DST]) if _DST in raw.found else "",
                port=big(raw.found[_PORT], 0, 2) if _PORT in raw.found else 0,
                vni=raw.number(_VNI),
                src_vni=raw.number(_SOURCE_VNI),
                via=links.name(raw.number(_IFINDEX)),
                nhid=raw.number(_NH_ID),
                flags=tuple(flag for flag in raw.names if flag != "master"),
                protocol=raw.protocol,
            )
        )
    return tuple(found)
