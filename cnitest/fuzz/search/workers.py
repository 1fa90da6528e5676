"""One or more workers that search the same subject, each from its own seed, and what they report meanwhile."""

from __future__ import annotations

import multiprocessing
import queue
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from random import Random
from typing import Any, NamedTuple

from cnitest import interrupts
from cnitest.conformance.model.subject import Trial, from_data, to_data
from cnitest.deadline import Deadline
from cnitest.fuzz.execute.differential import Pair
from cnitest.fuzz.execute.executor import ReusingExecutor
from cnitest.fuzz.search.kinds import comparisons, rounds, used
from cnitest.fuzz.search.rounds import Finding, Others, Tally
from cnitest.fuzz.search.searcher import Executor, Searcher, Turn
from cnitest.fuzz.search.settings import FuzzSettings
from cnitest.kernel.tracing import trace

__all__ = ["Event", "FuzzSettings", "Progress", "Stopped", "search", "together"]

_ROUND = 40
# How often each kind of round comes at least in a whole search, and the seconds that are enough for one.
_CYCLES, _SHORTEST = 2, 5.0
_TICK, _GRACE = 0.2, 60.0


class Progress(NamedTuple):
    """How far one worker has come: examples in all, and the keys of configurations that it tried lately."""

    worker: int
    examples: int
    keys: frozenset[str]


class Stopped(NamedTuple):
    """What kept a worker from going on, in words."""

    worker: int
    words: str


class _Claim(NamedTuple):
    """A cause that one worker is after."""

    worker: int
    cause: str


Event = Progress | Finding | Stopped


class _Colleagues:
    """The other workers, by way of their parent: what goes out to it, and what comes from it."""

    def __init__(self, worker: int, out: Any, box: Any) -> None:
        self._worker, self._out, self._box = worker, out, box

    def claim(self, cause: str) -> None:
        """Announce it to the parent, which passes it on to the others."""
        self._out.put(_Claim(self._worker, cause))

    def claimed(self) -> list[str]:
        """What the parent has passed on since the last time."""
        found = []
        while not self._box.empty():
            found.append(self._box.get())
        return found


def search(settings: FuzzSettings, worker: int = 0, others: Others | None = None) -> Iterator[Event]:
    """Search in this process; yields what is found, and how far it is after each round."""
    keys: set[str] = set()
    deadline = Deadline.after(settings.seconds, "fuzzing to end")
    tally = Tally(began=time.monotonic())
    with ExitStack() as stack:
        searchers = partial(Searcher, seen=lambda scenario: keys.update(used(scenario)), deadline=deadline, tally=tally)
        turns = list(_turns(settings, stack, partial(searchers, known=set(settings.known), others=others)))
        number = before = 0
        while not deadline.expired and not (settings.examples and tally.examples >= settings.examples):
            left = settings.examples - tally.examples if settings.examples else _ROUND
            seed = Random(f"{settings.seed} {worker} {number}").getrandbits(48)
            searcher, turn = turns[number % len(turns)]
            searcher.take_turn(max(settings.seconds / len(turns) / _CYCLES, _SHORTEST))
            finding = turn(searcher, min(_ROUND, left), seed)
            number += 1
            if finding is not None:
                yield finding
            yield from (Stopped(worker, words) for words in searcher.failures())
            yield Progress(worker, tally.examples, frozenset(keys))
            if number % len(turns) == 0:
                if tally.examples == before:  # there is nothing left to try
                    return
                before = tally.examples


def _turns(
    settings: FuzzSettings, stack: ExitStack, searcher: Callable[[Executor], Searcher]
) -> Iterator[tuple[Searcher, Turn]]:
    """The turns of all kinds, each with the searcher whose executor it needs."""
    trial = Trial(settings.subject, settings.subject.highest)
    one = rounds(settings)
    if one:
        executor = stack.enter_context(ReusingExecutor(trial, next_path=settings.next_path))
        yield from ((searcher(executor), turn) for turn in one)
    for backends, turn in comparisons(settings):
        pair = stack.enter_context(Pair(trial, () if backends else settings.next_path, backends=backends))
        yield searcher(pair), turn


def together(settings: FuzzSettings, workers: int) -> Iterator[Event]:
    """Search with several processes; their events as they come. Ends when all have ended, kills none too early."""
    if workers <= 1:
        yield from _alone(settings, 0, None)
        return
    context = multiprocessing.get_context("spawn")
    out: multiprocessing.Queue[Any] = context.Queue()
    boxes = [context.SimpleQueue() for _ in range(workers)]
    each = -(-settings.examples // workers)
    row = {**settings.__dict__, "subject": to_data([settings.subject])[0], "examples": each, "share": (0, workers)}
    processes = [
        context.Process(target=_work, args=(row, number, out, box), daemon=True) for number, box in enumerate(boxes)
    ]
    with interrupts.withheld():
        for process in processes:
            process.start()
    try:
        yield from _without_claims(_events(processes, out, time.monotonic() + settings.seconds + _GRACE), boxes)
    finally:
        for process in processes:
            process.terminate()
            process.join(5.0)
        trace.sweep()


def _without_claims(events: Iterator[Event | _Claim], boxes: list[Any]) -> Iterator[Event]:
    """All events but claims; of each cause, the first claim is passed on to everybody else."""
    claimed: set[str] = set()
    for event in events:
        if not isinstance(event, _Claim):
            yield event
        elif event.cause not in claimed:
            claimed.add(event.cause)
            for number, box in enumerate(boxes):
                if number != event.worker:
                    box.put(event.cause)


def _events(processes: list[Any], out: Any, end: float) -> Iterator[Event | _Claim]:
    ended = 0
    while ended < len(processes):
        try:
            event = out.get(timeout=_TICK)
        except queue.Empty:
            if time.monotonic() > end:
                yield Stopped(0, f"{len(processes) - ended} of {len(processes)} workers did not end in time")
                return
            if not any(process.is_alive() for process in processes) and out.empty():
                return
            continue
        if event is None:
            ended += 1
        else:
            yield event


def _work(row: dict[str, Any], number: int, out: Any, box: Any) -> None:
    """A worker's process: Ctrl-C is for its parent, which ends it."""
    interrupts.ignore()
    settings = FuzzSettings(**{**row, "subject": from_data([row["subject"]])[0], "share": (number, row["share"][1])})
    try:
        for event in _alone(settings, number, _Colleagues(number, out, box)):
            out.put(event)
    finally:
        out.put(None)


def _alone(settings: FuzzSettings, worker: int, others: Others | None) -> Iterator[Event]:
    """Search; whatever ends that too soon is reported."""
    try:
        yield from search(settings, worker, others)
    except Exception as error:
        yield Stopped(worker, f"{type(error).__name__}: {error}")
