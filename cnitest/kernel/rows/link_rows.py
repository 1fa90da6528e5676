"""Reads links and bridge ports into rows.

Numbers: include/uapi/linux/if_link.h. The same bytes are read once: most links stay as they are.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from cnitest.kernel.rows.link_details import link_detail, port_detail
from cnitest.kernel.rows.readers import MAIN_HEADER, Pairs, address, bits, mac, number, text, u32
from cnitest.kernel.rows.records import Link, Port
from cnitest.kernel.rtnetlink.netlink import attributes

_ifinfo = struct.Struct("=BxHiII")
_int = struct.Struct("=i")
_UP, _IS_LOOPBACK = 0x1, 0x8
# What is set, or what a link is; what only shows its state (UP, RUNNING, LOWER_UP, …) is left to the other fields.
_FLAGS = {
    0x2: "BROADCAST",
    0x4: "DEBUG",
    0x10: "POINTOPOINT",
    0x20: "NOTRAILERS",
    0x80: "NOARP",
    0x100: "PROMISC",
    0x200: "ALLMULTI",
    0x1000: "MULTICAST",
    0x2000: "PORTSEL",
    0x4000: "AUTOMEDIA",
    0x8000: "DYNAMIC",
}
_ADDRESS_MODES = {0: "eui64", 1: "none", 2: "stable_secret", 3: "random"}
_LINK_MODES = {0: "default", 1: "dormant"}
_XDP_MODES = {1: "driver", 2: "generic", 3: "offload", 4: "multi"}
# IFLA_…
_ADDRESS, _BROADCAST, _NAME, _MTU, _LINK, _MASTER, _TXQLEN = 1, 2, 3, 4, 5, 10, 13
_OPERSTATE, _LINKMODE, _LINKINFO, _ALIAS, _AF_SPEC, _GROUP, _PROMISCUITY = 16, 17, 18, 20, 26, 27, 30
_TX_QUEUES, _RX_QUEUES, _CARRIER, _NETNSID, _PROTO_DOWN, _GSO_SEGS, _GSO_SIZE, _XDP = 31, 32, 33, 37, 39, 40, 41, 43
_PROPERTIES, _GRO_SIZE, _ALLMULTI, _GSO4_SIZE, _GRO4_SIZE = 52, 58, 61, 63, 64
_OPERATIONAL = 6
_TEXTS = frozenset((_NAME, _ALIAS))
_MACS = frozenset((_ADDRESS, _BROADCAST))
_NUMBERS = frozenset((_MTU, _LINK, _MASTER, _TXQLEN, _GROUP, _PROMISCUITY, _TX_QUEUES, _RX_QUEUES, _NETNSID))
_NUMBERS |= {_GSO_SEGS, _GSO_SIZE, _GRO_SIZE, _ALLMULTI, _GSO4_SIZE, _GRO4_SIZE}
_BYTES = frozenset((_CARRIER, _OPERSTATE, _LINKMODE, _PROTO_DOWN))
_IPV4, _IPV6, _TOKEN, _GENERATION_MODE = 2, 10, 7, 8


class _Settings(NamedTuple):
    """Where the sysctls of a link stand in its row: the attribute of its family that is an array of all, and what is
    at which place. Places: include/uapi/linux/{ip,ipv6}.h."""

    attribute: int
    prefix: str
    names: Mapping[int, str]


_SETTINGS = {
    _IPV4: _Settings(
        1,  # IFLA_INET_CONF
        "net.ipv4.conf",
        {2: "proxy_arp", 7: "rp_filter", 18: "arp_ignore", 21: "arp_notify", 25: "route_localnet"},
    ),
    _IPV6: _Settings(
        2,  # IFLA_INET6_CONF
        "net.ipv6.conf",
        {3: "accept_ra", 26: "disable_ipv6", 27: "accept_dad", 42: "keep_addr_on_down"},
    ),
}


class _RawLink:
    """The attributes of one RTM_NEWLINK row, before indexes have become names."""

    def __init__(self, row: bytes) -> None:
        _, _, self.ifindex, self.flags, _ = _ifinfo.unpack_from(row)
        self.texts: dict[int, str] = {}
        self.numbers: dict[int, int] = {}
        self.altnames: tuple[str, ...] = ()
        self.kind: tuple[str, Pairs] = ("", ())
        self.port: tuple[str, bool, bool, Pairs] | None = None
        self.ipv6 = ("eui64", "")
        self.xdp = ""
        self.sysctls: dict[str, str] = {}
        #: The rows made of it before, by the names of the links that it stands on.
        self.known: dict[tuple[str, str], Link] = {}
        for kind, start, end in attributes(row, _ifinfo.size, len(row)):
            if kind in _TEXTS:
                self.texts[kind] = text(row, start, end)
            elif kind in _NUMBERS:
                self.numbers[kind] = u32(row, start)
            elif kind in _BYTES:
                self.numbers[kind] = row[start]
            elif kind in _MACS:
                self.texts[kind] = mac(row, start, end)
            else:
                self._nest(row, kind, start, end)

    def _nest(self, row: bytes, kind: int, start: int, end: int) -> None:
        if kind == _LINKINFO:
            self.kind, self.port = link_detail(row, start, end), port_detail(row, start, end)
        elif kind == _PROPERTIES:
            self.altnames = tuple(text(row, a, b) for _, a, b in attributes(row, start, end))
        elif kind == _AF_SPEC:
            self.ipv6 = _of_ipv6(row, start, end) or self.ipv6
            self.sysctls = dict(_sysctls(row, start, end, self.texts.get(_NAME, "")))
        elif kind == _XDP:
            self.xdp = _xdp(row, start, end)

    def link(self, master: str, parent: str) -> Link:
        """The row, with the names of the links that it stands on."""
        text_of, number_of = self.texts.get, self.numbers.get
        kind, detail = self.kind
        link_mode = number_of(_LINKMODE, 0)
        return Link(
            name=text_of(_NAME, ""),
            ifindex=self.ifindex,
            kind=kind or ("loopback" if self.flags & _IS_LOOPBACK else ""),
            mac=text_of(_ADDRESS, ""),
            mtu=number_of(_MTU, 0),
            up=bool(self.flags & _UP),
            carrier=bool(number_of(_CARRIER)),
            master=master,
            parent=parent,
            promiscuity=number_of(_PROMISCUITY, 0),
            txqlen=number_of(_TXQLEN, 0),
            alias=text_of(_ALIAS, ""),
            detail=detail,
            altnames=self.altnames,
            flags=bits(self.flags, _FLAGS),
            allmulti=number_of(_ALLMULTI, 0),
            group=number_of(_GROUP, 0),
            broadcast=text_of(_BROADCAST, ""),
            linkmode=_LINK_MODES.get(link_mode, str(link_mode)),
            protodown=bool(number_of(_PROTO_DOWN)),
            addrgenmode=self.ipv6[0],
            token=self.ipv6[1],
            numtxqueues=number_of(_TX_QUEUES, 1),
            numrxqueues=number_of(_RX_QUEUES, 1),
            gso_max_size=number_of(_GSO_SIZE, 65536),
            gso_max_segs=number_of(_GSO_SEGS, 65535),
            gro_max_size=number_of(_GRO_SIZE, 65536),
            gso_ipv4_max_size=number_of(_GSO4_SIZE, 65536),
            gro_ipv4_max_size=number_of(_GRO4_SIZE, 65536),
            xdp=self.xdp,
        )


def _of_ipv6(row: bytes, start: int, end: int) -> tuple[str, str] | None:
    """How IPv6 makes addresses of a link (IFLA_INET6_ADDR_GEN_MODE), and the token that it makes them of."""
    for family, a, b in attributes(row, start, end):
        if family == _IPV6:
            found = {kind: (at, stop) for kind, at, stop in attributes(row, a, b)}
            mode = number(row, *found[_GENERATION_MODE]) if _GENERATION_MODE in found else 0
            token = address(row, *found[_TOKEN]) if _TOKEN in found else "::"
            return _ADDRESS_MODES.get(mode, str(mode)), "" if token == "::" else token
    return None


def _sysctls(row: bytes, start: int, end: int, link: str) -> Iterator[tuple[str, str]]:
    """Those of a link's sysctls that plugins are known to change, by name."""
    for family, a, b in attributes(row, start, end):
        known = _SETTINGS.get(family)
        for kind, at, stop in attributes(row, a, b) if known else ():
            if known and kind == known.attribute:
                values = row[at:stop]
                yield from (
                    (f"{known.prefix}.{link}.{name}", str(_int.unpack_from(values, 4 * place)[0]))
                    for place, name in known.names.items()
                    if 4 * place < len(values)
                )


