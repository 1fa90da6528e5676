"""Crash consistency: each call of a plugin that changes something is hit once in each way, and what follows checked."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cnitest import interrupts
from cnitest.cni.calls.invoke import search_path
from cnitest.cni.conf import Network
from cnitest.conformance.model.subject import Setting
from cnitest.errors import CnitestError
from cnitest.faults.trial import COMMANDS, WAYS, SweptNetwork, TrialOutcome, attempt, baseline
from cnitest.injection.aim import Point
from cnitest.kernel.processes.workers import Connection, Gone, Workers
from cnitest.kernel.tracing import trace

__all__ = ["COMMANDS", "WAYS", "Coverage", "Point", "Sweep", "TrialOutcome", "sweep"]

#: Seconds after which a call of a plugin counts as hung.
TIMEOUT = 10.0
_TICK = 1.0


@dataclass(frozen=True)
class Coverage:
    """Of one command: how many of its calls change something, and of how many all wanted ways were decided."""

    command: str
    seen: int
    decided: int

    @property
    def share(self) -> float:
        """Decided of seen, from 0 to 1."""
        return self.decided / self.seen if self.seen else 1.0


@dataclass(frozen=True)
class Sweep:
    """A whole sweep: the network's name and plugins, all points, what came of those tried, and what is left when
    nothing is hit. ``seconds`` is its wall time; ``signal`` is the number of the one that ended it before all
    was tried."""

    network: str
    plugins: tuple[str, ...]
    ways: tuple[str, ...]
    points: tuple[Point, ...]
    outcomes: tuple[TrialOutcome, ...]
    usual: tuple[str, ...]
    seconds: float
    signal: int = 0

    @property
    def commands(self) -> tuple[str, ...]:
        """The commands that were swept."""
        return tuple(command for command in COMMANDS if any(point.command == command for point in self.points))

    @property
    def verbs(self) -> tuple[str, ...]:
        """The former name of ``commands``."""
        return self.commands

    @property
    def faulty(self) -> bool:
        """Whether anything was found."""
        return any(outcome.faults for outcome in self.outcomes)

    @property
    def moved(self) -> int:
        """How many trials hit their call at another number than it was seen at: its order is not fixed."""
        return sum(outcome.hit not in (0, outcome.point.number) for outcome in self.outcomes)

    def coverage(self, command: str) -> Coverage:
        """How much of a command was decided."""
        hits = [outcome.point for outcome in self.outcomes if outcome.hit]
        points = [point for point in self.points if point.command == command]
        return Coverage(command, len(points), sum(hits.count(point) >= len(self.ways) for point in points))


def sweep(
    network: Network,
    path: Sequence[str] = (),
    *,
    commands: Sequence[str] = COMMANDS,
    ways: Sequence[str] = WAYS,
    numbers: Iterable[int] | None = None,
    timeout: float = TIMEOUT,
    workers: int = 1,
    setting: Setting | None = None,
    verbs: Sequence[str] = (),
) -> Sweep:
    """Sweep a network's plugins, found in the directories of ``path``.

    ``numbers`` are those of the calls to hit, counted from 1 in each command; default all. ``workers`` is the number of
    processes; a script that wants several needs ``if __name__ == "__main__":``. ``setting`` is what a profile says:
    where the plugins work and what they are called with. Ctrl-C ends it with what there is. ``verbs`` is
    the former name of ``commands``.

    Raises FeatureMissing, and CnitestError when the network does not work when nothing is hit, or has no such calls.
    """
    began, commands = time.monotonic(), verbs or commands
    subject = SweptNetwork(network, tuple(path) or search_path(()), timeout, setting or Setting())
    known = baseline(subject)
    points = tuple(point for point in known.points if point.command in commands)
    wanted = _wanted(points, ways, numbers)
    if not wanted:
        there = f"there are {len(points)} in {' and '.join(commands)}"
        raise CnitestError(f"{network.name}: none of these calls was made; {there}")
    outcomes, signal = _until_interrupted(_outcomes(replace(subject, usual=known.leftovers), wanted, workers))
    return Sweep(
        network.name,
        tuple(map(_name, network.plugins)),
        tuple(ways),
        points,
        outcomes,
        tuple(sorted(known.leftovers)),
        time.monotonic() - began,
        signal,
    )


def _wanted(points: Iterable[Point], ways: Sequence[str], numbers: Iterable[int] | None) -> list[tuple[Point, str]]:
    """Each call to hit, with each way to do so; ``numbers`` None: all of them."""
    only = None if numbers is None else frozenset(numbers)
    return [(point, way) for point in points if only is None or point.number in only for way in ways]


def _until_interrupted(outcomes: Iterable[TrialOutcome]) -> tuple[tuple[TrialOutcome, ...], int]:
    """All outcomes and 0, or those until Ctrl-C or another signal, and its number."""
    found: list[TrialOutcome] = []
    try:
        for outcome in outcomes:
            found.append(outcome)
    except KeyboardInterrupt as error:
        return tuple(found), interrupts.number_of(error)
    return tuple(found), 0


def _name(plugin: Mapping[str, Any]) -> str:
    """A plugin's name, with that of its IPAM plugin."""
    ipam = plugin.get("ipam")
    delegate = ipam.get("type") if isinstance(ipam, Mapping) else ""
    return f"{plugin.get('type')} with {delegate}" if delegate else str(plugin.get("type"))


def _outcomes(subject: SweptNetwork, wanted: Sequence[tuple[Point, str]], workers: int) -> Iterator[TrialOutcome]:
    """What comes of each, in their order. Raises CnitestError where a worker is ended, or as `attempt` does."""
    if workers < 2 or len(wanted) < 2:
        yield from (attempt(subject, point, way) for point, way in wanted)
        return
    try:
        with Workers(_work, [(subject,)] * min(workers, len(wanted))) as processes:
            yield from _in_order(_shared_out(processes, wanted))
    finally:
        trace.sweep()


def _shared_out(workers: Workers, wanted: Sequence[tuple[Point, str]]) -> Iterator[tuple[int, TrialOutcome]]:
    """Give each worker one to try whenever it has nothing to do; the outcomes with their places among all."""
    left = iter(enumerate(wanted))
    for number in workers.left:
        workers.send(number, next(left, None))
    while workers.left:
        for number, message in workers.received(_TICK):
            if isinstance(message, CnitestError):
                raise message
            if not isinstance(message, Gone):
                workers.send(number, next(left, None))
                yield message
            elif not message.is_done:
                raise CnitestError(f"worker {number + 1} of the sweep: {message.words}")


def _in_order(found: Iterable[tuple[int, TrialOutcome]]) -> Iterator[TrialOutcome]:
    """Each outcome as soon as all before it were given."""
    early: dict[int, TrialOutcome] = {}
    following = 0
    for place, outcome in found:
        early[place] = outcome
        while following in early:
            yield early.pop(following)
            following += 1


def _work(subject: SweptNetwork, parent: Connection) -> None:
    """What a worker's process does: try what it is given, until there is nothing left."""
    while (given := parent.recv()) is not None:
        place, (point, way) = given
        try:
            parent.send((place, attempt(subject, point, way)))
        except CnitestError as error:
            parent.send(error)
            return
