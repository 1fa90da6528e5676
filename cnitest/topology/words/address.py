"""IP prefixes and MACs as plain numbers: strict to read, quick to compare."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import NamedTuple

_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
_SHORTENED = re.compile(r"\d{1,3}(\.\d{1,3}){0,2}")
_BITS = {4: 32, 6: 128}


class Prefix(NamedTuple):
    """An address with its prefix length: ``value`` holds all the bits, those of the host included."""

    family: int
    value: int
    length: int

    @property
    def bits(self) -> int:
        """How long an address of this family is: 32 or 128."""
        return _BITS[self.family]

    @property
    def network(self) -> Prefix:
        """The same prefix with the host's bits cleared."""
        spare = self.bits - self.length
        return Prefix(self.family, self.value >> spare << spare, self.length)

    @property
    def address(self) -> str:
        """The address alone, as text."""
        raw = self.value.to_bytes(self.bits // 8, "big")
        return inet_ntop(AF_INET if self.family == 4 else AF_INET6, raw)

    @property
    def is_single(self) -> bool:
        """Whether it covers one address only (/32, /128)."""
        return self.length == self.bits

    @property
    def is_link_local(self) -> bool:
        """Whether it lies in fe80::/10."""
        return self.family == 6 and self.value >> 118 == 0x3FA

    @property
    def is_multicast(self) -> bool:
        """Whether it lies in 224.0.0.0/4 or ff00::/8."""
        return self.value >> 28 == 0xE if self.family == 4 else self.value >> 120 == 0xFF

    def covers(self, other: Prefix) -> bool:
        """Whether every address of ``other`` is one of this prefix."""
        spare = self.bits - self.length
        return (
            self.family == other.family and self.length <= other.length and self.value >> spare == other.value >> spare
        )

    def __str__(self) -> str:
        return f"{self.address}/{self.length}"


@lru_cache(4096)
def ip(text: str) -> Prefix | None:
    """A bare address as a /32 or /128; None when it is not one."""
    family, kind = (6, AF_INET6) if ":" in text else (4, AF_INET)
    try:
        return Prefix(family, int.from_bytes(inet_pton(kind, text), "big"), _BITS[family])
    except (OSError, ValueError):
        return None


@lru_cache(4096)
def prefix(text: str) -> Prefix | None:
    """``address/length``; None when it is not one."""
    address, slash, length = text.partition("/")
    found = ip(address) if slash and length.isascii() and length.isdigit() and len(length) <= 3 else None
    return found._replace(length=int(length)) if found and int(length) <= found.bits else None


def whole(text: str) -> str:
    """A prefix as it is; an address alone is the prefix of it alone (``/32``, ``/128``), as ip(8) has it."""
    host = ip(text)
    return f"{text}/{host.bits}" if host else text


def suggest_prefix(text: str, *, host: bool) -> str:
    """``. Did you mean '10.40.80.1/24'?`` where ``text`` can be corrected, else nothing.

    With ``host`` an address in a subnet of the usual length is meant, otherwise a network.
    """
    for repaired in _repairs(text.strip(), host):
        if (found := prefix(repaired)) and repaired != text:
            return f". Did you mean '{found if host else found.network}'?"
    return ""


def _repairs(text: str, host: bool) -> Iterator[str]:
    address, _, rest = text.partition("/")
    address = repaired_address(address)
    if rest and not host and _SHORTENED.fullmatch(address):  # 10/8, as ip(8) prints and takes it
        address += ".0" * (3 - address.count("."))
    found = ip(address)
    usual = (64 if found.family == 6 else 24) if found and host else found.bits if found else 0
    if mask := ip(rest):
        yield f"{address}/{bin(mask.value).count('1')}"
    yield f"{address}/{rest.strip()}"
    yield f"{address}/{usual}"


def repaired_address(text: str) -> str:
    """An address without blanks and brackets around it, a link's zone, commas for points, and zeros in front of
    numbers."""
    address = text.strip(" \t[]").partition("%")[0].replace(",", ".")
    return re.sub(r"(?<![\da-fA-F:])0+(?=\d)", "", address) if ":" not in address else address


def expected_prefix(text: str) -> str:
    """``an address with prefix (0-32)``, or ``(0-128)`` for what looks like IPv6."""
    return f"an address with prefix (0-{128 if ':' in text else 32})"


def mac_fault(text: str, *, groups: bool = False) -> str | None:
    """Why ``text`` cannot be a link's MAC (or one of ``groups``, where those may be), or None when it can."""
    if not _MAC.fullmatch(text):
        return f"{text!r} is not a MAC (six bytes such as '02:00:00:00:00:01'){_suggest_mac(text)}"
    if not int(text.replace(":", ""), 16):
        return f"{text!r} is the zero MAC; the kernel refuses it"
    if not groups and int(text[:2], 16) & 1:
        unicast = f"{int(text[:2], 16) & 0xFE | 2:02x}{text[2:]}"
        return f"{text!r} is a multicast MAC; a link needs a unicast one. Did you mean {unicast!r}?"
    return None


def _suggest_mac(text: str) -> str:
    digits = re.sub(r"[-:. ]", "", text)
    readings: tuple[Callable[[], str], ...] = (
        lambda: ":".join(digits[at : at + 2] for at in range(0, len(digits), 2)),
        lambda: ":".join(part.zfill(2) for part in re.split(r"[-:]", text)),
    )
    found = next((mac for read in readings if _MAC.fullmatch(mac := read())), None)
    return f". Did you mean {found.lower()!r}?" if found else ""
