"""How many probes get their verdicts together.

An answer settles one at once. Silence settles nothing: those without an answer are sent again, together, under the
sniffers of every place, each between two controls of its own. What may be the batch's own doing (a
queue that was full, a sniffer that overflowed, an answer that came late) is proved alone, see
`cnitest.lab.probe.verdict.inquiry`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from cnitest.deadline import scaled
from cnitest.kernel.packet_socket import REMEMBERED
from cnitest.kernel.rows.records import Neighbour
from cnitest.lab.probe.base import Probe, is_ipv6
from cnitest.lab.probe.batch.asking import Controls, ask_all
from cnitest.lab.probe.batch.exchange import attempt_all, kinds
from cnitest.lab.probe.batch.losses import losses
from cnitest.lab.probe.batch.neighbours import NeighbourTables
from cnitest.lab.probe.batch.sniffers import Sniffers
from cnitest.lab.probe.verdict.controls import Control, FirstHop
from cnitest.lab.probe.verdict.inquiry import WAIT, Inquiry, inquire
from cnitest.lab.probe.verdict.neighbour import await_duplicate_detection
from cnitest.lab.probe.verdict.under_way import any_of, resting
from cnitest.lab.reach import Reach, Seen, Verdict

if TYPE_CHECKING:
    from cnitest.lab.lab import Lab
    from cnitest.lab.place import Place

T = TypeVar("T")
#: A sender, a link of it, and whether the family is IPv6.
_Line = tuple[str, str, bool]

# So many are under way at once. Each may need an entry of the neighbour tables, of which the kernel has 1024.
_AT_ONCE = 128
# So many places may know each other without filling those tables.
_FEW_PLACES = 16
# Where not one in so many was not answered, the others are sent again, so many at a time.
_RARE, _FEW = 20, 16
# Seconds without a further answer after which the rest is sent again, with everybody watching.
_QUIET = 0.05
# Where they may have been lost for being so many, they are sent again in smaller shares.
_SHARES = (1, 4, 16)
# So many that are unproven even alone are asked once more.
_AGAIN = 8
# A sniffer remembers so many frames; every place may see the questions for neighbours of each probe.
_MOST_FRAMES = REMEMBERED // 4
_LEAST_WATCHED = 8


def prove_all(probes: Sequence[Probe], wait: float | None = None) -> list[Reach]:
    """What became of each of many probes of one lab; those of kinds that cannot be sent together are sent alone.

    Sent in their order. Notes nothing in the lab's journal.
    """
    if not probes:
        return []
    lab = probes[0].sender.lab
    known = kinds()
    together = [at for at, probe in enumerate(probes) if type(probe) in known]
    with lab.probing:
        batch = _Batch(lab, probes, scaled(WAIT if wait is None else wait))
        found = batch.settle(together)
        pathless: set[_Line] = set()
        for at, probe in enumerate(probes):
            if at not in found:
                found[at] = _alone(probe, wait, batch.pathless.get(at), pathless)
        for at in [at for at, reach in found.items() if _is_disturbed(reach, batch.pathless.get(at))][:_AGAIN]:
            found[at] = inquire(probes[at], wait)
    return [found[at] for at in range(len(probes))]


def _alone(probe: Probe, wait: float | None, pathless: _Pathless | None, known: set[_Line]) -> Reach:
    """The reach of a probe that the batch does not settle. Where no path was found, one that is asked alone has to find
    none, too; it then speaks for the others from the same link, which are in ``known``."""
    if pathless and pathless.line in known:
        return pathless.reach
    reach = inquire(probe, wait)
    if pathless and reach.verdict is Verdict.UNPROVEN:
        known.add(pathless.line)
    return reach


def _is_disturbed(reach: Reach, pathless: _Pathless | None) -> bool:
    """Whether nothing is proved although there is a path: what disturbed it may have passed."""
    return reach.verdict is Verdict.UNPROVEN and pathless is None


class _Pathless(NamedTuple):
    """What the batch has to say of a probe whose sender's link does not work: nothing is proved."""

    line: _Line
    reach: Reach


