"""Reads the answers to dump requests into rows.

Only the attributes that a row has are looked at. Numbers: include/uapi/linux/{rtnetlink,if_link,neighbour}.h.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from cnitest.kernel.netlink import attributes
from cnitest.kernel.records import Address, Fdb, Link, Neighbour, Port, Qdisc, Route, Rule

T = TypeVar("T")

_u32 = struct.Struct("=I")
_u16 = struct.Struct("=H")
_ifinfo = struct.Struct("=BxHiII")
_ifaddr = struct.Struct("=BBBBi")
_rtmsg = struct.Struct("=BBBBBBBBI")
_ndmsg = struct.Struct("=BxxxiHBB")
_tcmsg = struct.Struct("=BxxxiIII")

_SCOPES = {0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}
_ROUTE_KINDS = {
    1: "unicast", 2: "local", 3: "broadcast", 4: "anycast", 5: "multicast", 6: "blackhole", 7: "unreachable",
    8: "prohibit", 9: "throw",
}  # fmt: skip
_PROTOCOLS = {1: "redirect", 2: "kernel", 3: "boot", 4: "static", 9: "ra", 16: "dhcp"}
_NEIGHBOUR_STATES = {
    0: "none", 1: "incomplete", 2: "reachable", 4: "stale", 8: "delay", 16: "probe", 32: "failed", 64: "noarp",
    128: "permanent",
}  # fmt: skip
_PORT_STATES = ("disabled", "listening", "learning", "forwarding", "blocking")
_RULE_ACTIONS = {1: "lookup", 2: "goto", 3: "nop", 6: "blackhole", 7: "unreachable", 8: "prohibit"}
_MACVLAN_MODES = {1: "private", 2: "vepa", 4: "bridge", 8: "passthru", 16: "source"}
_IPVLAN_MODES = {0: "l2", 1: "l3", 2: "l3s"}
_UP = 0x1
_TENTATIVE, _SKIP_NEIGHBOURS = 0x40, 64
_MAIN_HEADER = 16


def _text(data: bytes, start: int, end: int) -> str:
    return data[start:end].rstrip(b"\0").decode(errors="replace")


def _mac(data: bytes, start: int, end: int) -> str:
    return data[start:end].hex(":")


def _ip(data: bytes) -> str:
    if len(data) == 4:
        return "%d.%d.%d.%d" % tuple(data)
    return socket.inet_ntop(socket.AF_INET6, data) if len(data) == 16 else data.hex()


def _number(data: bytes, start: int) -> int:
    value: int = _u32.unpack_from(data, start)[0]
    return value


_Detail = Mapping[int, tuple[str, Callable[[bytes, int], int | str]]]


def _byte(data: bytes, start: int) -> int:
    return data[start]


def _named(names: Mapping[int, str], width: int) -> Callable[[bytes, int], int | str]:
    def read(data: bytes, start: int) -> int | str:
        value = int.from_bytes(data[start : start + width], "little")
        return names.get(value, value)

    return read


_DETAILS: Mapping[str, _Detail] = {
    "bridge": {5: ("stp", _number), 7: ("vlan_filtering", _byte), 23: ("mcast_snooping", _byte)},
    "macvlan": {1: ("mode", _named(_MACVLAN_MODES, 4))},
    "ipvlan": {1: ("mode", _named(_IPVLAN_MODES, 2))},
    "vlan": {1: ("id", lambda data, start: int(_u16.unpack_from(data, start)[0]))},
    "vrf": {1: ("table", _number)},
}


def _kind_detail(data: bytes, start: int, end: int) -> tuple[str, tuple[tuple[str, int | str], ...]]:
    """The kind of a link from IFLA_LINKINFO, and the details its kind has."""
    kind, where = "", (0, 0)
    for number, begin, stop in attributes(data, start, end):
        if number == 1:
            kind = _text(data, begin, stop)
        elif number == 2:
            where = (begin, stop)
    table = _DETAILS.get(kind)
    if not table:
        return kind, ()
    found = [(table[n][0], table[n][1](data, begin)) for n, begin, _ in attributes(data, *where) if n in table]
    return kind, tuple(sorted(found))


def _port(data: bytes, start: int, end: int) -> tuple[str, bool, bool] | None:
    """(state, hairpin, isolated) when IFLA_LINKINFO says that the link is a bridge port."""
    kind, state, hairpin, isolated = "", 0, False, False
    for number, begin, stop in attributes(data, start, end):
        if number == 4:
            kind = _text(data, begin, stop)
        elif number == 5:
            for inner, at, _ in attributes(data, begin, stop):
                if inner == 1:
                    state = data[at]
                elif inner == 4:
                    hairpin = bool(data[at])
                elif inner == 33:
                    isolated = bool(data[at])
    return (_PORT_STATES[state], hairpin, isolated) if kind == "bridge" else None


class LinkTable:
    """The links of one namespace, and the names of their indexes for the other tables."""

    def __init__(self, rows: Iterable[bytes]) -> None:
        raw = [_raw_link(row) for row in rows]
        self.names: dict[int, str] = {index: str(fields.get(3, "")) for index, _, fields in raw}
        self.links = tuple(self._link(index, flags, fields) for index, flags, fields in raw)
        self.ports = tuple(
            Port(str(fields[3]), self.name(fields[10]), *fields["port"])
            for _, _, fields in raw
            if fields.get("port") and 10 in fields
        )

    def name(self, index: int) -> str:
        """The name of a link, or ``@index`` when it is not of this namespace."""
        return self.names.get(index) or (f"@{index}" if index else "")

    def _link(self, index: int, flags: int, fields: dict[int | str, object]) -> Link:
        get = fields.get
        parent = get(5)
        elsewhere = 37 in fields
        kind, detail = get("kind") or ("", ())  # type: ignore[misc]
        return Link(
            str(get(3, "")), index, kind or ("loopback" if flags & 8 else ""), str(get(1, "")), int(get(4, 0)),  # type: ignore[call-overload]
            bool(flags & _UP), bool(get(33)), self.name(get(10, 0)),  # type: ignore[arg-type]
            f"@{parent}" if elsewhere else self.name(parent or 0),  # type: ignore[arg-type]
            int(get(30, 0)), int(get(13, 0)), str(get(20, "")), detail,  # type: ignore[call-overload]
        )  # fmt: skip


def _raw_link(row: bytes) -> tuple[int, int, dict[int | str, object]]:
    _, _, index, flags, _ = _ifinfo.unpack_from(row, _MAIN_HEADER)
    fields: dict[int | str, object] = {}
    for number, start, end in attributes(row, _MAIN_HEADER + 16, len(row)):
        if number in (3, 20):
            fields[number] = _text(row, start, end)
        elif number == 1:
            fields[1] = _mac(row, start, end)
        elif number in (4, 5, 10, 13, 30, 37):
            fields[number] = _number(row, start)
        elif number == 33:
            fields[33] = row[start]
        elif number == 18:
            fields["kind"] = _kind_detail(row, start, end)
            fields["port"] = _port(row, start, end)
    return index, flags, fields


def addresses(rows: Iterable[bytes], links: LinkTable) -> tuple[Address, ...]:
    """RTM_NEWADDR rows."""
    found = []
    for row in rows:
        _, length, flags, scope, index = _ifaddr.unpack_from(row, _MAIN_HEADER)
        address = local = b""
        label = ""
        for number, start, end in attributes(row, _MAIN_HEADER + 8, len(row)):
            if number == 1:
                address = row[start:end]
            elif number == 2:
                local = row[start:end]
            elif number == 3:
                label = _text(row, start, end)
        link = links.name(index)
        text = f"{_ip(local or address)}/{length}"
        found.append(Address(link, text, _SCOPES.get(scope, str(scope)), "" if label == link else label,
                             bool(flags & _TENTATIVE)))  # fmt: skip
    return tuple(found)


def _hops(data: bytes, start: int, end: int, links: LinkTable) -> tuple[str, ...]:
    """The next hops of RTA_MULTIPATH as ``via 10.0.0.1 dev eth0 weight 1``."""
    found = []
    while start + 8 <= end:
        length, _, weight, index = struct.unpack_from("=HBBi", data, start)
        if length < 8:
            break
        via = "".join(
            f"via {_ip(data[a:b])} " for number, a, b in attributes(data, start + 8, start + length) if number == 5
        )
        found.append(f"{via}dev {links.name(index)} weight {weight + 1}")
        start += (length + 3) & ~3
    return tuple(found)


def route(row: bytes, links: LinkTable) -> Route:
    """One RTM_NEWROUTE row."""
    family, length, _, _, table, protocol, scope, kind, _ = _rtmsg.unpack_from(row, _MAIN_HEADER)
    to = via = source = link = ""
    metric = mtu = 0
    hops: tuple[str, ...] = ()
    for number, start, end in attributes(row, _MAIN_HEADER + 12, len(row)):
        if number == 1:
            to = f"{_ip(row[start:end])}/{length}"
        elif number == 4:
            link = links.name(_number(row, start))
        elif number == 5:
            via = _ip(row[start:end])
        elif number == 6:
            metric = _number(row, start)
        elif number == 7:
            source = _ip(row[start:end])
        elif number == 8:
            mtu = next((_number(row, at) for inner, at, _ in attributes(row, start, end) if inner == 2), 0)
        elif number == 9:
            hops = _hops(row, start, end, links)
        elif number == 15:
            table = _number(row, start)
        elif number == 18:
            via = _ip(row[start + 2 : end])
    version = 4 if family == socket.AF_INET else 6
    return Route(version, table, to or "default", via, link, source, _ROUTE_KINDS.get(kind, str(kind)),
                 _SCOPES.get(scope, str(scope)), _PROTOCOLS.get(protocol, str(protocol)), metric, mtu, hops)  # fmt: skip


def rules(rows: Iterable[bytes]) -> tuple[Rule, ...]:
    """RTM_NEWRULE rows."""
    found = []
    for row in rows:
        family, to_length, from_length, _, table, _, _, action, _ = _rtmsg.unpack_from(row, _MAIN_HEADER)
        fields: dict[int, int] = {}
        texts: dict[int, str] = {}
        for number, start, end in attributes(row, _MAIN_HEADER + 12, len(row)):
            if number in (1, 2):
                texts[number] = f"{_ip(row[start:end])}/{to_length if number == 1 else from_length}"
            elif number in (3, 17):
                texts[number] = _text(row, start, end)
            elif number in (6, 10, 15):
                fields[number] = _number(row, start)
        version = 4 if family == socket.AF_INET else 6
        found.append(Rule(version, fields.get(6, 0), texts.get(2, ""), texts.get(1, ""), fields.get(15, table),
                          fields.get(10, 0), texts.get(3, ""), texts.get(17, ""),
                          _RULE_ACTIONS.get(action, str(action))))  # fmt: skip
    return tuple(found)


def _neighbour_fields(row: bytes) -> tuple[int, int, int, dict[int, bytes]]:
    _, index, state, flags, _ = _ndmsg.unpack_from(row, _MAIN_HEADER)
    wanted = {number: row[a:b] for number, a, b in attributes(row, _MAIN_HEADER + 12, len(row)) if number in (1, 2, 9)}
    return index, state, flags, wanted


def neighbours(rows: Iterable[bytes], links: LinkTable) -> tuple[Neighbour, ...]:
    """RTM_NEWNEIGH rows of the ARP and ND tables; what the kernel makes up for multicast and itself is left out."""
    found = []
    for row in rows:
        index, state, _, fields = _neighbour_fields(row)
        if state & _SKIP_NEIGHBOURS or 1 not in fields:
            continue
        mac = fields.get(2, b"").hex(":")
        found.append(Neighbour(_ip(fields[1]), links.name(index), mac, _NEIGHBOUR_STATES.get(state, str(state))))
    return tuple(found)


def forwarding(rows: Iterable[bytes], links: LinkTable) -> tuple[Fdb, ...]:
    """RTM_NEWNEIGH rows of AF_BRIDGE; the address filters of links that are no bridge ports are left out."""
    found = []
    for row in rows:
        index, state, _, fields = _neighbour_fields(row)
        if 9 not in fields:
            continue
        master = links.name(_number(fields[9], 0))
        kept = "permanent" if state & 128 else "static" if state & 64 else "learned"
        found.append(Fdb(fields.get(2, b"").hex(":"), links.name(index), master, kept))
    return tuple(found)


def _handle(value: int) -> str:
    if value == 0xFFFFFFFF:
        return "root"
    return f"{value >> 16:x}:{value & 0xFFFF or '':x}" if value & 0xFFFF else f"{value >> 16:x}:"


def qdiscs(rows: Iterable[bytes], links: LinkTable) -> tuple[Qdisc, ...]:
    """RTM_NEWQDISC rows."""
    found = []
    for row in rows:
        _, index, handle, parent, _ = _tcmsg.unpack_from(row, _MAIN_HEADER)
        kind = options = ""
        for number, start, end in attributes(row, _MAIN_HEADER + 20, len(row)):
            if number == 1:
                kind = _text(row, start, end)
            elif number == 2:
                options = row[start:end].hex()
        found.append(Qdisc(links.name(index), kind, _handle(handle), _handle(parent), options))
    return tuple(found)
