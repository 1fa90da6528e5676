"""Records the frames of a link, to memory or to a file, as scapy packets that tests match by layer and field."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from cnitest.deadline import Deadline
from cnitest.errors import DeadlineExceeded, ProbeUnproven, is_ours
from cnitest.kernel import packet_socket
from cnitest.kernel.packet_socket import Frame
from cnitest.lab.frames import pcapng

if TYPE_CHECKING:
    from cnitest.lab.place import Place

__tracebackhide__ = is_ours


_MOST_ROUNDS = 4


class Capture:
    """``with sandbox.capture("eth0") as capture:`` sees each frame of the link, as tcpdump would.

    A link that is named is put into promiscuous mode meanwhile, so that a bridge shows what it forwards. What was
    seen can be asked for inside and after the block.
    """

    def __init__(self, place: Place, on: str | None = None) -> None:
        self._place, self._on = place, on
        self._frames: list[Frame] = []
        self._lost = 0
        self._sniffers: packet_socket.Sniffer | None = None

    def __enter__(self) -> Capture:
        ifindex = self._place.link(self._on).ifindex if self._on else 0
        self._sniffers = packet_socket.Sniffer.open(
            self._place.namespace, self._on or "", ifindex, blind=self._place.lab.blind
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._collect()
        if self._sniffers:
            _close_later(self._sniffers.socket)
            self._sniffers = None

    def __repr__(self) -> str:
        return f"<Capture of {self._place.full_name}:{self._on or 'all links'}: {len(self._frames)} frames>"

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The frames so far, as bytes with time, link and direction.

        Raises ProbeUnproven when some were lost: what is not among the others may still have been there.
        """
        self._collect()
        if self._lost:
            raise ProbeUnproven(f"{self!r}: {self._lost} more did not fit into its buffer and are lost")
        return tuple(self._frames)

    @property
    def packets(self) -> list[Any]:
        """The frames so far as scapy packets."""
        from cnitest.lab.frames import packets

        return [packets.dissect(frame) for frame in self.frames]

    def matching(self, layer: Any, **fields: Any) -> list[Any]:
        """The packets with that layer (a scapy class or its name) whose fields have these values.

        A value is the field's own or as scapy shows it: ``op=1`` and ``op="who-has"`` are the same. Raises UsageError
        for a layer, a field or a value that no packet has, so that ``assert not`` does not pass by a typo.
        """
        from cnitest.lab.frames import matching

        held_to = matching.wanted(layer, fields)
        return [packet for packet in self.packets if matching.matches(packet, held_to)]

    def wait_for(self, layer: Any, *, timeout: float = 2.0, **fields: Any) -> Any:
        """The first packet that matches, now or until ``timeout`` seconds from now.

        Raises DeadlineExceeded that says how many frames came instead, and UsageError as `matching`.
        """
        from cnitest.lab.frames import matching, packets

        held_to = matching.wanted(layer, fields)
        wanted = ", ".join(f"{name}={value!r}" for name, value in fields.items())
        name = layer if isinstance(layer, str) else layer.__name__
        deadline = Deadline.after(
            timeout, f"a packet {name}({wanted}) at {self._place.full_name}:{self._on or 'any link'}"
        )
        looked_at = 0
        while True:
            frames = self.frames
            for frame in frames[looked_at:]:
                packet = packets.dissect(frame)
                if matching.matches(packet, held_to):
                    return packet
            looked_at = len(frames)
            if deadline.expired or self._sniffers is None or not self._sniffers.wait(deadline):
                raise DeadlineExceeded(f"{deadline.words}: {looked_at} other frames came")

    def write(self, path: str | Path) -> Path:
        """Write the frames so far as a pcapng file, stamps in nanoseconds, and return its path."""
        pcapng.write(Path(path), [(self._place.full_name, frame) for frame in self.frames])
        return Path(path)

    def _collect(self) -> None:
        if self._sniffers is None:
            return
        for _ in range(_MOST_ROUNDS):
            frames = self._sniffers.frames()
            self._frames += frames
            if not frames:
                break
        self._lost += self._sniffers.lost()


def _close_later(slow: socket.socket) -> None:
    """Closing a packet socket waits for the kernel; nobody has to wait with it."""
    threading.Thread(target=slow.close, name="cnitest-undertaker", daemon=True).start()
