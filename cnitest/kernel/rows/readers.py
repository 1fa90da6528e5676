"""Reads the values of netlink attributes: numbers, texts, addresses, and tables of names."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Mapping

from cnitest.kernel.rtnetlink.netlink import attributes

#: A value, out of the bytes from one offset to another.
Reader = Callable[[bytes, int, int], int | str]
#: What an attribute of each number is called and how it is read.
Fields = Mapping[int, tuple[str, Reader]]
#: Pairs of a name, as ip(8) has it, and a value.
Pairs = tuple[tuple[str, int | str], ...]

#: Where the family's own header begins in a message.
MAIN_HEADER = 16

_u32 = struct.Struct("=I")


def text(data: bytes, start: int, end: int) -> str:
    """A string that may end with zeros."""
    return data[start:end].rstrip(b"\0").decode(errors="replace")


def mac(data: bytes, start: int, end: int) -> str:
    """A hardware address as ``02:00:…``."""
    return data[start:end].hex(":")


def plain_hex(data: bytes, start: int, end: int) -> str:
    """Bytes that nobody here knows better."""
    return data[start:end].hex()


def ip(data: bytes) -> str:
    """An address of either family."""
    if len(data) == 4:
        return socket.inet_ntoa(data)
    return socket.inet_ntop(socket.AF_INET6, data) if len(data) == 16 else data.hex()


def address(data: bytes, start: int, end: int) -> str:
    """As `ip`, between two offsets."""
    return ip(data[start:end])


def u32(data: bytes, start: int) -> int:
    """Four bytes of this machine's order."""
    value: int = _u32.unpack_from(data, start)[0]
    return value


def number(data: bytes, start: int, end: int) -> int:
    """A number of one to eight bytes, of this machine's order."""
    return int.from_bytes(data[start:end], "little")


def big(data: bytes, start: int, end: int) -> int:
    """A number of one to eight bytes, of the network's order."""
    return int.from_bytes(data[start:end], "big")


def hexadecimal(data: bytes, start: int, end: int) -> str:
    """A number that is a set of bits."""
    return hex(number(data, start, end))


def named(names: Mapping[int, str]) -> Reader:
    """Reads a number that has a name; one without stays a number."""

    def read(data: bytes, start: int, end: int) -> int | str:
        value = number(data, start, end)
        return names.get(value, value)

    return read


def bits(value: int, names: Mapping[int, str]) -> tuple[str, ...]:
    """The names of the bits that are set."""
    return tuple(name for bit, name in names.items() if value & bit)


def pairs(data: bytes, start: int, end: int, fields: Fields, passing: frozenset[int] = frozenset()) -> Pairs:
    """The attributes of a nest by name, sorted; those without a name as ``attribute-7`` in hexadecimal, so that
    nothing is invisible. ``passing`` are the numbers that the kernel changes by itself."""
    found: list[tuple[str, int | str]] = []
    for kind, begin, stop in attributes(data, start, end):
        if kind in fields:
            name, read = fields[kind]
            found.append((name, read(data, begin, stop)))
        elif kind and kind not in passing:
            found.append((f"attribute-{kind}", plain_hex(data, begin, stop)))
    return tuple(sorted(found))


def attributes_of(row: bytes, start: int, end: int) -> dict[int, bytes]:
    """The attributes of a row of bytes by their kind."""
    return {kind: row[a:b] for kind, a, b in attributes(row, start, end)}


def integer(found: Mapping[int, bytes], kind: int, default: int = 0) -> int:
    """The whole number of one kind, or a default."""
    return int.from_bytes(found[kind], "little") if kind in found else default
