"""Reads the IPsec policies and associations of a namespace, as ``ip xfrm`` shows them.

Numbers and layout: include/uapi/linux/xfrm.h.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from typing import NamedTuple

from cnitest.errors import KernelError
from cnitest.kernel.namespaces import NetworkNamespace
from cnitest.kernel.rows.readers import MAIN_HEADER, attributes_of, integer, ip
from cnitest.kernel.rtnetlink.netlink import Message, NetlinkSocket

_XFRM, _GET_STATE, _GET_POLICY = 6, 0x12, 0x15
_TEMPLATES, _MARK, _IF_ID = 5, 21, 31
_DIRECTIONS, _BLOCK = ("in", "out", "fwd"), 1
# Selector (destination, source, ports with masks, family, prefixes, protocol, link), lifetimes, priority, index,
# direction, action.
_policy = struct.Struct("=16s16s4HHBBB3xi4x96xIIBB6x")
_mark = struct.Struct("=II")
# A selector, destination, SPI, protocol, source, lifetimes and statistics, sequence, number of its request, family,
# mode.
_state = struct.Struct("=56x16s4sB3x16s108x4xIHB3x")
_PROTOCOLS = {50: "esp", 51: "ah", 108: "comp", 60: "route2", 43: "hao"}
_MODES = ("transport", "tunnel", "ro", "in_trigger", "beet", "iptfs")


class Policy(NamedTuple):
    """A policy: the packets that it is for, as networks, with protocol and ports (value, mask) where it names them (0:
    any) and the index of their link (0: any); ``direction`` in, out or fwd; whether it ``blocks`` them or wants them
    ``protected`` (it has templates). Of those that match, the one of the least ``priority`` decides. ``number`` is the
    kernel's own; with an ``if_id`` it is for packets of the xfrm link of that number alone."""

    source: str
    destination: str
    direction: str
    blocks: bool
    protected: bool
    priority: int
    number: int
    protocol: int = 0
    source_port: tuple[int, int] = (0, 0)
    destination_port: tuple[int, int] = (0, 0)
    link: int = 0
    mark: tuple[int, int] = (0, 0)
    if_id: int = 0

    @property
    def words(self) -> str:
        """What names it, as ip(8) writes it: ``src 10.0.0.0/24 dst 0.0.0.0/0 dir fwd``."""
        more = f" mark {self.mark[0]:#x} mask {self.mark[1]:#x}" if any(self.mark) else ""
        more += f" if_id {self.if_id:#x}" if self.if_id else ""
        if self.protocol or self.link:
            return f"index {self.number} dir {self.direction}{more}"
        return f"src {self.source} dst {self.destination} dir {self.direction}{more}"


class Association(NamedTuple):
    """A security association, ``ip xfrm state``; ``spi`` in hexadecimal, ``reqid`` what names it in policies."""

    source: str
    destination: str
    protocol: str
    spi: str
    reqid: int
    mode: str


def both(namespace: NetworkNamespace) -> tuple[tuple[Policy, ...], tuple[Association, ...]]:
    """All policies but those of single sockets, and all associations but those that the kernel has asked a daemon for;
    none where the kernel has no IPsec."""
    try:
        netlink = namespace.netlink_of(_XFRM)
        return _policies(netlink), _associations(netlink)
    except (KernelError, OSError):
        return (), ()


def policies(namespace: NetworkNamespace) -> tuple[Policy, ...]:
    """All policies but those of single sockets, the one that decides first. Raises KernelError where the kernel has no
    IPsec."""
    return _policies(namespace.netlink_of(_XFRM))


def _policies(netlink: NetlinkSocket) -> tuple[Policy, ...]:
    found = (_read(row) for row in netlink.dump(Message(_GET_POLICY, 0, b"", "IPsec policies")))
    return tuple(sorted((one for one in found if one), key=lambda one: one.priority))


def _associations(netlink: NetlinkSocket) -> tuple[Association, ...]:
    rows = netlink.dump(Message(_GET_STATE, 0, b"", "IPsec associations"))
    return tuple(sorted(found for row in rows if int((found := _association(row)).spi, 16)))


def _association(row: bytes) -> Association:
    destination, spi, protocol, source, reqid, family, mode = _state.unpack_from(row, MAIN_HEADER)
    size = 4 if family == socket.AF_INET else 16
    return Association(
        ip(source[:size]),
        ip(destination[:size]),
        _PROTOCOLS.get(protocol, str(protocol)),
        f"0x{spi.hex()}",
        reqid,
        _MODES[mode] if mode < len(_MODES) else str(mode),
    )


def _read(row: bytes) -> Policy | None:
    values = _policy.unpack_from(row, MAIN_HEADER)
    destination, source = values[:2]
    ports = [socket.ntohs(value) for value in values[2:6]]
    family, to_length, from_length, protocol, link, priority, number, direction, action = values[6:]
    if direction >= len(_DIRECTIONS):
        return None
    found = attributes_of(row, MAIN_HEADER + _policy.size, len(row))
    size = 4 if family == socket.AF_INET else 16
    return Policy(
        _network(source[:size], from_length),
        _network(destination[:size], to_length),
        _DIRECTIONS[direction],
        action == _BLOCK,
        _TEMPLATES in found,
        priority,
        number,
        protocol,
        (ports[2], ports[3]),
        (ports[0], ports[1]),
        link,
        _mark.unpack(found[_MARK]) if _MARK in found else (0, 0),
        integer(found, _IF_ID),
    )


def _network(address: bytes, length: int) -> str:
    return str(ipaddress.ip_network((ip(address), length), strict=False))
