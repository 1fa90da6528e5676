"""How a verdict is reached.

An answer settles it at once. Silence settles nothing: the probe is sent again under the eyes of every place of the
lab, between two controls that must get through. Only a probe that was seen to leave, on a path that carries what it
should, counts as dropped; anything else is unproven.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnitest.deadline import Deadline
from cnitest.kernel import monitor
from cnitest.kernel.namespaces import Kept
from cnitest.lab.probe import wire
from cnitest.lab.probe.base import Attempt, Probe, is_ipv6
from cnitest.lab.probe.controls import Control, control
from cnitest.lab.probe.neighbour import ask
from cnitest.lab.reach import Reach, Sighting, Verdict

if TYPE_CHECKING:
    from cnitest.lab.lab import Lab
    from cnitest.lab.place import Place

#: Seconds without an answer after which an attempt counts as lost.
WAIT = 0.3
# A neighbour that the kernel asked for in vain is asked for again after a second (retrans_time_ms).
_NEIGHBOUR_RETRY = 1.6
_DUPLICATE_DETECTION = 4.0
# An answer that was on its way when an attempt was given up gets one more chance.
_LATE_RETRY = 2.0
_TOO_LATE = "an answer came, but later than was waited for: give it more time with wait=…"
_NO_NEIGHBOUR = ("host unreachable", "address unreachable")
# A full buffer is empty after two rounds; what comes meanwhile is somebody else's flood.
_MOST_ROUNDS, _MOST_NEIGHBOURS = 2, 4


def prove(probe: Probe, wait: float | None = None) -> Reach:
    """Send a probe and find out what became of it; noted in the lab's journal."""
    lab = probe.sender.lab
    with lab.probing:
        reach = _Inquiry(lab, probe, WAIT if wait is None else wait).reach()
    lab.journal.note(reach)
    return reach


