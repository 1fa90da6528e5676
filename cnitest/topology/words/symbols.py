"""The names that ip(8) has for numbers: tables, protocols, scopes, types of service."""

from __future__ import annotations

import re
from collections.abc import Mapping

TABLES = {"default": 253, "main": 254, "local": 255}
PROTOCOLS = {
    "redirect": 1,
    "kernel": 2,
    "boot": 3,
    "static": 4,
    "gated": 8,
    "ra": 9,
    "mrt": 10,
    "zebra": 11,
    "bird": 12,
    "dhcp": 16,
    "mrouted": 17,
    "keepalived": 18,
    "babel": 42,
    "openr": 99,
    "bgp": 186,
    "isis": 187,
    "ospf": 188,
    "rip": 189,
    "eigrp": 192,
}
SCOPES = {"global": 0, "universe": 0, "site": 200, "link": 253, "host": 254, "nowhere": 255}
IP_PROTOCOLS = {
    "icmp": 1,
    "igmp": 2,
    "ipip": 4,
    "tcp": 6,
    "udp": 17,
    "dccp": 33,
    "gre": 47,
    "esp": 50,
    "ah": 51,
    "ipv6-icmp": 58,
    "icmpv6": 58,
    "ospf": 89,
    "sctp": 132,
    "udplite": 136,
}
SERVICES = {
    "default": 0,
    "mincost": 2,
    "reliability": 4,
    "throughput": 8,
    "lowdelay": 16,
    "EF": 0xB8,
    **{f"CS{number}": number << 5 for number in range(8)},
    **{f"AF{group}{drop}": group << 5 | drop << 3 for group in range(1, 5) for drop in range(1, 4)},
}
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]{1,16}|0|[1-9][0-9]{0,19}")


def number(value: int | str | None, names: Mapping[str, int] | None = None) -> int | str | None:
    """A number for a name or for digits (``0x`` is hexadecimal); what is neither stays as it is."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if names and text in names:
        return names[text]
    return int(text, 0 if text[:2] in ("0x", "0X") else 10) if _NUMBER.fullmatch(text) else value


def mark_of(value: int | str) -> tuple[int, int] | None:
    """Mark and mask of ``0x80/0x80`` or a bare mark (mask ffffffff); None for what is no mark."""
    mark, slash, mask = str(value).partition("/")
    found = number(mark), number(mask) if slash else 0xFFFFFFFF
    if all(isinstance(each, int) and 0 <= each <= 0xFFFFFFFF for each in found):
        return int(found[0] or 0), int(found[1] or 0)
    return None


def range_of(value: int | str, most: int) -> tuple[int, int] | None:
    """First and last of ``80-90``, or of one number; None for what is no range up to ``most``."""
    first, dash, last = str(value).partition("-")
    found = number(first), number(last if dash else first)
    if all(isinstance(each, int) for each in found) and 0 <= int(found[0] or 0) <= int(found[1] or 0) <= most:
        return int(found[0] or 0), int(found[1] or 0)
    return None


def metric_of(value: int | str) -> tuple[int, bool] | None:
    """The value of a metric such as ``1400``, and whether it is locked (``lock 1400``); None for what is neither."""
    text = str(value).strip()
    rest = text.removeprefix("lock ").strip()
    found = number(rest)
    return (found, rest != text) if isinstance(found, int) and found >= 0 else None


def gateway_of(value: str | None) -> str | None:
    """The address of a ``via``: ip(8) writes ``inet6 fe80::1`` where the gateway is of the other family."""
    return value.removeprefix("inet6 ").removeprefix("inet ").strip() if value else value
