"""How a verdict is reached.

An answer settles it at once. Silence settles nothing: the probe is sent again under the eyes of every place of the
lab, between two controls that must get through. Only a probe that was seen to leave, on a path that carries what it
should, counts as dropped; anything else is unproven.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnitest.deadline import Deadline
from cnitest.kernel import monitor
from cnitest.kernel.namespaces import Kept
from cnitest.kernel.tap import Frame
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


def prove(probe: Probe, wait: float | None = None) -> Reach:
    """Send a probe and find out what became of it; noted in the lab's journal."""
    lab = probe.sender.lab
    with lab.probing:
        _await_duplicate_detection(probe, [probe.sender, probe.far or probe.sender])
        reach = _prove(lab, probe, WAIT if wait is None else wait)
    lab.journal.note(reach)
    return reach


def _prove(lab: Lab, probe: Probe, wait: float) -> Reach:
    near, far = probe.sender, probe.far
    eyes = [near] if far is None or far is near else [near, far]
    _forget_frames(lab, eyes, probe.kept)
    first = _attempt(lab, probe, wait)
    sightings = _sightings(lab, eyes, first)
    if first.answered:
        return _delivered(probe, far, first, sightings, 1)
    if first.refusal and sightings:
        return _reach(Verdict.DROPPED, probe, far, first.refusal, sightings, attempt=first)
    return _inquire(lab, probe, far, wait)


def _forget_frames(lab: Lab, places: Sequence[Place], also: Sequence[Kept] = ()) -> None:
    """Open everyone's eyes, and look away from what they have seen so far."""
    for tap in lab.taps(places, also):
        while tap.frames():
            pass
        tap.lost()


def _attempt(lab: Lab, probe: Probe, wait: float) -> Attempt:
    attempt = probe.attempt(wait)
    return attempt.unheard() if lab.blind else attempt


def _inquire(lab: Lab, probe: Probe, far: Place | None, wait: float) -> Reach:
    """Send again with everyone watching, between two controls."""
    lab.settle()
    unsettled = _await_duplicate_detection(probe, lab.places)
    before = control(probe.sender, probe.destination)
    _forget_frames(lab, lab.places)
    attempts, attempt = 2, _attempt(lab, probe, wait)
    sightings = _sightings(lab, lab.places, attempt)
    if not attempt.settled and _resolvable(lab, probe, sightings):
        attempts, attempt = 3, _attempt(lab, probe, _NEIGHBOUR_RETRY)
        sightings = _sightings(lab, lab.places, attempt)
    if attempt.answered:
        return _delivered(probe, far, attempt, sightings, attempts)
    if attempt.refusal and sightings:
        return _reach(Verdict.DROPPED, probe, far, attempt.refusal, sightings, attempts, attempt)
    after = control(probe.sender, probe.destination)
    controls = tuple(dict.fromkeys((before.words, after.words)))
    doubt = (
        unsettled or _overflow(lab) or _doubt(probe, attempt, sightings, before, after) or _late(lab, probe, attempt)
    )
    verdict = Verdict.UNPROVEN if doubt else Verdict.DROPPED
    reason = doubt or _reason(attempt, sightings, before, wait, attempts)
    return _reach(verdict, probe, far, reason, sightings, attempts, attempt, controls)


def _doubt(probe: Probe, attempt: Attempt, sightings: Sequence[Sighting], before: Control, after: Control) -> str:
    """Why silence proves nothing here; empty when it does."""
    for passed in (before, after):
        if not passed.passed:
            return passed.words + (f" ({attempt.trouble})" if attempt.trouble else "")
    if attempt.judged:
        return ""
    if attempt.error:
        return f"it was never sent: {attempt.trouble}"
    left = any(sighting.place == probe.sender.full_name for sighting in sightings)
    unresolved = not before.hop_answers and not after.hop_answers
    if not left and not unresolved:
        return "it was never seen to leave, although the next hop answers"
    return ""


