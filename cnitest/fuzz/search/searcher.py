"""The search: scenarios are generated and tried until something does not hold, then that is minimised.

Hypothesis generates and shrinks. Only one cause is searched for at a time, so that a finding does not slip into
another one while it shrinks; what is known already counts no more.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from random import Random
from typing import Protocol

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity, find, settings
from hypothesis.errors import HypothesisException
from hypothesis.stateful import run_state_machine_as_test
from hypothesis.strategies import SearchStrategy

from cnitest.deadline import Deadline
from cnitest.fuzz.execute.executor import ReusingExecutor
from cnitest.fuzz.execute.scenario_run import ScenarioRun
from cnitest.fuzz.model.example import Example
from cnitest.fuzz.model.scenario import Scenario
from cnitest.fuzz.model.violation import Violation
from cnitest.fuzz.search.machine import machine
from cnitest.fuzz.search.rounds import FuzzFinding, Hit, Nobody, Others, Round, SearchTally, TimeIsUp

__all__ = ["Executor", "FuzzFinding", "Nobody", "Others", "Round", "SearchTally", "Searcher", "Turn"]

# What there is still time for once the search is over: to shrink and to reduce what was found.
_LEAST = 4.0
_STEPS = 8
# So many scenarios of one round may end in an error of ours or of the machine.
_MOST_FAILURES = 10


#: A round with a searcher: how many examples, from which seed; the first new finding.
Turn = Callable[["Searcher", int, int], FuzzFinding | None]


class Executor(Protocol):
    """Where scenarios are tried: an `ReusingExecutor`, or two that are compared."""

    def run(self, scenario: Scenario) -> list[Violation]:
        """What does not hold in a scenario, on hosts that may have been used."""
        ...

    def alone(self, scenario: Scenario) -> list[Violation]:
        """What does not hold in a scenario on hosts of its own."""
        ...


class Searcher:
    """Searches on one executor. ``seen`` is called with each scenario tried; ``known`` are causes that do not count."""

    def __init__(
        self,
        executor: Executor,
        known: set[str] | None = None,
        seen: Callable[[Scenario], None] = lambda _: None,
        deadline: Deadline | None = None,
        tally: SearchTally | None = None,
        others: Others | None = None,
    ) -> None:
        self.known = set() if known is None else known
        self.tally = tally or SearchTally(began=time.monotonic())
        self.others = others or Nobody()
        self._executor = executor
        self._seen = seen
        self._deadline = deadline or Deadline.after(3600.0, "fuzzing to end")
        self._turn = self._deadline
        self._failed: list[str] = []
        # Scenarios that showed more than one thing, of which one was made a finding.
        self._again: list[Scenario] = []

    def sequences(self, networks: SearchStrategy[tuple[Example, ...]], examples: int, seed: int) -> FuzzFinding | None:
        """Let a state machine run some sequences; the first new finding, made small."""
        current = Round(self, "sequences", seed)
        made = hypothesis.seed(seed)(machine(current, networks))
        how = settings(_settings(examples), stateful_step_count=_STEPS)
        try:
            run_state_machine_as_test(made, settings=how)  # type: ignore[no-untyped-call, unused-ignore]
        except (HypothesisException, Hit):
            pass  # nothing was found, or it was given up in the middle of shrinking: the round knows the best
        except Exception as error:
            self._fail("a sequence", error)
        return current.finding()

    def round(self, kind: str, strategy: SearchStrategy[Scenario], examples: int, seed: int) -> FuzzFinding | None:
        """Try some scenarios; the first new finding, made small. The same seed draws the same scenarios."""
        current = Round(self, kind, seed)
        # Nothing was found, or it was given up in the middle of shrinking: the round knows the best.
        with contextlib.suppress(HypothesisException, TimeIsUp):
            find(strategy, current.shows, settings=_settings(examples), random=Random(seed))
        return current.finding()

    def each(self, kind: str, scenarios: Iterable[Scenario], seed: int) -> FuzzFinding | None:
        """Try scenarios that are given, one after the other, up to the first new finding, which is made small."""
        current, left = Round(self, kind, seed), iter(scenarios)
        while not current.is_over and (scenario := self._again.pop() if self._again else next(left, None)) is not None:
            if current.is_shown(scenario, self.tried(scenario)):
                found = current.finding()
                self._again += [scenario] if found and current.has_more else []
                return found
        return None

    def take_turn(self, seconds: float) -> None:
        """The next round draws nothing new after some seconds, so that slow plugins get all kinds of rounds, too."""
        self._turn = Deadline.after(seconds, "a round to end")

    @property
    def is_turn_over(self) -> bool:
        """Whether the time is up for this round, or for all."""
        return self._turn.expired or self._deadline.expired

    def no_longer_than(self, seconds: float, words: str) -> Deadline:
        """A deadline within the search's own, but for a little that there always is time for."""
        return Deadline.after(max(min(seconds, self._deadline.remaining), _LEAST), words)

    def tried(self, scenario: Scenario) -> list[Violation]:
        """What does not hold in a scenario; nothing in one that cannot be decided, up to some in a row."""
        self._count(scenario)
        try:
            found = self._executor.run(scenario)
        except Exception as error:
            self._fail(scenario.words, error)
            return []
        return found

    def _fail(self, what: str, error: Exception) -> None:
        self._failed.append(f"{what}: {type(error).__name__}: {error}")
        if len(self._failed) >= _MOST_FAILURES:
            raise error

    def failures(self) -> list[str]:
        """What could not be decided since the last time, and why."""
        failed, self._failed = self._failed, []
        return failed

    def _count(self, scenario: Scenario) -> None:
        self.tally.examples += 1
        self._seen(scenario)
        self.known.update(self.others.claimed())

    @property
    def _reusing_executor(self) -> ReusingExecutor:
        """The executor where it uses hosts again: sequences are for one host."""
        if not isinstance(self._executor, ReusingExecutor):
            raise TypeError("sequences are run in an executor")
        return self._executor

    def scenario_run(self, scenario: Scenario) -> AbstractContextManager[ScenarioRun]:
        """A scenario run whose steps are done one by one."""
        self._count(scenario)
        return self._reusing_executor.scenario_run(scenario)

    def finished(self, scenario_run: ScenarioRun) -> None:
        """End a scenario run."""
        self._reusing_executor.finish(scenario_run.finish())

    def alone(self, scenario: Scenario) -> list[Violation]:
        """What does not hold in a scenario on hosts of its own."""
        return self._executor.alone(scenario)


def _settings(examples: int) -> settings:
    return settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        report_multiple_bugs=False,
        verbosity=Verbosity.quiet,
    )
