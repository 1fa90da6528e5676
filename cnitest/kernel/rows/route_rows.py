"""Reads routes and next hop objects into rows.

Numbers: include/uapi/linux/{rtnetlink,nexthop,lwtunnel}.h. What is the same in each row of bytes is read
once: a host has the same few rules all its life.
"""

from __future__ import annotations

import functools
import socket
import struct
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from cnitest.kernel.rows.readers import (
    MAIN_HEADER,
    Fields,
    Pairs,
    address,
    attributes_of,
    big,
    bits,
    hexadecimal,
    integer,
    ip,
    number,
    pairs,
    plain_hex,
    text,
    u32,
)
from cnitest.kernel.rows.records import Nexthop, Route
from cnitest.kernel.rtnetlink.netlink import attributes

_rtmsg = struct.Struct("=BBBBBBBBI")
_nhmsg = struct.Struct("=BBBBI")
_signed = struct.Struct("=i")
_nexthop = struct.Struct("=HBBi")

SCOPES = {0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}
_ROUTE_KINDS = {
    1: "unicast",
    2: "local",
    3: "broadcast",
    4: "anycast",
    5: "multicast",
    6: "blackhole",
    7: "unreachable",
    8: "prohibit",
    9: "throw",
    10: "nat",
}
PROTOCOLS = {
    0: "",
    1: "redirect",
    2: "kernel",
    3: "boot",
    4: "static",
    8: "gated",
    9: "ra",
    10: "mrt",
    11: "zebra",
    12: "bird",
    13: "dnrouted",
    14: "xorp",
    15: "ntk",
    16: "dhcp",
    18: "keepalived",
    42: "babel",
    186: "bgp",
    187: "isis",
    188: "ospf",
    189: "rip",
    192: "eigrp",
}
_HOP_FLAGS = {2: "pervasive", 4: "onlink"}
# Of a route's or hop's flags what follows from its link.
_HOP_STATES = {1: "dead", 16: "linkdown"}
# RTM_F_CLONED (0x200), in the second byte of the flags, the header's last field.
_CLONED, _CLONED_AT = 2, MAIN_HEADER + _rtmsg.size - 3
_PREFERENCES = {0: "medium", 1: "high", 3: "low"}
_METRICS: Fields = {
    2: ("mtu", number),
    3: ("window", number),
    4: ("rtt", number),
    5: ("rttvar", number),
    6: ("ssthresh", number),
    7: ("cwnd", number),
    8: ("advmss", number),
    9: ("reordering", number),
    10: ("hoplimit", number),
    11: ("initcwnd", number),
    12: ("features", hexadecimal),
    13: ("rto_min", number),
    14: ("initrwnd", number),
    15: ("quickack", number),
    16: ("congctl", text),
    17: ("fastopen_no_cookie", number),
}
_LOCK, _MTU = 1, 2
_ENCAPSULATIONS = {
    1: "mpls",
    2: "ip",
    3: "ila",
    4: "ip6",
    5: "seg6",
    6: "bpf",
    7: "seg6local",
    8: "rpl",
    9: "ioam6",
    10: "xfrm",
}
_TUNNEL: Fields = {
    1: ("id", big),
    2: ("dst", address),
    3: ("src", address),
    4: ("ttl", number),
    5: ("tos", number),
    6: ("flags", hexadecimal),
    8: ("options", plain_hex),
}
_GROUP_TYPES = {0: "mpath", 1: "resilient"}
_RESILIENT: Fields = {1: ("buckets", number), 2: ("idle_timer", number), 3: ("unbalanced_timer", number)}
# RTA_…
_DST, _SRC, _IIF, _OIF, _GATEWAY, _PRIORITY, _PREFSRC, _METRICS_NEST, _MULTIPATH, _FLOW = 1, 2, 3, 4, 5, 6, 7, 8, 9, 11
_CACHEINFO, _TABLE, _VIA, _PREF, _ENCAP_TYPE, _ENCAP, _EXPIRES, _TTL, _NH_ID = 12, 15, 18, 20, 21, 22, 23, 26, 30
_PASSING = frozenset((0, _CACHEINFO, 24, 27))  # padding, use and age
_KNOWN = _PASSING | {_DST, _SRC, _IIF, _OIF, _GATEWAY, _PRIORITY, _PREFSRC, _METRICS_NEST, _MULTIPATH, _FLOW}
_KNOWN |= {_TABLE, _VIA, _PREF, _ENCAP_TYPE, _ENCAP, _EXPIRES, _TTL, _NH_ID}