class _Batch:
    """Probes by number, and the inquiry into each that was not answered at once."""

    def __init__(self, lab: Lab, probes: Sequence[Probe], wait: float) -> None:
        self._lab, self._probes, self._wait = lab, probes, wait
        self._places = list(lab.places)
        self._ends = list(dict.fromkeys(place for probe in probes for place in (probe.sender, probe.far) if place))
        self._found: dict[int, Reach] = {}
        self._inquiries: dict[int, Inquiry] = {}
        #: The probes whose controls did not pass.
        self.pathless: dict[int, _Pathless] = {}

    def settle(self, numbers: Sequence[int]) -> dict[int, Reach]:
        """The reaches of those that the batch settles, by number."""
        self._await_addresses()
        tables = NeighbourTables(self._ends) if len(self._ends) > _FEW_PLACES else None
        for some in _parts(numbers, _AT_ONCE):
            self._send(some)
            if tables:
                tables.restore(self._ends_of(some))
        silent: Sequence[int] = [at for at in numbers if at not in self._found]
        if tables and len(silent) * _RARE <= len(numbers):
            # Rather lost on the way of so many than dropped: a few at a time may get through.
            for some in _parts(silent, _FEW):
                self._send(some)
            silent = [at for at in numbers if at not in self._found]
        most = min(_AT_ONCE, _MOST_FRAMES // len(self._places))
        if silent:
            self._lab.settle(six=any(is_ipv6(probe.destination) for probe in self._probes))
        for at_once in dict.fromkeys(max(_LEAST_WATCHED, most // share) for share in _SHARES):
            doubtful: list[int] = []
            for some in _parts(silent, at_once):
                doubtful += () if self._send_watched(some) else some
                if tables:
                    tables.restore(self._ends_of(some))
            silent = [at for at in doubtful if at not in self._found]
        return self._found

    def _await_addresses(self) -> None:
        six = next((probe for probe in self._probes if is_ipv6(probe.destination)), None)
        if six:
            await_duplicate_detection(six, self._ends)

    def _ends_of(self, numbers: Sequence[int]) -> list[Place]:
        probes = [self._probes[at] for at in numbers]
        return list(dict.fromkeys(place for probe in probes for place in (probe.sender, probe.far) if place))

    def _send(self, numbers: Sequence[int]) -> None:
        """Send some once; what is answered is settled."""
        attempts = attempt_all([self._probes[at] for at in numbers], self._wait, quiet=scaled(_QUIET))
        for at, attempt in zip(numbers, attempts, strict=True):
            inquiry = self._inquiries.get(at) or Inquiry(self._lab, self._probes[at], self._wait, "all")
            reach = inquiry.taken(attempt, Seen(), (), self._wait)
            if reach is None:
                self._inquiries[at] = inquiry
            else:
                self._found[at] = reach
                self._inquiries.pop(at, None)

    def _send_watched(self, numbers: Sequence[int]) -> bool:
        """Send some again with everybody watching, between two controls of each; whether nothing was lost only because
        so many were under way."""
        probes = [self._probes[at] for at in numbers]
        inquiries = [self._inquiries[at] for at in numbers]
        controls = Controls(probes)
        before = controls.of(probes)
        sniffers = Sniffers(self._lab)
        for probe, inquiry in zip(probes, inquiries, strict=True):
            inquiry.begin(sniffers.count(probe.sender))
        lost = losses(self._lab)
        attempts = attempt_all(probes, self._wait, meanwhile=sniffers.read)
        watched = sniffers.watched(probes, attempts)
        silent = []
        for one in zip(numbers, probes, inquiries, before, attempts, watched, strict=True):
            at, _, inquiry, _, attempt, some = one
            reach = inquiry.taken(attempt, some, self._places, self._wait)
            if reach is None:
                silent.append(one[:4])
            else:
                self._found[at] = reach
        neighbours = _Unresolved()
        unresolved = [neighbours.some(inquiry, control) for _, _, inquiry, control in silent]
        after = controls.of([probe for _, probe, _, _ in silent])
        now = losses(self._lab)
        if sniffers.overflowed() or lost != now or now.waiting:
            return False
        if silent and resting(self._lab, self._places, any_of(attempts)):  # before it is asked which answers are late
            return False
        for (at, probe, inquiry, control), passed, asks in zip(silent, after, unresolved, strict=True):
            if not inquiry.late() and not asks:
                self._conclude(at, probe, inquiry.concluded(control, passed), control, passed)
        return True

    def _conclude(self, at: int, probe: Probe, reach: Reach, before: Control, after: Control) -> None:
        """Settle what was dropped, and note what is undecided because no control passed."""
        if reach.verdict is Verdict.DROPPED:
            self._found[at] = reach
        elif not (before.passed or after.passed):
            line = (probe.sender.full_name, before.link, is_ipv6(probe.destination))
            self.pathless[at] = _Pathless(line, reach)


class _Unresolved:
    """The neighbours that places still ask for although they answer."""

    def __init__(self) -> None:
        self._neighbours: dict[Place, tuple[Neighbour, ...]] = {}
        self._answers: dict[FirstHop, bool | None] = {}

    def some(self, inquiry: Inquiry, before: Control) -> bool:
        """Whether there are some on the way of a probe, whose next try will then get through."""
        hops = [FirstHop(place, one.link, one.ip) for place, one in inquiry.unresolved(before, self._of)]
        return any(self._answers[hop] is not False for hop in hops)

    def _of(self, place: Place) -> tuple[Neighbour, ...]:
        """The incomplete ones of a place, each asked once."""
        if place not in self._neighbours:
            some = tuple(one for one in place.neighbours if one.state == "incomplete")
            self._neighbours[place] = some
            self._answers |= ask_all([FirstHop(place, one.link, one.ip) for one in some], WAIT)
        return self._neighbours[place]


def _parts(numbers: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(numbers), most):
        yield numbers[start : start + most]
