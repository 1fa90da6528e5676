"""Reads the VLANs of bridge ports and the multicast groups of bridges into rows.

Numbers: include/uapi/linux/if_bridge.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from cnitest.kernel.rows.link_rows import LinkTable
from cnitest.kernel.rows.readers import MAIN_HEADER, attributes_of, bits, ip, number
from cnitest.kernel.rows.records import Mdb, Vlan
from cnitest.kernel.rtnetlink.netlink import attributes

_ifinfo = struct.Struct("=BxHiII")
_vlan = struct.Struct("=HH")
_group = struct.Struct("=IBBH16s")
_AF_SPEC, _VLAN_INFO, _TUNNEL_INFO = 26, 2, 3
_VLAN_FLAGS = {2: "pvid", 4: "untagged"}
_RANGE_BEGINS, _RANGE_ENDS = 8, 16
_MDB, _ENTRY, _ENTRY_INFO = 1, 1, 1
# Behind the entry itself: MDBA_MDB_EATTR_SOURCE, the sender that a group is for.
_SOURCE = 4
_GROUP_FLAGS = {1: "offload", 2: "fast_leave", 4: "star_excl", 8: "blocked"}
_IPV4, _IPV6 = 0x0800, 0x86DD


def vlans(rows: Iterable[bytes], links: LinkTable) -> tuple[Vlan, ...]:
    """RTM_NEWLINK rows of AF_BRIDGE, asked for with their VLANs."""
    return tuple(vlan for row in rows for vlan in _vlans(row, links))


def _vlans(row: bytes, links: LinkTable) -> Iterator[Vlan]:
    _, _, index, _, _ = _ifinfo.unpack_from(row, MAIN_HEADER)
    link = links.name(index)
    for kind, start, end in attributes(row, MAIN_HEADER + _ifinfo.size, len(row)):
        if kind == _AF_SPEC:
            inner = [(key, row[a:b]) for key, a, b in attributes(row, start, end)]
            tunnels = dict(_tunnels(data) for key, data in inner if key == _TUNNEL_INFO)
            yield from (
                Vlan(link, vid, flags, tunnels.get(vid, 0))
                for vid, flags in _numbers(data for key, data in inner if key == _VLAN_INFO)
            )


def _numbers(values: Iterable[bytes]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Each VLAN with its flags; a range comes as its first and its last."""
    first = 0
    for flags, vid in map(_vlan.unpack, values):
        if flags & _RANGE_BEGINS:
            first = vid
            continue
        for each in range(first if flags & _RANGE_ENDS else vid, vid + 1):
            yield each, bits(flags, _VLAN_FLAGS)


def _tunnels(data: bytes) -> tuple[int, int]:
    found = {key: number(data, a, b) for key, a, b in attributes(data, 0, len(data))}
    return found.get(2, 0), found.get(1, 0)


def groups(rows: Iterable[bytes], links: LinkTable) -> tuple[Mdb, ...]:
    """RTM_NEWMDB rows."""
    return tuple(entry for row in rows for entry in _groups(row, links))


def _groups(row: bytes, links: LinkTable) -> Iterator[Mdb]:
    (bridge,) = struct.unpack_from("=4xI", row, MAIN_HEADER)
    for kind, start, end in attributes(row, MAIN_HEADER + 8, len(row)):
        for entry, a, b in attributes(row, start, end) if kind == _MDB else ():
            for information, at, end_at in attributes(row, a, b) if entry == _ENTRY else ():
                if information == _ENTRY_INFO:
                    yield _entry(row[at:end_at], links.name(bridge), links)


def _entry(data: bytes, bridge: str, links: LinkTable) -> Mdb:
    """An entry: struct br_mdb_entry, its last bytes the group's protocol, and attributes behind it."""
    index, state, flags, vlan, address = _group.unpack_from(data)
    protocol = int.from_bytes(data[_group.size : _group.size + 2], "big")
    lengths = {_IPV4: 4, _IPV6: 16}
    group = ip(address[: lengths[protocol]]) if protocol in lengths else address[:6].hex(":")
    source = ip(attributes_of(data, _group.size + 4, len(data)).get(_SOURCE, b""))
    kept = "permanent" if state == 1 else "temp"
    return Mdb(bridge, links.name(index), group, vlan, kept, bits(flags, _GROUP_FLAGS), source)
