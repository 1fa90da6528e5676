"""Packs and reads the headers that probes need, as bytes: RFC 826, 791, 792, 768, 793, 4443, 4861."""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from functools import partial
from typing import NamedTuple

ETH_ARP, ETH_IPV4, ETH_IPV6, ETH_VLAN, ETH_EXPERIMENT = 0x0806, 0x0800, 0x86DD, 0x8100, 0x88B5
ICMP, TCP, UDP, ICMPV6, SCTP = 1, 6, 17, 58, 132
#: The protocols for which a kernel says which route a packet takes.
ROUTED = (ICMP, TCP, UDP, ICMPV6)
# Errors that end a packet's way; a redirect or a quench does not.
_ERRORS = {3: "destination unreachable", 11: "time exceeded", 12: "parameter problem"}
_ERRORS6 = {1: "destination unreachable", 2: "packet too big", 3: "time exceeded", 4: "parameter problem"}
_UNREACHABLE = {
    0: "network unreachable",
    1: "host unreachable",
    2: "protocol unreachable",
    3: "port unreachable",
    4: "fragmentation needed",
    9: "network prohibited",
    10: "host prohibited",
    13: "prohibited",
}
_UNREACHABLE6 = {0: "no route", 1: "prohibited", 3: "address unreachable", 4: "port unreachable", 5: "policy failed"}
#: What a router says of a packet that its next link is too small for; the next one will be sent in parts.
TOO_BIG = (_UNREACHABLE[4], _ERRORS6[2])
#: What a kernel says, its own programs included, when nobody answers for the next hop's MAC.
NO_NEIGHBOUR = (_UNREACHABLE[1], _UNREACHABLE6[3])
ERROR_KINDS, ERROR_KINDS6 = tuple(_ERRORS), tuple(_ERRORS6)
BROADCAST = b"\xff" * 6
SYN, RST, ACK = 0x02, 0x04, 0x10
ECHO_REQUESTS, ECHO_REPLIES = {ICMP: 8, ICMPV6: 128}, ((ICMP, 0), (ICMPV6, 129))
_ECHOES = (*ECHO_REQUESTS.items(), *ECHO_REPLIES)
_TOKEN = b":cnitest"
#: So many bytes of a token no other probe has; what is cut short shows at least these.
DISTINCT = 8


class Headers(NamedTuple):
    """What a frame says in its headers; zero or empty where it has no such header.

    ``kind`` is the ICMP type or the ARP operation, ``echo`` the identifier of an echo, ``hops`` the hop limit (TTL),
    ``number`` the identification of an IPv4 packet or of a fragment, ``offset`` where in its packet a later fragment
    begins, in bytes; ``flags`` and ``options`` are TCP's, ``sequence`` is its number or SCTP's verification tag,
    ``payload`` what follows the last header that is known.
    """

    ethertype: int = 0
    source: str = ""
    destination: str = ""
    protocol: int = 0
    kind: int = 0
    source_port: int = 0
    destination_port: int = 0
    sequence: int = 0
    acknowledged: int = 0
    mac: str = ""
    payload: bytes = b""
    hops: int = 0
    number: int = 0
    flags: int = 0
    options: bytes = b""
    offset: int = 0
    echo: int = 0

    @property
    def flow(self) -> Direction:
        """Who sends to whom, and from which port to which."""
        return Direction(self.protocol, self.source, self.source_port, self.destination, self.destination_port)

    @property
    def travels(self) -> tuple[object, ...]:
        """What a router or a NAT leaves of the packet as it was: not its addresses, ports, hop limit or checksums."""
        ends = () if self.protocol else (self.source, self.destination)
        return self.protocol, self.kind, self.flags, self.sequence, self.acknowledged, self.payload, ends


class Direction(NamedTuple):
    """One direction of a conversation."""

    protocol: int
    source: str
    source_port: int
    destination: str
    destination_port: int

    def reversed(self) -> Direction:
        """The other direction."""
        return Direction(self.protocol, self.destination, self.destination_port, self.source, self.source_port)


def protocol_of(transport: str, *, six: bool) -> int:
    """The IP protocol of a probe's transport, 0 of ARP and neighbour discovery."""
    return {"icmp": ICMPV6 if six else ICMP, "tcp": TCP, "udp": UDP, "sctp": SCTP}.get(transport, 0)


def token() -> bytes:
    """Sixteen bytes; the first eight no other probe has."""
    return os.urandom(DISTINCT) + _TOKEN


def token_in(data: bytes) -> bytes:
    """The part of a probe's token that no other has, where a frame holds one."""
    at = data.find(_TOKEN)
    return data[at - 8 : at] if at >= 8 else b""


