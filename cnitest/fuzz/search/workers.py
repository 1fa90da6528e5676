"""One or more workers that search the same subject, each from its own seed, and what they report meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from random import Random
from typing import Any, NamedTuple

from cnitest.conformance.model.subject import Trial, from_data, to_data
from cnitest.deadline import Deadline
from cnitest.fuzz.execute.differential import Pair
from cnitest.fuzz.execute.executor import ReusingExecutor
from cnitest.fuzz.search import store
from cnitest.fuzz.search.kinds import comparisons, rounds, used
from cnitest.fuzz.search.rounds import FuzzFinding, Others, SearchTally
from cnitest.fuzz.search.searcher import Executor, Searcher, Turn
from cnitest.fuzz.search.settings import FuzzSettings
from cnitest.kernel.processes.workers import Connection, Gone, Workers
from cnitest.kernel.tracing import trace

__all__ = ["Event", "FuzzSettings", "Stopped", "WorkerProgress", "search", "together"]

_ROUND = 40
# How often each kind of round comes at least in a whole search, and the seconds that are enough for one.
_CYCLES, _SHORTEST = 2, 5.0
_TICK, _GRACE = 0.2, 60.0


class WorkerProgress(NamedTuple):
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


Event = WorkerProgress | FuzzFinding | Stopped


class _Colleagues:
    """The other workers, by way of their parent."""

    def __init__(self, worker: int, parent: Connection) -> None:
        self._worker, self._parent = worker, parent

    def claim(self, cause: str) -> None:
        """Announce it to the parent, which passes it on to the others."""
        self._parent.send(_Claim(self._worker, cause))

    def claimed(self) -> list[str]:
        """What the parent has passed on since the last time."""
        found = []
        while self._parent.poll():
            found.append(self._parent.recv())
        return found


def search(settings: FuzzSettings, worker: int = 0, others: Others | None = None) -> Iterator[Event]:
    """Search in this process; yields what is found, and how far it is after each round."""
    keys: set[str] = set()
    deadline = Deadline.after(settings.seconds, "fuzzing to end")
    tally = SearchTally(began=time.monotonic())
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
            yield WorkerProgress(worker, tally.examples, frozenset(keys))
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
    each = -(-settings.examples // workers)
    row = {**settings.__dict__, "subject": to_data([settings.subject])[0], "examples": each, "share": (0, workers)}
    try:
        with Workers(_work, [(row, number) for number in range(workers)]) as processes:
            events = _events(processes, time.monotonic() + settings.seconds + _GRACE)
            yield from _without_claims(events, workers, processes.send)
    finally:
        trace.sweep()


def _without_claims(
    events: Iterator[Event | _Claim], workers: int, send: Callable[[int, str], None]
) -> Iterator[Event]:
    """All events but claims; of each cause, the first claim is passed on to everybody else."""
    claimed: set[str] = set()
    for event in events:
        if not isinstance(event, _Claim):
            yield event
        elif event.cause not in claimed:
            claimed.add(event.cause)
            for number in range(workers):
                if number != event.worker:
                    send(number, event.cause)


def _events(workers: Workers, end: float) -> Iterator[Event | _Claim]:
    """What comes of them; of one that was ended, how."""
    while workers.left:
        for number, event in workers.received(_TICK):
            if not isinstance(event, Gone):
                yield event
            elif not event.is_done:
                yield Stopped(number, event.words)
        if workers.left and time.monotonic() > end:
            for number in workers.left:
                yield Stopped(number, "did not end in time")
            return


def _work(row: dict[str, Any], number: int, parent: Connection) -> None:
    """What a worker's process does."""
    store.keep_tables_apart()
    settings = FuzzSettings(**{**row, "subject": from_data([row["subject"]])[0], "share": (number, row["share"][1])})
    for event in _alone(settings, number, _Colleagues(number, parent)):
        parent.send(event)


def _alone(settings: FuzzSettings, worker: int, others: Others | None) -> Iterator[Event]:
    """Search; whatever ends that too soon is reported."""
    try:
        yield from search(settings, worker, others)
    except Exception as error:
        yield Stopped(worker, f"{type(error).__name__}: {error}")