def _overflow(lab: Lab) -> str:
    """What to say when some place carried more than could be watched; empty when none did."""
    for place in lab.places:
        lost = lab.tap(place).lost()
        if lost:
            return f"{place.full_name} carries so much that {lost} frames went by unseen"
    return ""


def _late(lab: Lab, probe: Probe, attempt: Attempt) -> str:
    """What to say when an answer came after all, only too late to count; empty when none did."""
    bare = probe.destination.partition("%")[0]
    for frame in lab.tap(probe.sender).frames():
        if not frame.out and attempt.matches(frame) and wire.read(frame.data).source == bare:
            return "an answer came, but later than was waited for: give it more time with wait=…"
    return ""


def _reason(attempt: Attempt, sightings: Sequence[Sighting], before: Control, wait: float, attempts: int) -> str:
    if attempt.judged:
        return attempt.judged
    times = "twice" if attempts == 2 else f"{attempts} times"
    silence = f"no answer within {wait:g} s, {times}"
    if not sightings:
        return f"{silence}; {before.words}"
    return f"{silence}; last seen at {sightings[-1].hop}"


def _resolvable(lab: Lab, probe: Probe, sightings: Sequence[Sighting]) -> bool:
    """Whether some place on the way still asks for a neighbour that does answer: then its next try will get through."""
    places = {probe.sender, *(lab.place(sighting.place) for sighting in sightings)}
    for place in places:
        for neighbour in place.neighbours:
            if neighbour.state in ("incomplete", "failed") and ask(place, neighbour.link, neighbour.ip, WAIT).answered:
                return True
    return False


def _sightings(lab: Lab, places: Sequence[Place], attempt: Attempt) -> tuple[Sighting, ...]:
    """The frames of an attempt at several places, the sender's first so that what they began with is known."""
    found = [
        Sighting(place.full_name, frame)
        for place in places
        for frame in lab.tap(place).frames()
        if attempt.matches(frame)
    ]
    return tuple(sorted(found, key=lambda sighting: sighting.frame.when))


def _delivered(
    probe: Probe, far: Place | None, attempt: Attempt, sightings: tuple[Sighting, ...], attempts: int
) -> Reach:
    lost = f", {attempts - 1} lost before" if attempts > 1 else ""
    rtt = f" after {attempt.rtt * 1000:.2f} ms" if attempt.rtt is not None else ""
    reason = f"answered by {attempt.answered_by}{rtt}{lost}"
    return _reach(Verdict.DELIVERED, probe, far, reason, sightings, attempts, attempt)


def _reach(
    verdict: Verdict,
    probe: Probe,
    far: Place | None,
    reason: str,
    sightings: Sequence[Sighting],
    attempts: int = 1,
    attempt: Attempt | None = None,
    controls: tuple[str, ...] = (),
) -> Reach:
    source = attempt.source_seen if attempt else None
    if source is None and far is not None:
        source = _source_seen(probe, far, [s.frame for s in sightings if s.place == far.full_name])
    return Reach(
        verdict,
        probe.what,
        probe.sender.full_name,
        far.full_name if far else "",
        probe.destination,
        reason,
        attempts,
        source,
        attempt.rtt if attempt else None,
        attempt.answered_by if attempt else None,
        tuple(sightings),
        controls,
    )


def _source_seen(probe: Probe, far: Place, frames: list[Frame]) -> str | None:
    """What the far end saw: the source in the last link that the request came in by."""
    seen = [source for frame in frames if (source := probe.source_in(frame))]
    return seen[-1] if seen and far is not probe.sender else (seen[0] if seen else None)


def _await_duplicate_detection(probe: Probe, places: Sequence[Place]) -> str:
    """An IPv6 address that is still checked for duplicates neither sends, answers nor routes: wait for that to end.

    What to say when it does not; empty when it does.
    """
    if not is_ipv6(probe.destination):
        return ""
    for place in places:
        deadline = Deadline.after(_DUPLICATE_DETECTION, f"the IPv6 addresses of {place.full_name}")
        if not monitor.await_addresses(place.namespace, deadline):
            return f"an IPv6 address of {place.full_name} is still checked for duplicates"
    return ""
