"""Tables, chains and rules of nftables: what there is, and batches that make and remove ours.

Layout: include/uapi/linux/netfilter/nf_tables.h.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from cnitest.errors import KernelError
from cnitest.kernel.rtnetlink.netlink import ACK, CREATE, Message, NetlinkSocket, attribute, attributes

SUBSYSTEM = 10
(NEW_TABLE, GET_TABLE, DELETE_TABLE), (NEW_CHAIN, GET_CHAIN), (NEW_RULE, GET_RULE) = (0, 1, 2), (3, 4), (6, 7)
_BATCH_BEGIN, _BATCH_END, _GET_GENERATION = 16, 17, 16
_APPEND = 0x800
# Gone with the socket that made it.
_OWNED = 2
#: The name of the tables that mark packets for `nft_trace`; no state of a place shows them.
OWN = "cnitest_trace"
#: Netlink header and nfgenmsg: where the attributes of a message begin.
HEAD = 20

#: The families of tables by their numbers.
FAMILIES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}
_NUMBERS = {name: number for number, name in FAMILIES.items()}
_HOOKS = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING", "ingress")
_NETDEV_HOOKS = ("ingress", "egress")
_ARP_HOOKS = ("INPUT", "OUTPUT", "FORWARD")
_POLICIES = ("drop", "accept")


class ChainRow(NamedTuple):
    """A chain. Of a base chain ``hook`` is where it is hooked in (``FORWARD``, ``ingress``), with its priority and
    policy; ``hook`` is empty of any other."""

    family: str
    table: str
    name: str
    hook: str = ""
    priority: int = 0
    policy: str = ""
    kind: str = ""


class RuleRow(NamedTuple):
    """A rule by its handle; ``number`` is its place in its chain, from 1."""

    family: str
    table: str
    chain: str
    handle: int
    number: int


def generation(netfilter: NetlinkSocket) -> int:
    """How often the rules have been changed. Raises KernelError."""
    rows = netfilter.request(Message(SUBSYSTEM << 8 | _GET_GENERATION, 0, bytes(4), "nft generation"))
    return number(values_of(rows[0]), 1)


def families(netfilter: NetlinkSocket, name: str = "") -> frozenset[str]:
    """The families that have any table, or one of a name; none where the kernel has no nftables."""
    try:
        rows = netfilter.dump(Message(SUBSYSTEM << 8 | GET_TABLE, 0, bytes(4), "nft tables"))
    except KernelError:
        return frozenset()
    return frozenset(FAMILIES.get(row[16], "") for row in rows if not name or text(values_of(row), 1) == name)


def chains(netfilter: NetlinkSocket) -> tuple[ChainRow, ...]:
    """All chains. Raises KernelError."""
    rows = netfilter.dump(Message(SUBSYSTEM << 8 | GET_CHAIN, 0, bytes(4), "nft chains"))
    return tuple(_chain(row) for row in rows)


def rules(netfilter: NetlinkSocket) -> tuple[RuleRow, ...]:
    """All rules, each chain's in their order. Raises KernelError."""
    found: list[RuleRow] = []
    numbers: dict[tuple[str, str, str], int] = {}
    for row in netfilter.dump(Message(SUBSYSTEM << 8 | GET_RULE, 0, bytes(4), "nft rules")):
        values = values_of(row)
        where = (FAMILIES.get(row[16], ""), text(values, 1), text(values, 2))
        numbers[where] = numbers.get(where, 0) + 1
        found.append(RuleRow(*where, number(values, 3), numbers[where]))
    return tuple(found)


def values_of(row: bytes) -> dict[int, bytes]:
    """The attributes of a message by type."""
    return {kind: row[start:end] for kind, start, end in attributes(row, HEAD, len(row))}


def text(values: dict[int, bytes], kind: int) -> str:
    """An attribute that is a string; empty where there is none."""
    return values.get(kind, b"").rstrip(b"\0").decode(errors="replace")


