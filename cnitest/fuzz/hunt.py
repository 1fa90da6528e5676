"""The hunt: scenarios are drawn and tried until something does not hold, then that is made small.

Hypothesis draws and shrinks. Only one cause is hunted at a time, so that a finding does not slip into another one while
it shrinks; what is known already counts no more.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from hypothesis import HealthCheck, Phase, find, settings
from hypothesis.errors import HypothesisException
from hypothesis.strategies import SearchStrategy

from cnitest.conformance.subject import Trial
from cnitest.deadline import Deadline
from cnitest.errors import CnitestError
from cnitest.fuzz.arena import Arena, alone
from cnitest.fuzz.reduce import reduced
from cnitest.fuzz.scenario import Scenario
from cnitest.fuzz.trouble import Trouble

#: Seconds that Hypothesis shrinks one finding, and that it is reduced after that.
_SHRINK, _REDUCE = 10.0, 20.0


class Finding(NamedTuple):
    """What does not hold, and the smallest scenario in which it was seen.

    ``causes`` are all that show in it, ``seconds`` how long it took to find it, ``examples`` how many were tried until
    then, ``depends`` whether it was only seen on a host that others had used before.
    """

    trouble: Trouble
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
        return self.trouble.cause


@dataclass
class Tally:
    """How far a hunt has come."""

    examples: int = 0
    began: float = 0.0


class Hunter:
    """Hunts with one arena. ``seen`` is told of each scenario that is tried; ``known`` are causes that do not count."""

    def __init__(
        self,
        arena: Arena,
        known: Collection[str] = (),
        seen: Callable[[Scenario], None] = lambda _: None,
        deadline: Deadline | None = None,
    ) -> None:
        self.known = set(known)
        self.tally = Tally(began=time.monotonic())
        self._arena = arena
        self._seen = seen
        self._deadline = deadline or Deadline.after(3600.0, "the hunt to end")

    def round(self, kind: str, strategy: SearchStrategy[Scenario], examples: int, seed: int) -> Finding | None:
        """Try some scenarios; the first new finding, made small. The same seed draws the same scenarios."""
        chase = _Chase(self, kind, seed)
        chosen = settings(
            max_examples=examples,
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        # Nothing was found, or it was given up in the middle of shrinking: the chase knows the best.
        with contextlib.suppress(HypothesisException):
            find(strategy, chase.shows, settings=chosen, random=Random(seed))
        return chase.finding() if chase.best else None

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return self._deadline.expired

    def tried(self, scenario: Scenario) -> list[Trouble]:
        """What does not hold in a scenario, less what is known."""
        self.tally.examples += 1
        self._seen(scenario)
        return [trouble for trouble in self._arena.run(scenario) if trouble.cause not in self.known]

    @property
    def trial(self) -> Trial:
        """What is hunted in."""
        return self._arena.trial


class _Chase:
    """One round: the cause that is hunted in it, and the smallest scenario that shows it."""

    def __init__(self, hunter: Hunter, kind: str, seed: int) -> None:
        self._hunter = hunter
        self._kind, self._seed = kind, seed
        self._cause = ""
        self._trouble: Trouble | None = None
        self._end: Deadline | None = None
        self._found_after = (0.0, 0)
        self.best: Scenario | None = None

    def shows(self, scenario: Scenario) -> bool:
        """Whether a scenario shows what is hunted; nothing does once the time is up."""
        if (self._end or self._hunter._deadline).expired:
            return False
        troubles = self._hunter.tried(scenario)
        if not self._cause and troubles:
            self._begin(troubles[0])
        hit = next((trouble for trouble in troubles if trouble.cause == self._cause), None)
        if hit is not None and (self.best is None or scenario.weight <= self.best.weight):
            self.best, self._trouble = scenario, hit
        return hit is not None

    def _begin(self, trouble: Trouble) -> None:
        tally = self._hunter.tally
        self._cause = trouble.cause
        self._found_after = (time.monotonic() - tally.began, tally.examples)
        self._end = Deadline.after(_SHRINK, "a finding to shrink")

    def finding(self) -> Finding:
        """What was found, reduced on hosts of its own; or, where those do not show it, as it is."""
        assert self.best is not None, "there is one only when something was found"
        assert self._trouble is not None, "the best has its trouble"
        hunter = self._hunter
        shown = self._alone(self.best)
        depends = not shown
        if shown:
            end = Deadline.after(_REDUCE, "a finding to be reduced")
            self.best = reduced(self.best, lambda one: not end.expired and bool(self._alone(one)))
            shown = self._alone(self.best) or shown
        trouble = next((one for one in shown if one.cause == self._cause), self._trouble)
        causes = tuple(dict.fromkeys([trouble.cause, *(one.cause for one in shown)]))
        hunter.known |= set(causes)
        seconds, examples = self._found_after
        return Finding(trouble, self.best, causes, self._kind, self._seed, seconds, examples, depends)

    def _alone(self, scenario: Scenario) -> list[Trouble]:
        """What a scenario shows on a host of its own, when the cause is among it."""
        try:
            troubles = alone(self._hunter.trial, scenario)
        except CnitestError:
            return []
        return troubles if any(trouble.cause == self._cause for trouble in troubles) else []