def _family(value: int) -> int:
    return 4 if value in (socket.AF_INET, 128) else 6


def realms(found: Mapping[int, bytes], kind: int) -> str:
    """Realms as ``from/to``, or ``to`` alone."""
    value = integer(found, kind)
    source = f"{value >> 16}/" if value >> 16 else ""
    return f"{source}{value & 0xFFFF}" if value else ""


def _gateway(found: Mapping[int, bytes]) -> str:
    return ip(found[_VIA][2:]) if _VIA in found else ip(found[_GATEWAY]) if _GATEWAY in found else ""


def _encapsulation(found: Mapping[int, bytes]) -> str:
    """``ip id 5 dst 192.0.2.1``: how packets are wrapped, as far as its kind is known here."""
    if _ENCAP_TYPE not in found:
        return ""
    kind, data = integer(found, _ENCAP_TYPE), found.get(_ENCAP, b"")
    if kind in (2, 4):
        said = " ".join(f"{name} {value}" for name, value in pairs(data, 0, len(data), _TUNNEL))
    else:
        said = data.hex()
    return f"{_ENCAPSULATIONS.get(kind, kind)} {said}".rstrip()


class Metrics(NamedTuple):
    """What RTA_METRICS holds; ``lock`` names those that the path may not change."""

    mtu: int = 0
    lock: tuple[str, ...] = ()
    others: Pairs = ()


def _metrics(data: bytes) -> Metrics:
    found = {kind: (a, b) for kind, a, b in attributes(data, 0, len(data))}
    mtu = number(data, *found.pop(_MTU)) if _MTU in found else 0
    locks = number(data, *found.pop(_LOCK)) if _LOCK in found else 0
    names = {1 << kind: name for kind, (name, _) in _METRICS.items()}
    others = []
    for kind, (start, end) in sorted(found.items()):
        name, read = _METRICS.get(kind, (f"metric-{kind}", plain_hex))
        others.append((name, read(data, start, end)))
    return Metrics(mtu, bits(locks, names), tuple(others))


class _Hop(NamedTuple):
    """One next hop of several, before its index has become a name."""

    via: str
    ifindex: int
    weight: int
    rest: str

    def words(self, names: Mapping[int, str]) -> str:
        """As ip(8) says it: ``via 10.0.0.1 dev eth0 weight 1``."""
        via = f"via {self.via} " if self.via else ""
        return f"{via}dev {_name(names, self.ifindex)} weight {self.weight}{self.rest}"


def _hops(data: bytes) -> tuple[_Hop, ...]:
    """The next hops of RTA_MULTIPATH."""
    hops, start = [], 0
    while start + 8 <= len(data):
        length, flags, weight, index = _nexthop.unpack_from(data, start)
        if length < 8:
            break
        found = attributes_of(data, start + 8, start + length)
        realm, wrapped = realms(found, _FLOW), _encapsulation(found)
        rest = f" realm {realm}" * bool(realm) + f" encap {wrapped}" * bool(wrapped)
        rest += "".join(f" {flag}" for flag in bits(flags, _HOP_FLAGS))
        hops.append(_Hop(_gateway(found), index, weight + 1, rest))
        start += (length + 3) & ~3
    return tuple(hops)


class _RawRoute(NamedTuple):
    """A route before indexes have become names."""

    fields: dict[str, Any]
    oif: int
    iif: int
    hops: tuple[_Hop, ...]
    #: The rows made of it before, by the names of its links.
    known: dict[tuple[object, ...], Route]


@functools.lru_cache(maxsize=4096)
def _raw_route(row: bytes) -> _RawRoute:
    family, length, from_length, tos, table, protocol, scope, kind, flags = _rtmsg.unpack_from(row)
    found = attributes_of(row, _rtmsg.size, len(row))
    metrics = _metrics(found[_METRICS_NEST]) if _METRICS_NEST in found else Metrics()
    others = ((f"attribute-{n}", value.hex()) for n, value in sorted(found.items()) if n not in _KNOWN)
    propagation = (("ttl-propagate", integer(found, _TTL)),) if _TTL in found else ()
    fields = {
        "family": _family(family),
        "table": integer(found, _TABLE, table),
        "to": f"{ip(found[_DST])}/{length}" if _DST in found else "default",
        "via": _gateway(found),
        "source": ip(found.get(_PREFSRC, b"")),
        "kind": _ROUTE_KINDS.get(kind, str(kind)),
        "scope": SCOPES.get(scope, str(scope)),
        "protocol": PROTOCOLS.get(protocol, str(protocol)),
        "metric": integer(found, _PRIORITY),
        "mtu": metrics.mtu,
        "tos": tos,
        "lock": metrics.lock,
        "metrics": (*metrics.others, *propagation, *others),
        "flags": bits(flags, _HOP_FLAGS),
        "nhid": integer(found, _NH_ID),
        "encap": _encapsulation(found),
        "pref": _PREFERENCES.get(integer(found, _PREF), ""),
        "realm": realms(found, _FLOW),
        "origin": f"{ip(found[_SRC])}/{from_length}" if _SRC in found else "",
        "expires": _expires(found),
        "state": (*bits(flags, _HOP_STATES), *(["expired"] if _is_expired(found) else [])),
    }
    return _RawRoute(fields, integer(found, _OIF), integer(found, _IIF), _hops(found.get(_MULTIPATH, b"")), {})