class _Inquiry:
    """One probe, all attempts at it, and what was seen of the last."""

    def __init__(self, lab: Lab, probe: Probe, wait: float) -> None:
        self._lab, self._probe, self._wait = lab, probe, wait
        self._near, self._far = probe.sender, probe.far
        self._began = time.time()
        self._attempts: list[Attempt] = []
        self._sightings: tuple[Sighting, ...] = ()

    def reach(self) -> Reach:
        """Send it; when silence is all that comes, send it again under everyone's eyes."""
        eyes = [self._near] if self._far in (None, self._near) else [self._near, self._far]
        _await_duplicate_detection(self._probe, eyes)
        self._forget_frames(eyes, self._probe.kept)
        settled = self._send(eyes, self._wait)  # a Reach is false when it is a drop, so: is it there?
        return self._inquire() if settled is None else settled

    def _inquire(self) -> Reach:
        """Send again with everyone watching, between two controls."""
        everyone = [self._near, *(place for place in self._lab.places if place is not self._near)]
        self._lab.settle()
        unsettled = _await_duplicate_detection(self._probe, everyone, also_link_local=True)
        before = control(self._probe)
        self._forget_frames(everyone)
        settled = self._send(everyone, self._wait)
        if settled is None and self._resolvable(before):
            settled = self._send(everyone, _NEIGHBOUR_RETRY)
        overflow = self._overflow()
        after = control(self._probe) if settled is None else before
        if settled is None and self._late():
            settled = self._send(everyone, _LATE_RETRY)
        if settled is not None:
            return settled
        doubt = unsettled or overflow or self._doubt(before, after) or (self._late() and _TOO_LATE)
        controls = tuple(dict.fromkeys((before.words, after.words)))
        if doubt:
            return self._told(Verdict.UNPROVEN, doubt, controls)
        return self._told(Verdict.DROPPED, self._silence(before), controls)

    def _send(self, eyes: Sequence[Place], wait: float) -> Reach | None:
        """One attempt, watched by some; what came of it, None when nobody answered."""
        attempt = self._probe.attempt(wait)
        if self._lab.blind:
            attempt = attempt.unheard()
        self._attempts.append(attempt)
        found = [
            Sighting(place.full_name, frame)
            for place in eyes
            for frame in self._lab.tap(place).frames()
            if attempt.matches(frame)
        ]
        self._sightings = tuple(sorted(found, key=lambda sighting: sighting.frame.when))
        if attempt.answered:
            lost = f", {len(self._attempts) - 1} lost before" if len(self._attempts) > 1 else ""
            took = f" after {attempt.rtt * 1000:.2f} ms" if attempt.rtt is not None else ""
            return self._told(Verdict.DELIVERED, f"answered by {attempt.answered_by}{took}{lost}")
        refusal = self._turned_down() or attempt.refusal
        return self._told(Verdict.DROPPED, refusal) if refusal and self._sightings else None

    def _forget_frames(self, places: Sequence[Place], also: Sequence[Kept] = ()) -> None:
        """Open everyone's eyes, and look away from what they have seen so far."""
        for tap in self._lab.taps(places, also):
            for _ in range(_MOST_ROUNDS):
                if not tap.frames():
                    break
            tap.lost()

    def _turned_down(self) -> str:
        """Who turned the last attempt down by an ICMP error, empty when nobody did.

        That the sender's own kernel found no neighbour is no answer: it only says that nobody gave one.
        """
        own = {address.ip for address in self._near.addresses}
        for sighting in self._sightings:
            error = wire.icmp_error(sighting.frame.data)
            if error and sighting.place == self._near.full_name and not sighting.frame.out:
                headers, words, _ = error
                if words in wire.TOO_BIG and len(self._attempts) == 1:
                    continue  # now that the sender knows, its next one may get through
                if headers.source not in own or words not in _NO_NEIGHBOUR:
                    return f"{headers.source} answered: {words}"
        return ""

    def _doubt(self, before: Control, after: Control) -> str:
        """Why silence proves nothing here; empty when it does."""
        attempt = self._attempts[-1]
        for passed in (before, after):
            if not passed.passed:
                return passed.words + (f" ({attempt.trouble})" if attempt.trouble else "")
        if attempt.judged:
            return ""
        if attempt.error:
            return f"it was never sent: {attempt.trouble}"
        left = any(sighting.place == self._near.full_name for sighting in self._sightings)
        if not left and (before.hop_answers or after.hop_answers):
            return "it was never seen to leave, although the next hop answers"
        return attempt.doubt

    def _silence(self, before: Control) -> str:
        """What to say of a probe that was proved dropped without an answer."""
        attempt, tries = self._attempts[-1], len(self._attempts)
        if attempt.judged:
            return attempt.judged
        silence = f"no answer within {self._wait:g} s, {'twice' if tries == 2 else f'{tries} times'}"
        seen = [s for s in self._sightings if not wire.icmp_error(s.frame.data) and attempt.pending(s.frame)]
        words = f"{silence}; last seen at {seen[-1].hop}" if seen else f"{silence}; {before.words}"
        return f"{words}; {attempt.remark}" if attempt.remark else words

    def _resolvable(self, before: Control) -> bool:
        """Whether some place on the way still asks for a neighbour that does answer: its next try will get through."""
        names = {self._near.full_name, *(sighting.place for sighting in self._sightings)}
        waiting = [
            (place, neighbour)
            for place in (self._lab.place(name) for name in sorted(names))
            for neighbour in place.neighbours
            if neighbour.state == "incomplete" and (place is not self._near or neighbour.ip == before.hop)
        ]
        return any(ask(place, one.link, one.ip, WAIT).answered for place, one in waiting[:_MOST_NEIGHBOURS])

    def _overflow(self) -> str:
        """What to say when some place carried more than could be watched; empty when none did."""
        for place in self._lab.places:
            lost = self._lab.tap(place).lost()
            if lost:
                return f"{place.full_name} carries so much that {lost} frames went by unseen"
        return ""

    def _late(self) -> bool:
        """Whether an answer to any attempt came after all, only later than was waited for."""
        bare = self._probe.destination.partition("%")[0]
        tap = self._lab.tap(self._near)
        tap.frames()
        answers = [
            frame
            for frame in tap.recent
            if frame.when >= self._began and not frame.out and wire.read(frame.data).source == bare
        ]
        pending = self._attempts[-1].pending  # what an earlier attempt got as far as is no answer to a later step
        return any(attempt.matches(frame) and pending(frame) for attempt in self._attempts for frame in answers)

    def _told(self, verdict: Verdict, reason: str, controls: tuple[str, ...] = ()) -> Reach:
        probe, attempt, far = self._probe, self._attempts[-1], self._far
        return Reach(
            verdict=verdict,
            probe=probe.what,
            sender=self._near.full_name,
            receiver=far.full_name if far else "",
            destination=probe.destination,
            reason=reason,
            attempts=len(self._attempts),
            source_seen=attempt.source_seen or self._source_seen(),
            rtt=attempt.rtt,
            answered_by=attempt.answered_by,
            receivers=attempt.receivers or ((far.full_name,) if far and attempt.answered else ()),
            sightings=self._sightings,
            controls=controls,
        )

    def _source_seen(self) -> str | None:
        """What the far end saw: the source in the last link that the request came in by."""
        if self._far is None:
            return None
        frames = [sighting.frame for sighting in self._sightings if sighting.place == self._far.full_name]
        seen = [source for frame in frames if (source := self._probe.source_in(frame))]
        return seen[-1] if seen else None


def _await_duplicate_detection(probe: Probe, places: Sequence[Place], *, also_link_local: bool = False) -> str:
    """An IPv6 address that is still checked for duplicates neither sends, answers nor routes: wait for that to end.

    A router asks for neighbours from its link-local address, so those of all who may be one count, too.
    What to say when it does not end; empty when it does.
    """
    if not is_ipv6(probe.destination):
        return ""
    link_local = also_link_local or probe.destination.lower().startswith(("fe8", "ff"))
    scopes = ("global", "link") if link_local else ("global",)
    for place in places:
        deadline = Deadline.after(_DUPLICATE_DETECTION, f"the IPv6 addresses of {place.full_name}")
        if not monitor.await_addresses(place.namespace, deadline, scopes):
            return f"an IPv6 address of {place.full_name} is still checked for duplicates"
    return ""
