"""One attempt at a probe under sniffers, and what these saw of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnitest.kernel import peers
from cnitest.kernel.packet_socket import Frame
from cnitest.lab.probe.base import Attempt, Probe
from cnitest.lab.probe.verdict.order import Watched
from cnitest.lab.reach import Seen

if TYPE_CHECKING:
    from cnitest.lab.place import Place

_ENDS = 2


def watched_attempt(probe: Probe, sniffers: Sequence[Place], wait: float) -> tuple[Attempt, Seen]:
    """Send a probe once, with some places watching, and wait that many seconds for its answer."""
    taps = probe.sender.lab.taps(sniffers)
    began = [tap.count for tap in taps]
    attempt = probe.attempt(wait)
    frames = [
        tuple(frame for frame in tap.since(count) if attempt.matches(frame))
        for tap, count in zip(taps, began, strict=True)
    ]
    return attempt, _seen(probe, sniffers, frames)


def _seen(probe: Probe, sniffers: Sequence[Place], frames: Sequence[tuple[Frame, ...]]) -> Seen:
    """What the sniffers have seen of an attempt; and how links hang together, when there are more than two."""
    others = {place.full_name: place.namespace for place in sniffers} if len(sniffers) > _ENDS and any(frames) else {}
    watched = tuple(
        Watched(place.full_name, seen, peers.ends(place.namespace, others) if others else ())
        for place, seen in zip(sniffers, frames, strict=True)
    )
    return Seen(watched, probe.sender.full_name, probe.far.full_name if probe.far else "")