def _xdp(row: bytes, start: int, end: int) -> str:
    """How an XDP program is attached, and its number: ``generic 7``."""
    found = {kind: number(row, a, b) for kind, a, b in attributes(row, start, end)}
    mode = found.get(2, 0)
    return f"{_XDP_MODES.get(mode, mode)} {found.get(4, '')}".strip() if mode else ""


@functools.lru_cache(maxsize=2048)
def _raw_link(row: bytes) -> _RawLink:
    return _RawLink(row)


class LinkNames:
    """The names of the links of one namespace by index; ``rows`` are RTM_NEWLINK ones, of which no more is read."""

    def __init__(self, rows: Iterable[bytes]) -> None:
        self.names = dict(map(_name, rows))

    def name(self, index: int) -> str:
        """The name of a link, or ``@index`` when it is not of this namespace."""
        return self.names.get(index) or (f"@{index}" if index else "")


def _name(row: bytes) -> tuple[int, str]:
    _, _, ifindex, _, _ = _ifinfo.unpack_from(row, MAIN_HEADER)
    for kind, start, end in attributes(row, MAIN_HEADER + _ifinfo.size, len(row)):
        if kind == _NAME:
            return ifindex, text(row, start, end)
    return ifindex, ""


class LinkTable(LinkNames):
    """The links of one namespace, and the names of their indexes for the other tables.

    ``operational`` are the names of those that send: the kernel gives a link its queue when it makes its state "up"
    (RFC 2863), which is after its carrier, and drops what is sent between the two.
    """

    def __init__(self, rows: Iterable[bytes]) -> None:
        raw = [_raw_link(row[MAIN_HEADER:]) for row in rows]
        self.names = {link.ifindex: link.texts.get(_NAME, "") for link in raw}
        self.links = tuple(self._link(link) for link in raw)
        self._raw = raw
        self.operational = {self.names[link.ifindex] for link in raw if link.numbers.get(_OPERSTATE) == _OPERATIONAL}
        self.ports = tuple(
            Port(self.names[link.ifindex], self.name(link.numbers[_MASTER]), *link.port)
            for link in raw
            if link.port and _MASTER in link.numbers
        )

    @property
    def sysctls(self) -> dict[str, str]:
        """Those sysctls of the links that plugins are known to change; of IPv6 none where a link has none of it."""
        return {name: value for link in self._raw for name, value in link.sysctls.items()}

    def _link(self, raw: _RawLink) -> Link:
        index = raw.numbers.get(_LINK, 0)
        parent = f"@{index}" if _NETNSID in raw.numbers else self.name(index)
        key = (self.name(raw.numbers.get(_MASTER, 0)), parent)
        if key not in raw.known:
            raw.known[key] = raw.link(*key)
        return raw.known[key]