def checksum(data: bytes) -> int:
    """The Internet checksum, RFC 1071."""
    if len(data) & 1:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def ethernet(destination: bytes, source: bytes, kind: int, payload: bytes) -> bytes:
    """An Ethernet frame, padded to the least length."""
    return (destination + source + struct.pack("!H", kind) + payload).ljust(60, b"\0")


def arp_request(mac: bytes, sender: str, target: str) -> bytes:
    """A broadcast frame that asks who has ``target``."""
    body = struct.pack("!HHBBH", 1, ETH_IPV4, 6, 4, 1) + mac + socket.inet_aton(sender) + bytes(6)
    return ethernet(BROADCAST, mac, ETH_ARP, body + socket.inet_aton(target))


def neighbour_solicitation(mac: bytes, sender: str, target: str) -> bytes:
    """A frame to the solicited-node group of ``target`` that asks for its MAC, RFC 4861 section 4.3."""
    wanted = ipaddress.IPv6Address(target).packed
    group = bytes.fromhex("ff0200000000000000000001ff") + wanted[13:]
    message = struct.pack("!BBHI", 135, 0, 0, 0) + wanted + b"\x01\x01" + mac
    source = ipaddress.IPv6Address(sender).packed
    pseudo = source + group + struct.pack("!II", len(message), ICMPV6)
    message = message[:2] + struct.pack("!H", checksum(pseudo + message)) + message[4:]
    header = struct.pack("!IHBB", 6 << 28, len(message), ICMPV6, 255) + source + group
    return ethernet(b"\x33\x33\xff" + wanted[13:], mac, ETH_IPV6, header + message)


def lone_syn(port: int) -> bytes:
    """A TCP header that opens a connection to a port, with a checksum that is wrong, from a port above those that Linux
    gives by itself (ip_local_port_range, ip(7)): no other connection is taken for this one."""
    return struct.pack(
        "!HHIIBBHHH", 61000 + int.from_bytes(os.urandom(2), "big") % 4536, port, 0, 0, 5 << 4, 0x02, 1024, 0xFFFF, 0
    )


def marker(mac: bytes, unique: bytes) -> bytes:
    """A broadcast frame that nothing but our sniffers understands."""
    return ethernet(BROADCAST, mac, ETH_EXPERIMENT, unique)


def read(frame: bytes) -> Headers:
    """The headers of a frame; what is cut short or unknown reads as far as it goes."""
    try:
        return _read(frame)
    except (struct.error, ValueError, IndexError, OSError):
        return Headers()


def icmp_error(frame: bytes) -> tuple[Headers, str, Headers] | None:
    """An ICMP error's own headers, what it says, and the headers of the packet it quotes; None for other frames."""
    headers = read(frame)
    six = headers.protocol == ICMPV6
    if headers.protocol not in (ICMP, ICMPV6) or headers.kind not in (_ERRORS6 if six else _ERRORS):
        return None
    message = frame[-len(headers.payload) - 8 :]
    return headers, error_words(message[0], message[1], six=six), read_packet(headers.payload, six=six)


def says_no_neighbour(frame: bytes) -> bool:
    """Whether a kernel says that nobody answered for the next hop's MAC: it never sent the packet, and has no answer.
    It says so at once of what waits for a MAC when that question is withdrawn."""
    error = icmp_error(frame)
    return error is not None and error[1] in NO_NEIGHBOUR


def is_redirect(frame: bytes) -> bool:
    """Whether a router announces a better way, which ends no packet's own."""
    headers = read(frame)
    return (headers.protocol, headers.kind) in ((ICMP, 5), (ICMPV6, 137))


def is_about_another(frame: bytes) -> bool:
    """Whether it is an ICMP message about another packet, which it quotes: an error, or a redirect."""
    return icmp_error(frame) is not None or is_redirect(frame)


def packet(frame: bytes) -> tuple[object, ...]:
    """What tells a packet from others wherever it is seen (`Headers.travels`); of an ICMP error not what it quotes."""
    headers = read(frame)
    return ("error", headers.protocol, headers.kind) if icmp_error(frame) else headers.travels


def read_packet(packet: bytes, *, six: bool) -> Headers:
    """The headers of a packet without a frame, such as an ICMP error quotes; of what is cut short none."""
    try:
        return read_ipv6(packet) if six else read_ipv4(packet)
    except (struct.error, ValueError, IndexError, OSError):
        return Headers()


def address(packed: bytes) -> str:
    """An address that is packed in network order, as text."""
    return str(ipaddress.ip_address(packed)) if len(packed) in (4, 16) else ""


def next_mtu(frame: bytes) -> int:
    """The MTU that a router's "too big" names, RFC 1191 section 4, RFC 4443 section 3.2; 0 when it names none."""
    headers = read(frame)
    head = frame[-len(headers.payload) - 4 : -len(headers.payload)]
    if len(head) < 4:
        return 0
    return int.from_bytes(head if headers.protocol == ICMPV6 else head[2:], "big")


