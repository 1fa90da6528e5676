"""Frames as a pcapng file (draft-ietf-opsawg-pcapng), with stamps in nanoseconds."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from cnitest.kernel.packet_socket import Frame

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_BYTE_ORDER, _ETHERNET, _WHOLE = 0x1A2B3C4D, 1, 1 << 18
_IF_NAME, _IF_TSRESOL, _EPB_FLAGS = 2, 9, 2
_NANOSECONDS = b"\x09"
_INBOUND, _OUTBOUND = 1, 2


def write(path: Path, frames: Iterable[tuple[str, Frame]]) -> None:
    """Write frames, each with the place that saw it; an interface of the file is ``place:link``. Raises OSError."""
    with path.open("wb") as file:
        file.writelines(blocks(frames))


def blocks(frames: Iterable[tuple[str, Frame]]) -> Iterator[bytes]:
    """What the file of frames consists of, in order."""
    interfaces: dict[str, int] = {}
    yield _block(_SECTION, struct.pack("=IHHq", _BYTE_ORDER, 1, 0, -1))
    for place, frame in frames:
        name = f"{place}:{frame.link}"
        if name not in interfaces:
            interfaces[name] = len(interfaces)
            yield _interface(name)
        yield _packet(interfaces[name], frame)


def _interface(name: str) -> bytes:
    options = _option(_IF_NAME, name.encode()) + _option(_IF_TSRESOL, _NANOSECONDS) + _option(0, b"")
    return _block(_INTERFACE, struct.pack("=HHI", _ETHERNET, 0, _WHOLE) + options)


def _packet(interface: int, frame: Frame) -> bytes:
    size = len(frame.data)
    head = struct.pack("=IIIII", interface, frame.when >> 32, frame.when & 0xFFFFFFFF, size, size)
    direction = struct.pack("=I", _OUTBOUND if frame.out else _INBOUND)
    return _block(_PACKET, head + _padded(frame.data) + _option(_EPB_FLAGS, direction) + _option(0, b""))


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("=HH", code, len(value)) + _padded(value)


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("=I", len(body) + 12)
    return struct.pack("=I", kind) + length + body + length


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) & 3)
