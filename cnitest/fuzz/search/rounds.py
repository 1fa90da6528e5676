"""One round of a search: the one cause that it is after, and the smallest scenario that shows it."""

from __future__ import annotations

import itertools
import math
import re
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from cnitest.deadline import Deadline
from cnitest.errors import CnitestError
from cnitest.fuzz.execute.scenario_run import ScenarioRun
from cnitest.fuzz.model.scenario import Scenario
from cnitest.fuzz.model.violation import Violation
from cnitest.fuzz.search.reduce import reduced

#: Seconds that Hypothesis shrinks one finding, and that it is reduced after that.
_SHRINK, _REDUCE = 10.0, 20.0
#: Scenarios that are tried to reduce one however long each takes: enough to leave out every needless step.
_REDUCTIONS = 40
# What a busy machine may show once: packets that come too late, and tests that have labs of their own anyway.
_PACKETS = re.compile(r"^silent |: cut off: |^requirement ")
_TRIES = 3


class FuzzFinding(NamedTuple):
    """What does not hold, and the smallest scenario in which it was seen.

    ``causes`` are all that show in it, ``seconds`` how long it took to find it, ``examples`` how many were tried until
    then, ``depends`` whether it was only seen on a host that others had used before.
    """

    violation: Violation
    scenario: Scenario
    causes: tuple[str, ...]
    kind: str
    seed: int
    seconds: float
    examples: int
    depends: bool = False

    @property
    def cause(self) -> str:
        """What tells it from others."""
        return self.violation.cause


@dataclass
class SearchTally:
    """How far a search has come."""

    examples: int = 0
    began: float = 0.0


class Hit(Exception):
    """A sequence shows what is searched for."""


class TimeIsUp(BaseException):
    """Ends a round from within: Hypothesis takes an Exception for what the scenario does, and draws on."""


class Others(Protocol):
    """Those that search the same subject at the same time, so that no two make the same finding small."""

    def claim(self, cause: str) -> None:
        """Announce that a cause is searched for here."""
        ...

    def claimed(self) -> Collection[str]:
        """The causes that they have announced since the last time."""
        ...


class Nobody:
    """There are no others."""

    def claim(self, cause: str) -> None:
        """There is nobody to hear it."""

    def claimed(self) -> Collection[str]:
        """Nobody announces anything."""
        return ()


class Trier(Protocol):
    """Who tries scenarios for a round: a `cnitest.fuzz.search.searcher.Searcher`."""

    known: set[str]
    tally: SearchTally
    others: Others

    @property
    def is_turn_over(self) -> bool:
        """Whether the time is up for this round, or for all."""
        ...

    def no_longer_than(self, seconds: float, words: str) -> Deadline:
        """A deadline within the whole search's."""
        ...

    def tried(self, scenario: Scenario) -> list[Violation]:
        """What does not hold in a scenario."""
        ...

    def alone(self, scenario: Scenario) -> list[Violation]:
        """What does not hold in a scenario on hosts of its own."""
        ...

    def scenario_run(self, scenario: Scenario) -> AbstractContextManager[ScenarioRun]:
        """A scenario run whose steps are done one by one."""
        ...

    def finished(self, scenario_run: ScenarioRun) -> None:
        """End a scenario run."""
        ...


class Round:
    """One round: the cause that it is after, and the smallest scenario that shows it."""

    def __init__(self, searcher: Trier, kind: str, seed: int) -> None:
        self.searcher = searcher
        self._kind, self._seed = kind, seed
        self._cause = ""
        self._violation: Violation | None = None
        self._end: Deadline | None = None
        self._found_after = (0.0, 0)
        self.best: Scenario | None = None
        #: Whether what showed it first showed something else, too.
        self.has_more = False

    def shows(self, scenario: Scenario) -> bool:
        """Whether a scenario shows what is searched for. Ends the round when the time is up."""
        if self.is_over:
            raise TimeIsUp
        return self.is_shown(scenario, self.searcher.tried(scenario))

    @property
    def is_over(self) -> bool:
        """Whether the time is up, for the search or for shrinking what was found."""
        return self._end.expired if self._end else self.searcher.is_turn_over

    def is_shown(self, scenario: Scenario, violations: Sequence[Violation]) -> bool:
        """Whether what did not hold in a scenario is what is searched for; the first new cause becomes that."""
        violations = [violation for violation in violations if violation.cause not in self.searcher.known]
        if not self._cause and violations:
            self._begin(violations[0])
            self.has_more = len({violation.cause for violation in violations}) > 1
            for violation in violations:  # what shows together mostly has one cause
                self.searcher.others.claim(violation.cause)
        hit = next((violation for violation in violations if violation.cause == self._cause), None)
        if hit is not None and (self.best is None or scenario.weight <= self.best.weight):
            self.best, self._violation = scenario, hit
        return hit is not None

    def _begin(self, violation: Violation) -> None:
        tally = self.searcher.tally
        self._cause = violation.cause
        self._found_after = (time.monotonic() - tally.began, tally.examples)
        self._end = self.searcher.no_longer_than(_SHRINK, "a finding to shrink")

    def finding(self) -> FuzzFinding | None:
        """What was found, reduced on hosts of its own; or, where those do not show it, as it is.

        None where nothing was, or what others found already, or what may have been the machine's fault.
        """
        searcher = self.searcher
        if self.best is None or self._violation is None or self._cause in searcher.known:
            return None
        shown = self._seen_again(self.best)
        depends = not shown
        if depends and _PACKETS.search(self._cause):
            return None
        if shown:
            smallest = reduced(self.best, self._holds(), rule=self._violation.rule)
            if smallest != self.best:
                self.best, shown = smallest, self._alone(smallest) or shown
        violation = next((one for one in shown if one.cause == self._cause), self._violation)
        causes = tuple(dict.fromkeys([violation.cause, *(one.cause for one in shown)]))
        searcher.known |= set(causes)
        seconds, examples = self._found_after
        return FuzzFinding(violation, self.best, causes, self._kind, self._seed, seconds, examples, depends)

    def _holds(self) -> Callable[[Scenario], bool]:
        """Whether a smaller scenario shows the cause, too; none does any more when the time for that is up.

        Seconds alone would make findings larger on a busy machine, and where each try waits for the kernel.
        """
        searcher, tries = self.searcher, itertools.count(1)
        end = searcher.no_longer_than(_REDUCE, "a finding to be reduced")
        last = searcher.no_longer_than(math.inf, "fuzzing to end")

        def holds(scenario: Scenario) -> bool:
            is_over = last.expired or (next(tries) > _REDUCTIONS and end.expired)
            return not is_over and bool(self._alone(scenario))

        return holds

    def _seen_again(self, scenario: Scenario) -> list[Violation]:
        """What a scenario shows on hosts of its own; where chance has a part in it, tried a few times."""
        tries = _TRIES if scenario.held else 1
        return next(filter(None, (self._alone(scenario) for _ in range(tries))), [])

    def _alone(self, scenario: Scenario) -> list[Violation]:
        """What a scenario shows on a host of its own, when the cause is among it."""
        try:
            violations = self.searcher.alone(scenario)
        except CnitestError:
            return []
        return violations if any(violation.cause == self._cause for violation in violations) else []