def _expires(found: Mapping[int, bytes]) -> bool:
    information = found.get(_CACHEINFO, b"")
    return _EXPIRES in found or (len(information) >= 12 and u32(information, 8) != 0)


def _is_expired(found: Mapping[int, bytes]) -> bool:
    """Whether its time is over: the kernel does not use it, and forgets it by and by."""
    information = found.get(_CACHEINFO, b"")
    return len(information) >= 12 and _signed.unpack_from(information, 8)[0] < 0


def _name(names: Mapping[int, str], index: int) -> str:
    return names.get(index) or (f"@{index}" if index else "")


def of_tables(rows: Iterable[bytes]) -> list[bytes]:
    """RTM_NEWROUTE rows without what the kernel learned of paths, which is no table's: a smaller MTU, a redirect."""
    return [row for row in rows if not row[_CLONED_AT] & _CLONED]


def route(row: bytes, names: Mapping[int, str]) -> Route:
    """One RTM_NEWROUTE row; ``names`` are those of the links by their index."""
    raw = _raw_route(row[MAIN_HEADER:])
    hops = tuple(hop.words(names) for hop in raw.hops)
    key = (link, _, iif) = (_name(names, raw.oif), hops, _name(names, raw.iif))
    if key not in raw.known:
        raw.known[key] = Route(link=link, hops=hops, iif=iif, **raw.fields)
    return raw.known[key]


# NHA_…
_ID, _NH_GROUP, _GROUP_TYPE, _BLACKHOLE, _NH_OIF, _NH_GATEWAY, _NH_ENCAP_TYPE, _NH_ENCAP, _FDB, _RES = (
    1, 2, 3, 4, 5, 6, 7, 8, 11, 12,
)  # fmt: skip


def nexthops(rows: Iterable[bytes], names: Mapping[int, str]) -> tuple[Nexthop, ...]:
    """RTM_NEWNEXTHOP rows."""
    return tuple(_nexthop_row(row[MAIN_HEADER:], names) for row in rows)


def _nexthop_row(row: bytes, names: Mapping[int, str]) -> Nexthop:
    family, scope, protocol, _, flags = _nhmsg.unpack_from(row)
    found = attributes_of(row, _nhmsg.size, len(row))
    resilient = found.get(_RES, b"")
    return Nexthop(
        id=integer(found, _ID),
        family={socket.AF_INET: 4, socket.AF_INET6: 6}.get(family, 0),
        via=ip(found.get(_NH_GATEWAY, b"")),
        link=_name(names, integer(found, _NH_OIF)),
        group=_members(found.get(_NH_GROUP, b"")),
        kind=_GROUP_TYPES.get(integer(found, _GROUP_TYPE), "") if _NH_GROUP in found else "",
        scope=SCOPES.get(scope, str(scope)),
        protocol=PROTOCOLS.get(protocol, str(protocol)),
        flags=(*bits(flags, _HOP_FLAGS), *(["blackhole"] * (_BLACKHOLE in found)), *(["fdb"] * (_FDB in found))),
        encap=_encapsulation({_ENCAP_TYPE: found[_NH_ENCAP_TYPE], _ENCAP: found.get(_NH_ENCAP, b"")})
        if _NH_ENCAP_TYPE in found
        else "",
        resilient=pairs(resilient, 0, len(resilient), _RESILIENT, frozenset((4,))),
    )


def _members(data: bytes) -> tuple[str, ...]:
    """The members of a group as ``id`` or, with a weight, ``id,weight``."""
    rows = (struct.unpack_from("=IBBH", data, at) for at in range(0, len(data) - 7, 8))
    weighed = ((each, (high << 8 | low) + 1) for each, low, high, _ in rows)
    return tuple(f"{each},{weight}" if weight > 1 else str(each) for each, weight in weighed)
