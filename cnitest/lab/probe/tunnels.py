"""What packets of tunnels carry: of VXLAN (RFC 7348), Geneve (RFC 8926), GRE (RFC 2784), and IP in IP."""

from __future__ import annotations

import struct

from cnitest.lab.probe import wire

_GRE, _IPIP, _SIT, _TRANSPARENT = 47, 4, 41, 0x6558
_PLAIN = {_IPIP: wire.ETH_IPV4, _SIT: wire.ETH_IPV6}
_ETHERTYPES = (wire.ETH_ARP, wire.ETH_IPV4, wire.ETH_IPV6)
_VXLAN_ID, _UDP_TUNNEL_HEADER, _ETHERNET = 0x08, 8, 14


def frame_in(frame: bytes) -> bytes:
    """The frame that a packet of a tunnel carries, with an empty header where it carries none; empty of all others."""
    return _in_packet(wire.read(frame))


def inner(headers: wire.Headers) -> wire.Headers:
    """The headers of the innermost packet of tunnels; what is given where it is none."""
    inside = _in_packet(headers)
    return inner(wire.read(inside)) if inside else headers


def _in_packet(headers: wire.Headers) -> bytes:
    payload = headers.payload
    if headers.protocol == wire.UDP:
        return _in_udp(payload)
    if headers.protocol == _GRE and len(payload) > _UDP_TUNNEL_HEADER:
        return _in_gre(payload)
    kind = _PLAIN.get(headers.protocol, 0)
    return _framed(kind, payload) if kind else b""


def innermost(frame: bytes) -> bytes:
    """What is in the innermost packet of tunnels; the frame itself where it is none."""
    inside = frame_in(frame)
    return innermost(inside) if inside else frame


def vxlan_id(frame: bytes) -> int | None:
    """The identifier (VNI) in a packet of a VXLAN."""
    payload = wire.read(frame).payload
    return int.from_bytes(payload[4:7], "big") if frame_in(frame) and payload[0] & _VXLAN_ID else None


def _in_udp(payload: bytes) -> bytes:
    """What follows the eight bytes of a VXLAN's header, or of Geneve's with its options."""
    if len(payload) < _UDP_TUNNEL_HEADER + _ETHERNET:
        return b""
    options = 0 if payload[0] & _VXLAN_ID else (payload[0] & 0x3F) * 4
    geneve = payload[0] >> 6 == 0 and payload[2:4] == _TRANSPARENT.to_bytes(2, "big")
    inside = payload[_UDP_TUNNEL_HEADER + options :]
    known = int.from_bytes(inside[12:14], "big") in _ETHERTYPES
    return inside if known and (payload[0] & _VXLAN_ID or geneve) else b""


def _in_gre(payload: bytes) -> bytes:
    """What follows GRE's header: four bytes, and four more for each of checksum, key and sequence number."""
    flags, kind = struct.unpack_from("!HH", payload)
    inside = payload[4 + 4 * sum(bool(flags & bit) for bit in (0x8000, 0x2000, 0x1000)) :]
    if kind == _TRANSPARENT:
        return inside
    return _framed(kind, inside) if kind in _ETHERTYPES else b""


def _framed(kind: int, packet: bytes) -> bytes:
    return bytes(12) + kind.to_bytes(2, "big") + packet
