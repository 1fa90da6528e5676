"""One attempt at a probe under sniffers, and what these and the kernel's trace saw of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from cnitest.kernel import peers
from cnitest.kernel.packet_socket import Frame, PacketSocket
from cnitest.kernel.tracing import trace
from cnitest.lab.probe import wire
from cnitest.lab.probe.base import Attempt, Probe, Traceable, is_ipv6
from cnitest.lab.probe.verdict import programs
from cnitest.lab.probe.verdict.freed import Captured, Fate, what_became
from cnitest.lab.probe.verdict.holding import AskedInstead, nothing_waits
from cnitest.lab.probe.verdict.neighbour import forget
from cnitest.lab.probe.verdict.order import Watched
from cnitest.lab.reach import Freed, Seen

if TYPE_CHECKING:
    from cnitest.lab.place import Place

#: The links of places by name, with what they hang together with.
Links = Mapping[str, tuple[peers.PeerLink, ...]]

_ENDS, _MOST_INSTEAD = 2, 4
_FIRST_PAUSE, _LESS_OFTEN = 0.02, 4


def watched_attempt(
    probe: Probe,
    sniffers: Mapping[Place, PacketSocket],
    wait: float,
    far: Place | None,
    *,
    may_end_early: bool = False,
    expected: Sequence[Freed] = (),
) -> tuple[Attempt, Seen]:
    """Send a probe once, with the sniffers of some places watching, and wait that many seconds for its answer. ``far``
    is its far end, which asks the kernel each time: who knows it says it.

    When ``may_end_early``, not so long where it cannot be answered any more: the kernel's trace shows that it was freed
    (with ``expected``, see `alike`, in that very way), or nothing in the lab holds a packet.
    """
    forgotten: set[tuple[Place, str]] = set()
    for _ in range(_MOST_INSTEAD):
        watch = _Watch(probe, sniffers, far, expected, forgotten)
        made = watch.attempt(wait, may_end_early=may_end_early)
        for one in watch.instead:  # does it get there without us, too? By now they are watched
            forget(one.place, one.address)
            forgotten.add((one.place, one.address))
        if not (made[0].answered and watch.instead):
            break
    attempt, found = made
    return (replace(attempt, helped=True) if watch.instead else attempt), found


def alike(some: Sequence[Freed], others: Sequence[Freed]) -> bool:
    """Whether the same packets were freed for the same reasons on the same links."""
    return [one._replace(place="") for one in some] == [one._replace(place="") for one in others]


class _Watch:
    """One attempt, and who watches it."""

    def __init__(
        self,
        probe: Probe,
        sniffers: Mapping[Place, PacketSocket],
        far: Place | None,
        expected: Sequence[Freed],
        forgotten: Collection[tuple[Place, str]],
    ) -> None:
        lab = probe.sender.lab
        self._forgotten = forgotten
        self._probe, self._watchers, self._far, self._expected = probe, tuple(sniffers), far, expected
        self._sniffers = sniffers
        self._began = {place: sniffer.count for place, sniffer in sniffers.items()}
        self._trace = None if lab.blind else trace.armed()
        self._since = time.monotonic_ns() // 1000 * 1000  # as the trace rounds
        self._start = time.time_ns()
        self._fate = Fate()
        self._gone = self._overrun = False
        #: What we asked in the stead of places of which nobody saw whether they ask themselves.
        self.instead: list[AskedInstead] = []
        # Asking all places takes longer than looking into the trace, so it is done less and less often.
        self._next, self._pause = 0.0, _FIRST_PAUSE

    def attempt(self, wait: float, *, may_end_early: bool) -> tuple[Attempt, Seen]:
        """Make it; what came of it, and what was seen of it."""
        probe, sees = self._probe, not self._probe.sender.lab.blind
        one_packet = may_end_early and sees and wait < getattr(probe, "sent_again_after", 0)
        end = time.monotonic() + wait
        attempt = cast("Traceable", probe).attempt_unless(self._is_gone, wait) if one_packet else probe.attempt(wait)
        given_up = self._gone and time.monotonic() < end
        for sniffer in self._sniffers.values():
            sniffer.catch_up()
        frames = [self._remembered(place, attempt.matches) for place in self._watchers]
        found = seen(probe, self._watchers, frames, self._links(frames), self._far)
        if attempt.answered:
            return attempt, found
        if not given_up:
            self._look(attempt.matches)
        freed = tuple(_placed(each, found.watched) for each in self._fate.freed)
        settled = given_up and not (attempt.error or attempt.doubt)
        traced = settled and self._fate.settled
        return attempt, replace(found, freed=freed, settled=settled, traced=traced, overrun=self._overrun)

    def _links(self, frames: Sequence[tuple[Frame, ...]]) -> Links:
        """The links of who has seen something, where more than both ends watch."""
        if len(self._watchers) <= _ENDS:
            return {}
        return peers_of([place for place, some in zip(self._watchers, frames, strict=True) if some])

    def _is_gone(self, matches: Callable[[Frame], bool]) -> bool:
        """Whether nothing of the attempt is on its way any more, and nobody may answer it all the same."""
        self._look(matches)
        lab = self._probe.sender.lab
        if self._fate.settled:
            expected = not self._expected or alike(self._fate.freed, self._expected)
            self._gone = expected and not programs.may_see(lab)
        elif not (self._expected or self._fate.pending) and time.monotonic() >= self._next:
            counts = {place: sniffer.count for place, sniffer in self._sniffers.items() if sniffer.frames() or True}
            waits = not nothing_waits(lab, self._probe.transport, self._start, self.instead, self._forgotten)
            self._gone = not waits and not self._moved(matches, counts)
            self._next = time.monotonic() + self._pause
            self._pause *= _LESS_OFTEN
        return self._gone

    def _moved(self, matches: Callable[[Frame], bool], counts: Mapping[Place, int]) -> bool:
        """Whether packets of the attempt were seen since places had seen so many frames."""
        return any(matches(frame) for place, count in counts.items() for frame in self._sniffers[place].since(count))

    def _look(self, matches: Callable[[Frame], bool]) -> None:
        """Find out what became of the packets up to now."""
        events = self._trace.since(self._since) if self._trace else ()
        self._overrun |= events is None
        if not events:
            self._fate = Fate()
            return
        probe, far = self._probe, self._far
        captured = Captured(
            sender=probe.sender.full_name,
            near=self._frames(probe.sender, matches),
            protocol=wire.ETH_IPV6 if is_ipv6(probe.destination) else wire.ETH_IPV4,
            receiver=far.full_name if far else "",
            far=self._frames(far, matches) if far and far in self._sniffers else None,
        )
        self._fate = what_became(events, threading.get_native_id(), captured)

    def _frames(self, place: Place, matches: Callable[[Frame], bool]) -> tuple[Frame, ...]:
        """What a place has seen of the attempt."""
        self._sniffers[place].frames()
        return self._remembered(place, matches)

    def _remembered(self, place: Place, matches: Callable[[Frame], bool]) -> tuple[Frame, ...]:
        """The same, of what has been read."""
        return tuple(filter(matches, self._sniffers[place].remembered(self._began[place])))


def _placed(freed: Freed, watched: Sequence[Watched]) -> Freed:
    """With the place where it was, when just one saw a packet of the probe on that link."""
    if freed.place:
        return freed
    places = [one.place for one in watched if any((f.link, f.out) == (freed.link, freed.out) for f in one.frames)]
    return freed._replace(place=places[0]) if len(places) == 1 else freed


def peers_of(places: Sequence[Place]) -> Links:
    """The links of places, and how they hang together."""
    return peers.ends({place.full_name: place.namespace for place in places})


def seen(
    probe: Probe, watchers: Sequence[Place], frames: Sequence[tuple[Frame, ...]], links: Links, far: Place | None
) -> Seen:
    """What the sniffers have seen of an attempt; ``links`` are those of their places, where they are known, and ``far``
    is its far end."""
    watched = tuple(
        Watched(place.full_name, some, links.get(place.full_name, ()))
        for place, some in zip(watchers, frames, strict=True)
    )
    return Seen(watched, probe.sender.full_name, far.full_name if far else "")