def number(values: dict[int, bytes], kind: int) -> int:
    """An attribute that is a number in network order; 0 where there is none."""
    return int.from_bytes(values.get(kind, b""), "big")


def nested(values: dict[int, bytes], kind: int) -> dict[int, bytes]:
    """The attributes inside of one."""
    inner = values.get(kind, b"")
    return {each: inner[start:end] for each, start, end in attributes(inner, 0, len(inner))}


def _hooks(family: str) -> tuple[str, ...]:
    """The names of a family's hooks, in the order of their numbers."""
    return {"netdev": _NETDEV_HOOKS, "arp": _ARP_HOOKS}.get(family, _HOOKS)


def _chain(row: bytes) -> ChainRow:
    values, family = values_of(row), FAMILIES.get(row[16], "")
    bare = ChainRow(family, text(values, 1), text(values, 3))
    if 4 not in values:
        return bare
    hook = nested(values, 4)
    names = _hooks(family)
    place = number(hook, 1)
    return bare._replace(
        hook=names[place] if place < len(names) else str(place),
        priority=struct.unpack("!i", hook[2])[0],
        policy=_POLICIES[number(values, 5)] if 5 in values else "",
        kind=text(values, 7),
    )


def transact(netfilter: NetlinkSocket, messages: Sequence[Message]) -> None:
    """Have the kernel take all messages or none. Raises KernelError with its first refusal."""
    edge = struct.pack("!BBH", 0, 0, SUBSYSTEM)
    netfilter.enclosed(Message(_BATCH_BEGIN, 0, edge, "nft"), [*messages], Message(_BATCH_END, 0, edge, "nft"))


def new_table(family: str, name: str) -> Message:
    """Make a table that is gone with the socket that asks for it."""
    body = attribute(1, _string(name)) + attribute(2, _number(_OWNED))
    return _message(NEW_TABLE, CREATE | ACK, family, body, f"table {family} {name}")


def delete_table(family: str, name: str) -> Message:
    """Remove a table and what is in it."""
    return _message(DELETE_TABLE, ACK, family, attribute(1, _string(name)), f"table {family} {name}")


def new_chain(family: str, table: str, name: str, hook: str, priority: int, links: Sequence[str] = ()) -> Message:
    """Make a base chain that accepts; at the hooks ``ingress`` and ``egress`` of some links."""
    place = attribute(1, _number(_hooks(family).index(hook))) + attribute(2, struct.pack("!i", priority))
    if links:
        place += attribute(4, b"".join(attribute(1, _string(link)) for link in links))
    body = attribute(1, _string(table)) + attribute(3, _string(name)) + attribute(4, place)
    body += attribute(7, _string("filter"))
    return _message(NEW_CHAIN, CREATE | ACK, family, body, f"chain {family} {table} {name}")


def new_rule(family: str, table: str, chain: str, expressions: Sequence[bytes]) -> Message:
    """Append a rule of expressions (see `expression`) to a chain."""
    body = attribute(1, _string(table)) + attribute(2, _string(chain)) + attribute(4, b"".join(expressions))
    return _message(NEW_RULE, CREATE | _APPEND | ACK, family, body, f"rule of {family} {table} {chain}")


def expression(name: str, *parts: tuple[int, bytes | int]) -> bytes:
    """One expression of a rule; parts that are numbers go in network order."""
    data = b"".join(attribute(kind, _number(part) if isinstance(part, int) else part) for kind, part in parts)
    return attribute(1, attribute(1, _string(name)) + attribute(2, data))


def data(value: bytes) -> bytes:
    """A constant, as expressions have it."""
    return attribute(1, value)


def _message(kind: int, flags: int, family: str, body: bytes, what: str) -> Message:
    return Message(SUBSYSTEM << 8 | kind, flags, struct.pack("!BBH", _NUMBERS[family], 0, 0) + body, what)


def _string(value: str) -> bytes:
    return value.encode() + b"\0"


def _number(value: int) -> bytes:
    return struct.pack("!I", value)
