"""What a probe is sent with besides its destination: source, mark, type of service, hop limit."""

from __future__ import annotations

import ipaddress
import socket
import struct
from dataclasses import dataclass

from cnitest.errors import UsageError
from cnitest.typos import did_you_mean

_SO_MARK = 36
_IP_PKTINFO = 8
_DSCP = {
    **{f"CS{number}": number * 8 for number in range(8)},
    **{f"AF{a}{b}": a * 8 + b * 2 for a in range(1, 5) for b in range(1, 4)},
    "EF": 46,
    "VA": 44,
    "LE": 1,
}


@dataclass(frozen=True)
class Options:
    """How a probe is sent. ``mark`` is the fwmark of its packets in the sender's kernel, ``tos`` the whole byte of TOS
    (IPv4) or traffic class (IPv6), ``ttl`` the hop limit; zero or None is what the kernel does by itself."""

    source: str | None = None
    source_port: int = 0
    mark: int = 0
    tos: int = 0
    ttl: int | None = None

    def apply(self, client: socket.socket, *, six: bool) -> None:
        """Set all of it on a socket and bind it. Raises OSError."""
        if self.mark:
            client.setsockopt(socket.SOL_SOCKET, _SO_MARK, self.mark)
        if self.tos and six:
            client.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, self.tos)
        elif self.tos:
            client.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, self.tos)
        if self.ttl is not None and six:
            client.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, self.ttl)
        elif self.ttl is not None:
            client.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, self.ttl)
        if self.source or self.source_port:
            if self.source_port and client.type == socket.SOCK_STREAM:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            client.bind((self.source or ("::" if six else "0.0.0.0"), self.source_port))

    def ancillary(self, *, six: bool) -> list[tuple[int, int, bytes]]:
        """The same for one message of a socket that others use, too; not its port and hop limit."""
        found = []
        if self.source and six:
            packed = socket.inet_pton(socket.AF_INET6, self.source)
            found.append((socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, packed + bytes(4)))
        elif self.source:
            found.append((socket.IPPROTO_IP, _IP_PKTINFO, bytes(4) + socket.inet_aton(self.source) + bytes(4)))
        if self.mark:
            found.append((socket.SOL_SOCKET, _SO_MARK, struct.pack("=I", self.mark)))
        if self.tos:
            level, kind = (socket.IPPROTO_IPV6, socket.IPV6_TCLASS) if six else (socket.IPPROTO_IP, socket.IP_TOS)
            found.append((level, kind, struct.pack("=i", self.tos)))
        return found


def options(
    destination: str,
    *,
    source: str | None = None,
    source_port: int | None = None,
    mark: int | None = None,
    tos: int | str | None = None,
    ttl: int | None = None,
) -> Options:
    """The options of a probe to ``destination``; ``tos`` is a byte or the name of a DSCP class (``EF``, ``AF41``).

    Raises UsageError for what no packet can have.
    """
    return Options(
        _source(destination, source),
        _number("source_port", source_port, 0, 65535) or 0,
        _number("mark", mark, 0, (1 << 32) - 1) or 0,
        _tos(tos) or 0,
        _number("ttl", ttl, 1, 255),
    )


def _source(destination: str, source: str | None) -> str | None:
    if source is None:
        return None
    try:
        found = ipaddress.ip_address(source)
    except ValueError:
        raise UsageError(f"source {source!r} is not an IP address") from None
    wanted = 6 if ":" in destination else 4
    if found.version != wanted:
        raise UsageError(f"source {source!r} is an IPv{found.version} address, {destination} an IPv{wanted} one")
    return str(found)


def _number(name: str, value: int | None, least: int, most: int) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or not least <= value <= most:
        raise UsageError(f"{name} {value!r} is none that a packet can have: a number from {least} to {most}")
    return value


def _tos(tos: int | str | None) -> int | None:
    if not isinstance(tos, str):
        return _number("tos", tos, 0, 255)
    if tos.upper() not in _DSCP:
        known = f"a number from 0 to 255 or a DSCP class such as 'EF', 'AF41', 'CS6'{did_you_mean(tos, _DSCP)}"
        raise UsageError(f"tos {tos!r} is none that a packet can have: {known}")
    return _DSCP[tos.upper()] << 2
