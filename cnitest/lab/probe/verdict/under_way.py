"""Whether packets of a probe are still on their way when nobody waits for them any more, or were then.

Silence proves a drop once they are gone: none rests anywhere, none was seen to move while that was looked at, and none
came further after its time was up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from cnitest.kernel.packet_socket import Frame
from cnitest.kernel.tracing import backlogs
from cnitest.lab.probe import wire
from cnitest.lab.probe.base import Attempt
from cnitest.lab.probe.verdict import holding

if TYPE_CHECKING:
    from cnitest.lab.lab import Lab
    from cnitest.lab.place import Place

#: Tells the frames that are a probe's.
Ours = Callable[[Frame], bool]

# Queues are looked at again while frames move; what moves longer than that has no end in sight.
_MOST_ROUNDS = 20


class Sent(NamedTuple):
    """An attempt that begins: until when its answer is waited for (nanoseconds since the epoch), and how many frames
    each place had seen before."""

    until: int
    counts: Mapping[Place, int]


def any_of(attempts: Iterable[Attempt]) -> Ours:
    """Tells the frames of some attempts."""
    some = tuple(attempts)
    return lambda frame: any(attempt.matches(frame) for attempt in some)


def resting(lab: Lab, on_the_way: Sequence[Place], ours: Ours) -> str:
    """Where packets of a probe may rest, in words, or that they move; empty when there are none any more.

    A packet that went on from one place to another while these were asked one after the other was seen by sniffers, and
    all are asked again.
    """
    sniffers = lab.sniffers(lab.places)
    moves = False
    for _ in range(_MOST_ROUNDS):
        counts = [sniffer.count for sniffer in sniffers if sniffer.frames() or True]
        handled = _are_handled()
        if words := ", ".join(_rests(lab, on_the_way)):
            return words
        moves = any(
            ours(frame) for sniffer, count in zip(sniffers, counts, strict=True) for frame in sniffer.since(count)
        )
        if handled and not moves:
            return ""
    return "packets that still go from link to link" if moves else "packets that no processor comes to handle"


def overflow(lab: Lab) -> str:
    """What to say when some place carried more than could be watched; empty when none did."""
    for place in lab.places:
        if lost := lab.sniffer(place).lost():
            return f"{place.full_name} carries so much that {lost} frames went by unseen"
    return ""


def _are_handled() -> bool:
    """Whether no processor has packets that it was given before; also where that cannot be found out."""
    try:
        return backlogs.are_handled()
    except OSError:
        return True


def _rests(lab: Lab, on_the_way: Sequence[Place]) -> Iterator[str]:
    """The queues where packets of a probe may be: those of the places on its way, and where one of these asks for a
    neighbour those of all, since the question or its answer may be in one."""
    asks = any(next(holding.neighbours(place), "") for place in on_the_way)
    for place in lab.places if asks else on_the_way:
        yield from holding.queues(place)
    for place in on_the_way:
        yield from holding.programs_queues(lab, place)


def is_overdue(lab: Lab, sender: Place, attempt: Attempt, sent: Sent) -> bool:
    """Whether a packet of an attempt came to a link for the first time after its time was up.

    What is sent again by the kernel comes to links where it was before.
    """
    for place, count in sent.counts.items():
        come: set[tuple[str, bool]] = set()
        for frame in lab.sniffer(place).since(count):
            if (frame.out and place is sender) or not (attempt.matches(frame) and attempt.pending(frame)):
                continue
            at = (frame.link, frame.out)
            if frame.when > sent.until and at not in come and wire.icmp_error(frame.data) is None:
                return True
            come.add(at)
    return False
