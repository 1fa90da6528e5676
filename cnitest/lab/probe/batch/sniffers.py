"""The sniffers of all places while many probes are under way, and which frames are whose."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from cnitest.kernel.packet_socket import REMEMBERED, Frame
from cnitest.lab.probe import wire
from cnitest.lab.probe.base import Attempt, Probe
from cnitest.lab.probe.verdict.watching import Links, peers_of, seen
from cnitest.lab.reach import Seen

if TYPE_CHECKING:
    from cnitest.lab.lab import Lab
    from cnitest.lab.place import Place

# Seconds between two times that sniffers are read while answers are awaited.
_READ = 0.01
_ARP = b"\x08\x06"


class _Sighted(NamedTuple):
    """A frame, the place that saw it, and how many that one saw before it."""

    place: Place
    order: int
    frame: Frame


class Sniffers:
    """What the sniffers see from now on."""

    def __init__(self, lab: Lab) -> None:
        self._places = lab.places
        self._sockets = lab.sniffers(self._places)
        for sniffer in self._sockets:
            sniffer.frames()
            sniffer.lost()
        self._began = [sniffer.count for sniffer in self._sockets]
        self._read = time.monotonic()

    def count(self, place: Place) -> int:
        """How many frames a place's sniffer had seen when we began."""
        return self._began[self._places.index(place)]

    def read(self) -> None:
        """Read what has come, now and then, so that no buffer has to hold it all."""
        if time.monotonic() - self._read >= _READ:
            for sniffer in self._sockets:
                sniffer.frames()
            self._read = time.monotonic()

    def overflowed(self) -> bool:
        """Whether some frames went by unseen."""
        return any(
            sniffer.lost() or sniffer.count - began > REMEMBERED
            for sniffer, began in zip(self._sockets, self._began, strict=True)
        )

    def watched(self, probes: Sequence[Probe], attempts: Sequence[Attempt]) -> list[Seen]:
        """What was seen of each probe, at its ends and wherever else something was."""
        frames = {
            place: [frame for frame in sniffer.since(began) if frame.data[12:14] != _ARP]
            for place, sniffer, began in zip(self._places, self._sockets, self._began, strict=True)
        }
        alike = _alike(frames)
        for probe, attempt in zip(probes, attempts, strict=True):
            for frame in frames[probe.sender]:
                attempt.matches(frame)  # how it begins tells it from others where its ports are translated
        found = [_sighted(probe, attempt, alike) for probe, attempt in zip(probes, attempts, strict=True)]
        links = peers_of(list(dict.fromkeys(place for each in found for place in each)))
        return [_seen(probe, each, links) for probe, each in zip(probes, found, strict=True)]


def _sighted(probe: Probe, attempt: Attempt, alike: Sequence[Sequence[_Sighted]]) -> dict[Place, list[_Sighted]]:
    """The frames of a probe by place: its ends, and wherever else there are some."""
    found = {place: list[_Sighted]() for place in (probe.sender, probe.far) if place}
    for some in alike:
        if attempt.matches(some[0].frame):
            for one in some:
                found.setdefault(one.place, []).append(one)
    return found


def _seen(probe: Probe, found: Mapping[Place, list[_Sighted]], links: Links) -> Seen:
    frames = [tuple(one.frame for one in sorted(each, key=lambda one: one.order)) for each in found.values()]
    return seen(probe, [*found], frames, links, probe.far)


def _alike(frames: Mapping[Place, Sequence[Frame]]) -> list[list[_Sighted]]:
    """The frames, those together of which a probe has either all or none."""
    found: dict[Hashable, list[_Sighted]] = {}
    for place, some in frames.items():
        for order, frame in enumerate(some):
            found.setdefault(_likeness(frame.data), []).append(_Sighted(place, order, frame))
    return [*found.values()]


def _likeness(data: bytes) -> Hashable:
    """The token in a frame; of those without one, what no hop changes together with what some do."""
    token = wire.token_in(data)
    if token:
        return token
    headers = wire.read(data)
    return headers.flow, headers.kind, headers.sequence, headers.acknowledged, headers.payload
