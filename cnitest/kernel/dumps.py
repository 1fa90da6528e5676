"""Reads the answers to dump requests into rows.

Only the attributes that a row has are looked at. Numbers: include/uapi/linux/{rtnetlink,if_link,neighbour}.h.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterable, Mapping

from cnitest.kernel import exotic
from cnitest.kernel.netlink import attributes
from cnitest.kernel.records import Address, Fdb, Link, Neighbour, Port, Qdisc
from cnitest.kernel.route_rows import SCOPES

_u32 = struct.Struct("=I")
_u16 = struct.Struct("=H")
_ifinfo = struct.Struct("=BxHiII")
_ifaddr = struct.Struct("=BBBBi")
_ndmsg = struct.Struct("=BxxxiHBB")
_tcmsg = struct.Struct("=BxxxiIII")

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
_PORT_STATES = ("disabled", "listening", "learning", "forwarding", "blocking")
_MACVLAN_MODES = {1: "private", 2: "vepa", 4: "bridge", 8: "passthru", 16: "source"}
_IPVLAN_MODES = {0: "l2", 1: "l3", 2: "l3s"}
_UP, _IS_LOOPBACK = 0x1, 0x8
# IFLA_…
_ADDRESS, _NAME, _MTU, _LINK, _MASTER, _TXQLEN, _LINKINFO, _ALIAS, _PROMISCUITY = 1, 3, 4, 5, 10, 13, 18, 20, 30
_CARRIER, _NETNSID = 33, 37
_OPERSTATE, _OPERATIONAL = 16, 6
_TENTATIVE, _DAD_FAILED, _SKIP_NEIGHBOURS = 0x40, 0x08, 64
_MAIN_HEADER = 16


def _text(data: bytes, start: int, end: int) -> str:
    return data[start:end].rstrip(b"\0").decode(errors="replace")


def _mac(data: bytes, start: int, end: int) -> str:
    return data[start:end].hex(":")


def _ip(data: bytes) -> str:
    if len(data) == 4:
        return socket.inet_ntoa(data)
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


class _RawLink:
    """The attributes of one RTM_NEWLINK row, before indexes have become names."""

    def __init__(self, row: bytes) -> None:
        _, _, self.ifindex, self.flags, _ = _ifinfo.unpack_from(row, _MAIN_HEADER)
        self.texts: dict[int, str] = {}
        self.numbers: dict[int, int] = {}
        self.kind: tuple[str, tuple[tuple[str, int | str], ...]] = ("", ())
        self.port: tuple[str, bool, bool] | None = None
        for number, start, end in attributes(row, _MAIN_HEADER + 16, len(row)):
            if number in (_NAME, _ALIAS):
                self.texts[number] = _text(row, start, end)
            elif number == _ADDRESS:
                self.texts[number] = _mac(row, start, end)
            elif number in (_MTU, _LINK, _MASTER, _TXQLEN, _PROMISCUITY, _NETNSID):
                self.numbers[number] = _number(row, start)
            elif number in (_CARRIER, _OPERSTATE):
                self.numbers[number] = row[start]
            elif number == _LINKINFO:
                self.kind, self.port = _kind_detail(row, start, end), _port(row, start, end)


class LinkTable:
    """The links of one namespace, and the names of their indexes for the other tables.

    ``operational`` are the names of those that send: the kernel gives a link its queue when it makes its state "up"
    (RFC 2863), which is after its carrier, and drops what is sent between the two.
    """

    def __init__(self, rows: Iterable[bytes]) -> None:
        raw = [_RawLink(row) for row in rows]
        self.names = {link.ifindex: link.texts.get(_NAME, "") for link in raw}
        self.links = tuple(self._link(link) for link in raw)
        self.operational = {self.names[link.ifindex] for link in raw if link.numbers.get(_OPERSTATE) == _OPERATIONAL}
        self.ports = tuple(
            Port(self.names[link.ifindex], self.name(link.numbers[_MASTER]), *link.port)
            for link in raw
            if link.port and _MASTER in link.numbers
        )

    def name(self, index: int) -> str:
        """The name of a link, or ``@index`` when it is not of this namespace."""
        return self.names.get(index) or (f"@{index}" if index else "")

    def _link(self, raw: _RawLink) -> Link:
        text, number = raw.texts.get, raw.numbers.get
        kind, detail = raw.kind
        parent = number(_LINK, 0)
        return Link(
            name=text(_NAME, ""),
            ifindex=raw.ifindex,
            kind=kind or ("loopback" if raw.flags & _IS_LOOPBACK else ""),
            mac=text(_ADDRESS, ""),
            mtu=number(_MTU, 0),
            up=bool(raw.flags & _UP),
            carrier=bool(number(_CARRIER)),
            master=self.name(number(_MASTER, 0)),
            parent=f"@{parent}" if _NETNSID in raw.numbers else self.name(parent),
            promiscuity=number(_PROMISCUITY, 0),
            txqlen=number(_TXQLEN, 0),
            alias=text(_ALIAS, ""),
            detail=detail,
        )


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
        tentative = bool(flags & _TENTATIVE and not flags & _DAD_FAILED)
        text = f"{_ip(local or address)}/{length}"
        scope_name = SCOPES.get(scope, str(scope))
        found.append(Address(link, text, scope_name, "" if label == link else label, tentative))
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
        kind, has_options = "", False
        for number, start, end in attributes(row, _MAIN_HEADER + 20, len(row)):
            if number == 1:
                kind = _text(row, start, end)
            elif number == 2:
                has_options = end > start
        options = exotic.qdisc_options(row) if has_options else ()
        found.append(Qdisc(links.name(index), kind, _handle(handle), _handle(parent), options))
    return tuple(found)
