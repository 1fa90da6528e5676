"""One attempt at a probe under sniffers, and what these saw of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cnitest.kernel import peers
from cnitest.kernel.packet_socket import Frame
from cnitest.lab.probe.base import Attempt, Probe
from cnitest.lab.probe.verdict.order import Watched
from cnitest.lab.reach import Seen

if TYPE_CHECKING:
    from cnitest.lab.place import Place

#: The links of places by name, with what they hang together with.
Links = Mapping[str, tuple[peers.End, ...]]

_ENDS = 2


def watched_attempt(probe: Probe, sniffers: Sequence[Place], wait: float, far: Place | None) -> tuple[Attempt, Seen]:
    """Send a probe once, with some places watching, and wait that many seconds for its answer. ``far`` is its far end,
    which asks the kernel each time: who knows it says it."""
    taps = probe.sender.lab.taps(sniffers)
    began = [tap.count for tap in taps]
    attempt = probe.attempt(wait)
    frames = [
        tuple(frame for frame in tap.since(count) if attempt.matches(frame))
        for tap, count in zip(taps, began, strict=True)
    ]
    links = peers_of(sniffers) if len(sniffers) > _ENDS and any(frames) else {}
    return attempt, seen(probe, sniffers, frames, links, far)


def peers_of(places: Sequence[Place]) -> Links:
    """The links of places, and how they hang together."""
    others = {place.full_name: place.namespace for place in places}
    return {place.full_name: peers.ends(place.namespace, others) for place in places}


def seen(
    probe: Probe, sniffers: Sequence[Place], frames: Sequence[tuple[Frame, ...]], links: Links, far: Place | None
) -> Seen:
    """What the sniffers have seen of an attempt; ``links`` are those of their places, where they are known, and ``far``
    is its far end."""
    watched = tuple(
        Watched(place.full_name, some, links.get(place.full_name, ()))
        for place, some in zip(sniffers, frames, strict=True)
    )
    return Seen(watched, probe.sender.full_name, far.full_name if far else "")
