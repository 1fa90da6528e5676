"""Reads netlink messages that a plugin is about to send: what they change, in words; nothing for mere questions."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_ROUTE, _SOCK_DIAG, _NETFILTER, _GENERIC = 0, 4, 12, 16
_HEADER = struct.Struct("=IHHII")
_FAMILIES: Mapping[int, str] = {6: "XFRM", 9: "AUDIT", 12: "NETFILTER", 16: "GENERIC"}
_ROUTE_COMMANDS = ("NEW", "DEL", "GET", "SET")
_ROUTE_OBJECTS: Mapping[int, str] = {
    16: "LINK", 20: "ADDR", 24: "ROUTE", 28: "NEIGH", 32: "RULE", 36: "QDISC", 40: "TCLASS", 44: "TFILTER",
    48: "ACTION", 52: "PREFIX", 64: "NEIGHTBL", 72: "ADDRLABEL", 80: "NETCONF", 84: "MDB", 88: "NSID",
}  # fmt: skip
_NFT = 10
_NFT_MESSAGES = (
    "NEWTABLE", "GETTABLE", "DELTABLE", "NEWCHAIN", "GETCHAIN", "DELCHAIN", "NEWRULE", "GETRULE", "DELRULE", "NEWSET",
    "GETSET", "DELSET", "NEWSETELEM", "GETSETELEM", "DELSETELEM", "NEWGEN", "GETGEN", "TRACE", "NEWOBJ", "GETOBJ",
    "DELOBJ", "GETOBJ_RESET", "NEWFLOWTABLE", "GETFLOWTABLE", "DELFLOWTABLE", "GETRULE_RESET", "DESTROYTABLE",
    "DESTROYCHAIN", "DESTROYRULE", "DESTROYSET", "DESTROYSETELEM", "DESTROYOBJ", "DESTROYFLOWTABLE",
)  # fmt: skip
_CONNTRACK_MESSAGES = ("CT_NEW", "CT_GET", "CT_DELETE", "CT_GET_CTRZERO")
_SUBSYSTEMS: Mapping[int, str] = {1: "CTNETLINK", 2: "CTNETLINK_EXP", 6: "IPSET", 11: "NFT_COMPAT"}
_IPSET_QUESTIONS = (1, 6, 7, 8, 11, 12, 13, 14, 15)
_CONTROL, _CONTROL_GET = 16, (3, 10)
_DUMP = 0x300
_LINK_KIND, _LINK_INFO, _LINK_MASTER, _LINK_NAMESPACES, _LINK_ADDRESS, _LINK_NAME = 1, 18, 10, (19, 28), 1, 3
_LINK_PORT = 12
_UP = 1
_MOST_NAMES = 8


class MessageWords(NamedTuple):
    """One message: its name (``RTM_NEWLINK``) and what else there is to say of it."""

    name: str
    about: str


class _Raw(NamedTuple):
    kind: int
    flags: int
    body: bytes


def changes(protocol: int, data: bytes) -> list[MessageWords]:
    """The messages of one send that change something, in order; empty when it only asks."""
    if protocol == _SOCK_DIAG:
        return []
    return [message for raw in _messages(data) if (message := _message(protocol, raw))]


def words(messages: list[MessageWords]) -> tuple[str, str]:
    """The messages of one send in words: all their names, and the details of the first that has any."""
    names = [message.name for message in messages]
    shown = [names[0], *(name.removeprefix("NFT_MSG_") for name in names[1:_MOST_NAMES])]
    more = f"+{len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return "+".join(shown) + more, next((message.about for message in messages if message.about), "")


def _messages(data: bytes) -> Iterator[_Raw]:
    while len(data) >= _HEADER.size:
        length, kind, flags, _, _ = _HEADER.unpack_from(data)
        if length < _HEADER.size:
            return
        yield _Raw(kind, flags, data[_HEADER.size : length])
        data = data[(length + 3) & ~3 :]


def _message(protocol: int, raw: _Raw) -> MessageWords | None:
    if raw.kind < 16:  # NLMSG_NOOP and others of every family, and the marks around a batch
        return None
    if protocol == _ROUTE:
        return _of_route(raw)
    if protocol == _NETFILTER:
        return _of_netfilter(raw)
    if protocol == _GENERIC:
        return _of_generic(raw)
    return MessageWords(f"{_FAMILIES.get(protocol, f'protocol {protocol}')} {raw.kind}", "")


def _of_route(raw: _Raw) -> MessageWords | None:
    command, base = _ROUTE_COMMANDS[raw.kind & 3], raw.kind & ~3
    if command == "GET":
        return None
    name = f"RTM_{command}{_ROUTE_OBJECTS.get(base, str(raw.kind))}"
    reader = {16: _link, 20: _address, 24: _route}.get(base)
    return MessageWords(name, reader(raw) if reader else "")


def _of_netfilter(raw: _Raw) -> MessageWords | None:
    subsystem, number = raw.kind >> 8, raw.kind & 0xFF
    if subsystem == 0:
        return None
    if subsystem == _NFT:
        known = _NFT_MESSAGES[number] if number < len(_NFT_MESSAGES) else str(number)
        return None if known.startswith("GET") else MessageWords(f"NFT_MSG_{known}", "")
    if subsystem == 1:
        known = _CONNTRACK_MESSAGES[number] if number < len(_CONNTRACK_MESSAGES) else "CT_GET_STATS"
        return None if "GET" in known else MessageWords(f"IPCTNL_MSG_{known}", "")
    if subsystem == 11 or (subsystem == 6 and number in _IPSET_QUESTIONS):
        return None
    return MessageWords(f"{_SUBSYSTEMS.get(subsystem, f'NFNL_SUBSYS_{subsystem}')} {number}", "")


def _of_generic(raw: _Raw) -> MessageWords | None:
    asks = raw.kind == _CONTROL and raw.body[:1] and raw.body[0] in _CONTROL_GET
    return None if asks or raw.flags & _DUMP == _DUMP else MessageWords(f"GENERIC {raw.kind}", "")


def _attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4:
            break
        found.setdefault(kind & 0x3FFF, data[4:length])
        data = data[(length + 3) & ~3 :]
    return found


def _link(raw: _Raw) -> str:
    """What is done to a link: made as a kind, enslaved, moved, set up or down."""
    if len(raw.body) < 16:
        return ""
    flags, mask = struct.unpack_from("=II", raw.body, 8)
    found = _attributes(raw.body[16:])
    parts = [_text(_attributes(found[_LINK_INFO]).get(_LINK_KIND, b""))] if _LINK_INFO in found else []
    parts += ["master"] if _LINK_MASTER in found else []
    parts += ["port"] if _LINK_PORT in found and not parts else []
    parts += ["netns"] if any(key in found for key in _LINK_NAMESPACES) and not parts else []
    parts += ["mac"] if _LINK_ADDRESS in found and not parts else []
    parts += [f"name {_text(found[_LINK_NAME])}"] if _LINK_NAME in found and not parts else []
    parts += ["up" if flags & _UP else "down"] if mask & _UP and not parts else []
    return " ".join(filter(None, parts))


def _address(raw: _Raw) -> str:
    found = _attributes(raw.body[8:])
    return _ip(found.get(2) or found.get(1, b"")) + (f"/{raw.body[1]}" if len(raw.body) > 1 else "")


def _route(raw: _Raw) -> str:
    found = _attributes(raw.body[12:])
    if 1 not in found or len(raw.body) < 2:
        return "default"
    return f"{_ip(found[1])}/{raw.body[1]}"


def _ip(data: bytes) -> str:
    return str(ipaddress.ip_address(data)) if len(data) in (4, 16) else ""


def _text(data: bytes) -> str:
    return data.partition(b"\0")[0].decode(errors="replace")
