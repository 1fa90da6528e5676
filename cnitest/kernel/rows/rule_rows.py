"""Reads policy rules into rows.

Numbers: include/uapi/linux/fib_rules.h. What is the same in each row of bytes is read once: a host has the same few
rules all its life.
"""

from __future__ import annotations

import functools
import socket
import struct
from collections.abc import Iterable, Mapping

from cnitest.kernel.rows.readers import (
    MAIN_HEADER,
    Fields,
    attributes_of,
    big,
    hexadecimal,
    integer,
    ip,
    number,
    plain_hex,
    text,
)
from cnitest.kernel.rows.records import Rule
from cnitest.kernel.rows.route_rows import PROTOCOLS, realms

_rtmsg = struct.Struct("=BBBBBBBBI")
_RULE_ACTIONS = {1: "lookup", 2: "goto", 3: "nop", 6: "blackhole", 7: "unreachable", 8: "prohibit"}
_IP_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 33: "dccp", 58: "ipv6-icmp", 132: "sctp"}


def _span(found: Mapping[int, bytes], kind: int, width: int) -> str:
    """``80`` or ``80-90``."""
    if kind not in found:
        return ""
    first, last = (int.from_bytes(found[kind][at : at + width], "little") for at in (0, width))
    return str(first) if first == last and width == 2 else f"{first}-{last}"


def _unless_all_ones(found: Mapping[int, bytes], kind: int) -> int | None:
    value = integer(found, kind, 0xFFFFFFFF)
    return None if value == 0xFFFFFFFF else value


# FRA_…
_TO, _FROM, _IIFNAME, _GOTO, _RULE_PRIORITY, _MARK, _REALMS, _TUN_ID = 1, 2, 3, 4, 6, 10, 11, 12
_IFGROUP, _PREFIXLENGTH, _RULE_TABLE, _MASK, _OIFNAME, _L3MDEV, _UIDS = 13, 14, 15, 16, 17, 19, 20
_RULE_PROTOCOL, _IPPROTO, _SPORT, _DPORT = 21, 22, 23, 24
_RULE_KNOWN = {0, 18, _TO, _FROM, _IIFNAME, _GOTO, _RULE_PRIORITY, _MARK, _REALMS, _TUN_ID, _IFGROUP, _PREFIXLENGTH}
_RULE_KNOWN |= {_RULE_TABLE, _MASK, _OIFNAME, _L3MDEV, _UIDS, _RULE_PROTOCOL, _IPPROTO, _SPORT, _DPORT}
# DSCP, flow label, and the masks of ports and DSCP: hexadecimal, of the network's order where ip(8) has them so.
_RULE_OTHERS: Fields = {
    25: ("dscp", number),
    26: ("flowlabel", plain_hex),
    27: ("flowlabel-mask", plain_hex),
    28: ("sport-mask", hexadecimal),
    29: ("dport-mask", hexadecimal),
    30: ("dscp-mask", hexadecimal),
}
# Masks that leave nothing out.
_WHOLE = {28: b"\xff\xff", 29: b"\xff\xff", 30: b"\x3f"}
_INVERT = 2
_FAMILIES = (socket.AF_INET, socket.AF_INET6)


@functools.lru_cache(maxsize=1024)
def _rule(row: bytes) -> Rule:
    family, to_length, from_length, tos, table, _, _, action, flags = _rtmsg.unpack_from(row)
    found = attributes_of(row, _rtmsg.size, len(row))
    protocol, ip_protocol = integer(found, _RULE_PROTOCOL), integer(found, _IPPROTO)
    others = []
    for kind, value in sorted(found.items()):
        if kind not in _RULE_KNOWN and value != _WHOLE.get(kind):
            name, read = _RULE_OTHERS.get(kind, (f"attribute-{kind}", plain_hex))
            others.append((name, read(value, 0, len(value))))
    return Rule(
        family=4 if family == socket.AF_INET else 6,
        priority=integer(found, _RULE_PRIORITY),
        source=f"{ip(found[_FROM])}/{from_length}" if _FROM in found else "",
        to=f"{ip(found[_TO])}/{to_length}" if _TO in found else "",
        table=integer(found, _RULE_TABLE, table),
        mark=integer(found, _MARK),
        iif=text(found.get(_IIFNAME, b""), 0, 16),
        oif=text(found.get(_OIFNAME, b""), 0, 16),
        action=_RULE_ACTIONS.get(action, str(action)),
        mask=integer(found, _MASK),
        inverted=bool(flags & _INVERT),
        tos=tos,
        l3mdev=bool(integer(found, _L3MDEV)),
        uidrange=_span(found, _UIDS, 4),
        ipproto=_IP_PROTOCOLS.get(ip_protocol, str(ip_protocol)) if ip_protocol else "",
        sport=_span(found, _SPORT, 2),
        dport=_span(found, _DPORT, 2),
        tun_id=big(found[_TUN_ID], 0, 8) if _TUN_ID in found else 0,
        suppress_prefixlength=_unless_all_ones(found, _PREFIXLENGTH),
        suppress_ifgroup=_unless_all_ones(found, _IFGROUP),
        realms=realms(found, _REALMS),
        goto=integer(found, _GOTO),
        protocol=PROTOCOLS.get(protocol, str(protocol)),
        others=tuple(others),
    )


def rules(rows: Iterable[bytes]) -> tuple[Rule, ...]:
    """RTM_NEWRULE rows, but for the rules of multicast routing, which the kernel hands out among them."""
    return tuple(_rule(row[MAIN_HEADER:]) for row in rows if row[MAIN_HEADER] in _FAMILIES)
