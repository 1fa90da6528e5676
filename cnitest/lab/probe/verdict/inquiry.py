"""How a verdict is reached.

An answer settles it at once. Silence settles nothing: the probe is sent again under the sniffers of every place of the
lab, between two controls that must get through. Only a probe that was seen to leave, on a path that carries what it
should, counts as dropped; anything else is unproven.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Literal, get_args

from cnitest.deadline import scaled
from cnitest.errors import UsageError
from cnitest.kernel.namespaces import Kept
from cnitest.kernel.packet_socket import PacketSocket
from cnitest.kernel.rows.records import Neighbour
from cnitest.kernel.tracing import trace
from cnitest.lab.probe import wire
from cnitest.lab.probe.base import Attempt, Probe, is_ipv6
from cnitest.lab.probe.verdict import holding, programs, proxies, refusal, silence, sizes, under_way
from cnitest.lab.probe.verdict.controls import ANSWER, Control, brief_control, control, nothing_comes
from cnitest.lab.probe.verdict.neighbour import ask_anew, await_duplicate_detection
from cnitest.lab.probe.verdict.refusal import Refusal
from cnitest.lab.probe.verdict.watching import alike, watched_attempt
from cnitest.lab.reach import Freed, Reach, Seen, Sighting, Verdict

if TYPE_CHECKING:
    from cnitest.lab.lab import Lab
    from cnitest.lab.place import Place

#: Who watches a probe's first attempt: the sender and the far end, or every place of the lab.
Watch = Literal["ends", "all"]
_WATCHES = get_args(Watch)

#: Seconds without an answer after which an attempt counts as lost.
WAIT = 0.3
# A neighbour that did not answer the kernel is asked for again after a second (retrans_time_ms).
_NEIGHBOUR_RETRY = 1.6
# An answer that was on its way when an attempt was given up gets one more chance.
_LATE_RETRY = 2.0
_TOO_LATE = "an answer came, but later than was waited for: give it more time with wait=…"
_FIREWALL = "the sender's own firewall refused it"
_MOST_NEIGHBOURS, _UNANSWERED = 4, ("incomplete", "failed")
# So many links on the way may be narrower than the one before.
_MOST_NARROWER = 4


def prove(probe: Probe, wait: float | None = None, watch: Watch = "ends") -> Reach:
    """Send a probe and find out what became of it; noted in the lab's journal.

    Raises UsageError for a ``watch`` that there is not.
    """
    reach = inquire(probe, wait, watch)
    probe.sender.lab.journal.note(reach)
    return reach


def inquire(probe: Probe, wait: float | None = None, watch: Watch = "ends") -> Reach:
    """The same, noted nowhere."""
    if watch not in _WATCHES:
        raise UsageError(f'watch is "ends" (the sender and the far end) or "all" (every place), not {watch!r}')
    lab = probe.sender.lab
    with lab.probing:
        return Inquiry(lab, probe, scaled(WAIT if wait is None else wait), watch).reach()


class Inquiry:
    """One probe, all attempts at it, and what was seen of the last."""

    def __init__(self, lab: Lab, probe: Probe, wait: float, watch: Watch) -> None:
        self._lab, self._probe, self._near, self._far = lab, probe, probe.sender, probe.far
        self._watch_all = watch == "all" or probe.size > sizes.FITS_EVERYWHERE
        self._began = self._start = 0
        self._last = under_way.Sent(0, {})
        self._attempts: list[Attempt] = []
        self._wait = self._waited = wait
        self._seen = Seen()
        # Who said first that it is too large, with what was seen then; how small it was to be at last.
        self._too_large: tuple[Refusal, Seen] | None = None
        self._mtu, self._narrower = 0, False
        # Since when no place knows what it asked for before; why the sender did not ask; was it answered elsewhere?
        self._anew, self._unasked, self._elsewhere = 0, "", False

    @property
    def _everyone(self) -> list[Place]:
        return [self._near, *(place for place in self._lab.places if place is not self._near)]

    def begin(self, count: int) -> None:
        """Answers that come later count, even late ones: the sender's sniffer has seen so many frames until now."""
        self._began, self._start = count, time.time_ns()

    def reach(self) -> Reach:
        """Send it; when silence is all that comes, send it again with sniffers everywhere."""
        ends = [self._near] if self._far in (None, self._near) else [self._near, self._far]
        watchers = self._everyone if self._watch_all else ends
        await_duplicate_detection(self._probe, watchers)
        self.begin(self._forget_frames(watchers, self._probe.kept)[0].count)
        # A Reach is false when it is a drop: is it there?
        settled = self._send(watchers, self._wait, may_end_early=True)
        if self._elsewhere:  # then who?
            self._forget_frames(self._everyone)
            settled = self._send(self._everyone, self._wait) or settled
        if settled is None and not self._lab.blind:
            trace.begin()
        if settled is None and self._seen.settled and not self._narrower:
            trace.await_armed(self._wait)
            settled = self._confirm(self._seen.freed if self._seen.traced else ())
        return self._inquire() if settled is None else settled

    def _confirm(self, freed: Sequence[Freed]) -> Reach | None:
        """Send what is gone once more, with everyone watching: dropped when that is gone, too, in the same way."""
        everyone = self._everyone
        self._lab.settle(six=is_ipv6(self._probe.destination))
        if await_duplicate_detection(self._probe, everyone, also_link_local=True):
            return None
        self._anew = ask_anew(everyone)
        self._forget_frames(everyone)
        settled = self._send(everyone, self._wait, may_end_early=True, freed=freed)
        if settled is not None or not self._seen.settled or self._narrower or self.late():
            return settled
        if self._seen.traced and (not freed or alike(self._seen.freed, freed)):
            brief, words = brief_control(self._probe), silence.freed(self._attempts[-1], self._seen)
            return self._reach(Verdict.DROPPED, words, controls=(brief.words,) if brief else ())
        passed = self._control()
        if under_way.overflow(self._lab) or self._doubt(passed, passed) or self._still_coming():
            return None
        why = silence.why_lost(self._lost, self._probe.destination, self._near)
        words = silence.gone(self._attempts[-1], self._seen, self._unasked or passed.words, why)
        return self._reach(Verdict.DROPPED, words, controls=(passed.words,))

    def _inquire(self) -> Reach:
        """Send again with everyone watching, between two controls."""
        everyone = self._everyone
        self._lab.settle(six=is_ipv6(self._probe.destination))
        unsettled = await_duplicate_detection(self._probe, everyone, also_link_local=True)
        before = self._control()
        if not self._left:  # what it asked for before this probe says nothing of it
            self._anew = ask_anew(everyone)
        self._forget_frames(everyone)
        settled = self._send(everyone, self._wait, may_end_early=self._attempts[-1].forbidden)
        for _ in range(_MOST_NARROWER):
            if settled is None and self._narrower:
                settled = self._send(everyone, self._wait)
        if settled is None and (delay := proxies.delay_seen(self._lab, self._seen, self._probe.destination)):
            settled = self._send(everyone, self._wait + delay)
        if settled is None and self.resolvable(before):
            settled = self._send(everyone, scaled(_NEIGHBOUR_RETRY), may_end_early=True)
        overflow = under_way.overflow(self._lab)
        if settled is None and overflow:  # what many links say when they come up is over soon
            self._forget_frames(everyone)
            settled, overflow = self._send(everyone, self._wait), under_way.overflow(self._lab)
        coming = settled is None and self._still_coming()  # after the control they may have gone on
        after = self._control() if settled is None else before
        before = after if before.passed and before.hop != after.hop else before  # known once the flow has asked for it
        if settled is None and (coming or self.late() or self._may_take_long()):
            settled = self._send(everyone, scaled(_LATE_RETRY))
        if settled is not None:
            return settled
        doubt = unsettled or overflow or self._doubt(before, after) or self._still_coming()
        return self.concluded(before, after, doubt)

    def concluded(self, before: Control, after: Control, doubt: str = "") -> Reach:
        """The verdict on a probe that nobody answered, between two controls, when nothing of it is on its way any more;
        ``doubt`` is known already."""
        doubt = doubt or self._doubt(before, after)
        controls = tuple(dict.fromkeys((before.words, after.words)))
        if doubt:
            return self._reach(Verdict.UNPROVEN, doubt, controls=controls)
        return self._reach(Verdict.DROPPED, self._silence(before), controls=controls)

    def _send(
        self, watchers: Sequence[Place], wait: float, *, may_end_early: bool = False, freed: Sequence[Freed] = ()
    ) -> Reach | None:
        """One attempt, watched by some; what came of it, None when nobody answered."""
        sniffers = dict(zip(watchers, self._lab.sniffers(watchers), strict=True))
        counts = {place: sniffer.count for place, sniffer in sniffers.items()}
        self._last = under_way.Sent(time.time_ns() + round(wait * 1e9), counts)
        attempt, seen = watched_attempt(
            self._probe, sniffers, wait, self._far, may_end_early=may_end_early, expected=freed
        )
        if not getattr(self._probe, "sent_again_after", 0):  # it takes the time that it needs
            self._last = under_way.Sent(time.time_ns(), counts)
        return self.taken(attempt, seen, watchers, wait)

    def taken(self, attempt: Attempt, seen: Seen, watchers: Sequence[Place], wait: float) -> Reach | None:
        """What came of an attempt that some watched; None when nobody answered."""
        if self._lab.blind:
            attempt = attempt.unheard()
        self._seen = seen
        self._attempts.append(attempt)
        self._waited, self._narrower = wait, False
        if attempt.answered:
            lost = f", {len(self._attempts) - 1} lost before" if len(self._attempts) > 1 else ""
            took = f" after {attempt.rtt * 1000:.2f} ms" if attempt.rtt is not None else ""
            self._elsewhere = refusal.is_elsewhere(self._probe, seen)
            who = refusal.answerer(self._probe, attempt, seen) if self._elsewhere else (None, attempt.answered_by or "")
            return self._reach(Verdict.DELIVERED, f"answered by {who[1]}{took}{lost}", who[0])
        return self._refused(watchers, wait) if self._seen else None

    def _refused(self, watchers: Sequence[Place], wait: float) -> Reach | None:
        """The end of a probe that was rejected; sent again with sniffers everywhere when nobody saw who did it."""
        attempt = self._attempts[-1]
        found = refusal.refusal(attempt, self._seen, self._near)
        if found is None:
            return self._reach(Verdict.DROPPED, attempt.refusal) if attempt.refusal else None
        if found.says in wire.TOO_BIG:
            return self._is_too_large(found)
        reach = self._reach(Verdict.DROPPED, *refusal.words(found, attempt, self._far, self._near))
        if found.origin or len(watchers) == len(self._everyone):
            return reach
        self._forget_frames(self._everyone)
        again = self._send(self._everyone, wait)
        return reach if again is None else again

    def _is_too_large(self, found: Refusal) -> Reach | None:
        """None at first: now that the sender knows, its next one may get through in parts."""
        mtu, known = wire.next_mtu(found.frame), self._mtu
        self._too_large = self._too_large or (found, self._seen)
        self._mtu = mtu
        self._narrower = not known or 0 < mtu < known
        return None if self._narrower else self._reach(Verdict.DROPPED, sizes.in_words(found, self._near), found.source)

    def _forget_frames(self, places: Sequence[Place], also: Sequence[Kept] = ()) -> list[PacketSocket]:
        """Open sniffers everywhere, and leave out what they have seen so far."""
        sniffers = self._lab.sniffers(places, also)
        for sniffer in sniffers:
            sniffer.forget()
        return sniffers

    @property
    def _left(self) -> bool:
        """Whether the last attempt was seen on a link of its sender."""
        return silence.has_left(self._seen, self._near.full_name)

    def _control(self) -> Control:
        return control(self._probe, left=self._left)

    def _doubt(self, before: Control, after: Control) -> str:
        self._unasked = self._keeps_back(before) if self._anew else ""
        sent, kept = self._seen.at(self._near.full_name), bool(self._unasked)
        attempt = self._attempts[-1]
        doubt = silence.doubt(attempt, sent, before, after, kept_back=kept)
        return doubt or silence.elsewhere(self._probe, attempt, self._seen)

    def _keeps_back(self, hop: Control) -> str:
        """Why it never left, although the next hop answers: its sender does not get to know the MAC. Empty else."""
        if self._left or not hop.hop_answers:
            return ""
        return holding.keeps_back(self._near, hop.link, hop.hop, self._anew or self._start, ANSWER)

    def _silence(self, before: Control) -> str:
        """What to say of a probe that was proved dropped without an answer."""
        attempt, tries, lost = self._attempts[-1], len(self._attempts), self._lost
        if attempt.forbidden:
            return _FIREWALL
        if attempt.too_large and self._too_large is None:
            return sizes.own(self._near, self._probe.destination, self._probe.source)
        if attempt.too_large and self._too_large:
            found, self._seen = self._too_large
            return sizes.in_words(found, self._near)
        wait = f"{self._wait:g} s, {'twice' if tries == 2 else f'{tries} times'}"
        why = silence.why_lost(lost, self._probe.destination, self._near)
        return silence.unanswered(
            attempt, wait, lost, why, silence.last_seen(attempt, self._seen) or self._unasked or before.words
        )

    @property
    def _lost(self) -> Sighting | None:
        """The answer to the last attempt that came to the sender in good time and was not taken."""
        return silence.lost_answer(self._attempts[-1], self._waited, self._seen, self._near)

    def resolvable(self, before: Control) -> bool:
        """Whether a place asks, or gave up asking, for a neighbour that does answer: its next try will get through."""
        found = islice(self.unresolved(before, lambda place: place.neighbours, _UNANSWERED), _MOST_NEIGHBOURS)
        ask = proxies.ask_with_proxy_delay
        return any(ask(place, one.link, one.ip, WAIT, nothing_comes(place)).answered for place, one in found)

    def unresolved(
        self,
        before: Control,
        neighbours: Callable[[Place], Sequence[Neighbour]],
        states: Sequence[str] = _UNANSWERED[:1],
    ) -> Iterator[tuple[Place, Neighbour]]:
        """The neighbours that places on the way still ask for."""
        names = {self._near.full_name, *(one.place for one in self._seen.watched if one.frames)}
        for place in (self._lab.place(name) for name in sorted(names)):
            for neighbour in neighbours(place):
                if neighbour.state in states and (place is not self._near or neighbour.ip == before.hop):
                    yield place, neighbour

    def late(self) -> bool:
        """Whether an answer to any attempt came after all, or the last one came further, later than was waited for."""
        if self._lost:
            return False
        if under_way.is_overdue(self._lab, self._near, self._attempts[-1], self._last):
            return True
        bare = self._probe.destination.partition("%")[0]
        pending = self._attempts[-1].pending  # what an earlier attempt got as far as is no answer to a later step
        come = [frame for frame in self._lab.sniffer(self._near).since(self._began) if not frame.out and pending(frame)]
        ours = [frame for frame in come if any(each.matches(frame) for each in self._attempts if not each.helped)]
        return any(silence.is_answer(frame, bare, self._probe.port) for frame in ours)

    def _still_coming(self) -> str:
        """What to say when packets of any attempt are on their way, or an answer came late; empty when none is."""
        ends = [self._near, self._far or self._near]
        seen = [self._lab.place(one.place) for one in self._seen.watched if one.frames]
        resting = under_way.resting(self._lab, list(dict.fromkeys((*ends, *seen))), under_way.any_of(self._attempts))
        if resting:  # looked for first: what has left a queue by now is late
            return f"there are {resting}: give it more time with wait=…"
        return _TOO_LATE if self.late() else ""

    def _may_take_long(self) -> bool:
        """Whether somebody shapes a link of the lab, or has packets of the probe where we cannot see what waits."""
        return holding.shapes(self._lab) or programs.may_see(self._lab) or holding.are_handed_out(self._lab, self._seen)

    def _reach(self, verdict: Verdict, reason: str, by: str | None = None, controls: tuple[str, ...] = ()) -> Reach:
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
            answered_by=by or attempt.answered_by,
            receivers=attempt.receivers or ((far.full_name,) if far and attempt.answered else ()),
            controls=controls,
            seen=self._seen,
            received=attempt.received,
            transport=probe.transport,
            port=probe.port,
            explainer=partial(self._lab.explain, probe)
            if self._lab.explain and verdict is not Verdict.DELIVERED
            else None,
        )

    def _source_seen(self) -> str | None:
        """What the far end saw: the source in the last link that the request came in by."""
        if self._far is None:
            return None
        came = [frame for frame in self._seen.at(self._far.full_name) if not frame.out]
        seen = [source for frame in came if (source := self._probe.source_in(frame))]
        return seen[-1] if seen else None