def error_words(kind: int, code: int, *, six: bool) -> str:
    """What an ICMP error of a type and code says; empty when the type is no error."""
    names, unreachable = (_ERRORS6, _UNREACHABLE6) if six else (_ERRORS, _UNREACHABLE)
    if kind not in names:
        return ""
    if kind == (1 if six else 3):
        return unreachable.get(code, f"unreachable, code {code}")
    return names[kind]


def _read(frame: bytes) -> Headers:
    kind, start = struct.unpack_from("!H", frame, 12)[0], 14
    while kind in (ETH_VLAN, 0x88A8):
        kind, start = struct.unpack_from("!H", frame, start + 2)[0], start + 4
    if kind == ETH_ARP:
        operation = struct.unpack_from("!H", frame, start + 6)[0]
        sender, target = (socket.inet_ntoa(frame[a : a + 4]) for a in (start + 14, start + 24))
        return Headers(kind, sender, target, kind=operation, mac=frame[start + 8 : start + 14].hex(":"))
    if kind == ETH_IPV4:
        return read_ipv4(frame[start:])
    if kind == ETH_IPV6:
        return read_ipv6(frame[start:])
    return Headers(kind, payload=frame[start:])


def read_ipv4(packet: bytes) -> Headers:
    """The headers of an IPv4 packet."""
    length = (packet[0] & 15) * 4
    total, number, fragment, hops, protocol = struct.unpack_from("!HHHBB", packet, 2)
    source, destination = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
    body = packet[length : total or None]
    offset = (fragment & 0x1FFF) * 8
    if offset:  # a later fragment has no further header
        return Headers(ETH_IPV4, source, destination, protocol, payload=body, hops=hops, number=number, offset=offset)
    return _transport(body, ETH_IPV4, source, destination, protocol, hops, number)


def read_ipv6(packet: bytes) -> Headers:
    """The headers of an IPv6 packet without extension headers, or behind a fragment header."""
    protocol, hops, body = packet[6], packet[7], packet[40 : 40 + struct.unpack_from("!H", packet, 4)[0]]
    source, destination = (socket.inet_ntop(socket.AF_INET6, packet[a : a + 16]) for a in (8, 24))
    number = 0
    if protocol == 44:
        protocol, place, number, body = body[0], *struct.unpack_from("!HI", body, 2), body[8:]
        offset = place & ~7
        if offset:
            return Headers(
                ETH_IPV6, source, destination, protocol, payload=body, hops=hops, number=number, offset=offset
            )
    return _transport(body, ETH_IPV6, source, destination, protocol, hops, number)


def _transport(
    body: bytes, ethertype: int, source: str, destination: str, protocol: int, hops: int, number: int = 0
) -> Headers:
    make = partial(Headers, ethertype, source, destination, protocol, hops=hops, number=number)
    if protocol in (ICMP, ICMPV6):
        mac = _link_layer_option(body) if protocol == ICMPV6 and body[0] == 136 else ""
        echo = struct.unpack_from("!H", body, 4)[0] if (protocol, body[0]) in _ECHOES else 0
        return make(kind=body[0], mac=mac, payload=body[8:], echo=echo)
    if protocol == TCP and len(body) < 20:  # quoted by an ICMP error, RFC 792: eight bytes are enough for that
        first, second, sequence = struct.unpack_from("!HHI", body)
        return make(source_port=first, destination_port=second, sequence=sequence)
    if protocol == TCP:
        first, second, sequence, acknowledged, offset, flags = struct.unpack_from("!HHIIBB", body)
        length = (offset >> 4) * 4
        return make(
            source_port=first,
            destination_port=second,
            sequence=sequence,
            acknowledged=acknowledged,
            flags=flags,
            options=body[20:length],
            payload=body[length:],
        )
    if protocol == UDP:
        first, second = struct.unpack_from("!HH", body)
        return make(source_port=first, destination_port=second, payload=body[8:])
    if protocol == SCTP:  # RFC 9260, section 3.1
        first, second, tag = struct.unpack_from("!HHI", body)
        return make(source_port=first, destination_port=second, sequence=tag, payload=body[12:])
    return make(payload=body)


def _link_layer_option(advertisement: bytes) -> str:
    """The target's MAC in a neighbour advertisement, empty when it carries none."""
    options = advertisement[24:]
    while len(options) >= 8 and options[1]:
        if options[0] == 2:
            return options[2:8].hex(":")
        options = options[options[1] * 8 :]
    return ""


def tos(frame: bytes) -> int:
    """The TOS or traffic class of a frame's packet, 0 of what is no IP."""
    kind = int.from_bytes(frame[12:14], "big")
    if kind == ETH_IPV6:
        return (frame[14] & 15) << 4 | frame[15] >> 4
    return frame[15] if kind == ETH_IPV4 else 0
