"""Fragments: which of them are of one packet, and what the trace of nftables leaves out of those of IPv6."""

from __future__ import annotations

from collections.abc import Iterable

from cnitest.lab.probe import wire

_ETHERNET, _VERSION = 14, 6
# Where IPv6's header ends, and what it and the header of a fragment have where.
_IPV6, _FRAGMENT, _ADDRESSES, _IDENTITY = 40, 44, slice(8, 40), slice(44, 48)
# IPv6's first bytes, with the flow label; and the offset of some later fragment.
_LABEL, _LATER = 4, b"\0\x08"


def whole(part: wire.Headers) -> tuple[str, str, int]:
    """What all fragments of a packet have in common."""
    return part.source, part.destination, part.number


def firsts(frames: Iterable[bytes]) -> frozenset[bytes]:
    """The first fragments of IPv6 among frames, without their frames."""
    return frozenset(part for part in (frame[_ETHERNET:] for frame in frames) if _is_part(part))


def with_header(packet: bytes, seen: Iterable[bytes]) -> bytes:
    """A packet with the header of a fragment of IPv6, which the trace of nftables leaves out, by the first fragments
    that were ``seen``; of a later one the trace shows twenty bytes alone."""
    if not _is_part(packet):
        return packet
    for first in seen:
        shown, cut = packet[_IPV6:], len(packet) < _IPV6 and any(packet[1:_LABEL])
        alike = first[_ADDRESSES].startswith(packet[_ADDRESSES]) and first[:_LABEL] == packet[:_LABEL]
        if alike and (cut or first[_IDENTITY] != packet[_IDENTITY]):
            place = first[42:44] if shown and first[48:].startswith(shown) else _LATER
            head = packet[:_IPV6] + first[len(packet) : _IPV6]
            return head + first[40:42] + place + first[_IDENTITY] + shown
    return packet


def _is_part(packet: bytes) -> bool:
    return len(packet) > _VERSION and packet[0] >> 4 == _VERSION and packet[6] == _FRAGMENT
