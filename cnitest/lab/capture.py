"""Records the frames of a link, to memory or to a file, as scapy packets that tests match by layer and field."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from cnitest.deadline import Deadline
from cnitest.kernel import tap
from cnitest.kernel.tap import Frame

if TYPE_CHECKING:
    from cnitest.lab.place import Place


class Capture:
    """``with sandbox.capture("eth0") as capture:`` sees each frame of the link, as tcpdump would.

    A link that is named is put into promiscuous mode meanwhile, so that a bridge shows what it forwards. What was
    seen can be asked for inside and after the block.
    """

    def __init__(self, place: Place, on: str | None = None) -> None:
        self._place, self._on = place, on
        self._frames: list[Frame] = []
        self._eyes: tap.Eyes | None = None

    def __enter__(self) -> Capture:
        index = self._place.link(self._on).ifindex if self._on else 0
        self._eyes = tap.Eyes.open(self._place.namespace, index, blind=self._place.lab.blind)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._collect()
        if self._eyes:
            _close_later(self._eyes.socket)
            self._eyes = None

    def __repr__(self) -> str:
        return f"<Capture of {self._place.full_name}:{self._on or 'all links'}: {len(self._frames)} frames>"

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The frames so far, as bytes with time, link and direction."""
        self._collect()
        return tuple(self._frames)

    @property
    def packets(self) -> list[Any]:
        """The frames so far as scapy packets."""
        from cnitest.lab import packets

        return [packets.dissect(frame) for frame in self.frames]

    def matching(self, layer: Any, **fields: Any) -> list[Any]:
        """The packets with that layer (a scapy class or its name) whose fields have these values."""
        from cnitest.lab import packets

        return [packet for packet in self.packets if packets.matches(packet, layer, fields)]

    def wait_for(self, layer: Any, *, timeout: float = 2.0, **fields: Any) -> Any:
        """The first packet that matches, now or until ``timeout`` seconds from now.

        Raises DeadlineExceeded that says how many frames came instead.
        """
        wanted = ", ".join(f"{name}={value!r}" for name, value in fields.items())
        name = layer if isinstance(layer, str) else layer.__name__
        deadline = Deadline.after(timeout, f"a packet {name}({wanted}) at {self!r}")
        while True:
            found = self.matching(layer, **fields)
            if found:
                return found[0]
            if self._eyes is None or not self._eyes.wait(deadline):
                deadline = Deadline(f"a packet {name}({wanted}) at {self!r}", timeout, deadline.end)
                deadline.check()
                return None

    def write(self, path: str | Path) -> Path:
        """Write the frames so far as a pcapng file and return its path."""
        from cnitest.lab import packets

        packets.write(Path(path), [(self._place.full_name, frame) for frame in self.frames])
        return Path(path)

    def _collect(self) -> None:
        if self._eyes:
            self._frames += [frame for frame in self._eyes.frames() if self._on in (None, frame.link)]


def _close_later(slow: socket.socket) -> None:
    """Closing a packet socket waits for the kernel; nobody has to wait with it."""
    threading.Thread(target=slow.close, name="cnitest-undertaker", daemon=True).start()
