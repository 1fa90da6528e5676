"""A survey: a fixed number of scenarios from a fixed seed, and what does not hold in them, compared with what is known.

Nothing is shrunk and no clock decides, so the same seed and the same Hypothesis give the same scenarios.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple

from hypothesis import HealthCheck, Phase, Verbosity, find, settings
from hypothesis.errors import NoSuchExample
from hypothesis.strategies import SearchStrategy

from cnitest.conformance.model import deviation
from cnitest.fuzz.execute.executor import ReusingExecutor
from cnitest.fuzz.model.scenario import Scenario
from cnitest.fuzz.model.violation import FORMER_RULES, RULES, Violation
from cnitest.fuzz.search import kinds
from cnitest.fuzz.search.settings import FuzzSettings
from cnitest.topology import documents
from cnitest.topology.problem import Problem
from cnitest.typos import did_you_mean

_FILE = Path(__file__).parent / "known.yaml"
#: What can be surveyed, and the strategy of its scenarios.
KINDS: Mapping[str, Callable[[FuzzSettings], SearchStrategy[Scenario]]] = {
    "valid": lambda fuzz_settings: kinds.of_configs(fuzz_settings, "valid"),
    "boundary": lambda fuzz_settings: kinds.of_configs(fuzz_settings, "boundary"),
    "invalid": lambda fuzz_settings: kinds.of_configs(fuzz_settings, "invalid"),
    "by-hand": kinds.by_hand,
    "chains": kinds.of_chains,
    "sequences": kinds.of_sequences,
}


@dataclass(frozen=True)
class KnownCause:
    """A cause that is known: its plugin and rule, a pattern of its words without values, why it is so, and a source."""

    plugin: str
    rule: str
    cause: re.Pattern[str]
    reason: str
    link: str

    def explains(self, violation: Violation) -> bool:
        """Whether a violation is of this cause."""
        return (violation.plugin, violation.rule) == (self.plugin, self.rule) and bool(
            self.cause.search(violation.cause)
        )


class Shown(NamedTuple):
    """A violation, and the scenario that showed it."""

    violation: Violation
    scenario: Scenario

    @property
    def story(self) -> str:
        """All that a person needs to see it again."""
        evidence = f"\n  seen: {self.violation.evidence}" if self.violation.evidence else ""
        return (
            f"{self.violation.cause}\n  rule: {RULES[self.violation.rule]}\n  words: {self.violation.words}{evidence}"
            f"\n  steps: {self.scenario.words}\n  scenario: {self.scenario.dumps()}"
        )


def survey(executor: ReusingExecutor, strategy: SearchStrategy[Scenario], examples: int, seed: int) -> list[Shown]:
    """All that does not hold in some scenarios; of each cause the first that showed it."""
    found: dict[str, Shown] = {}

    def tried(scenario: Scenario) -> bool:
        for violation in executor.run(scenario):
            found.setdefault(violation.cause, Shown(violation, scenario))
        return False

    with contextlib.suppress(NoSuchExample):
        find(strategy, tried, settings=_settings(examples), random=Random(seed))
    return list(found.values())


def _settings(examples: int) -> settings:
    return settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )


@cache
def known() -> tuple[KnownCause, ...]:
    """All causes that are known of shipped plugins. Raises ConfigError for a malformed table."""
    return tuple(read(_FILE))


@dataclass(frozen=True)
class _Row:
    """A cause as it is written."""

    plugin: str
    rule: str
    cause: str
    reason: str
    link: str


def read(file: Path) -> Iterator[KnownCause]:
    """The causes of a table. Raises ConfigError with every fault's line, column and path."""
    for row in documents.table(file, tuple[_Row, ...], "it is a list of known causes", _problems):
        yield KnownCause(row.plugin, FORMER_RULES.get(row.rule, row.rule), re.compile(row.cause), row.reason, row.link)


def _problems(rows: Sequence[_Row]) -> Iterator[Problem]:
    for number, row in enumerate(rows):
        if row.rule not in (*RULES, *FORMER_RULES):
            advice = did_you_mean(row.rule, RULES) or f". There are: {', '.join(RULES)}"
            yield Problem(f"[{number}].rule", f"there is no rule {row.rule!r}{advice}")
        if why := documents.no_pattern(row.cause):
            yield Problem(f"[{number}].cause", why)


def explanation(violation: Violation) -> KnownCause | None:
    """The known cause of a violation; None where it is news."""
    by_words = next((row for row in known() if row.explains(violation)), None)
    return by_words or _not_noticed(violation) or _not_collected(violation)


def _not_noticed(violation: Violation) -> KnownCause | None:
    """What CHECK of a plugin is known not to notice: the deviations of conformance say it of the same tampering."""
    _, tampered, words = violation.evidence.partition("though ")
    if violation.rule != "check" or not tampered:
        return None
    return _deviation(violation, "CHK-", f"{words}: {violation.plugin} CHECK: succeeds, but should refuse")


def _not_collected(violation: Violation) -> KnownCause | None:
    """What GC of a plugin is known to leave: the deviations of conformance say it of the same kind of leftover."""
    collected = violation.rule == "left" and violation.words.startswith("GC leaves")
    return _deviation(violation, "GC-", violation.evidence) if collected else None


def _deviation(violation: Violation, requirements: str, detail: str) -> KnownCause | None:
    for row in deviation.table():
        if row.requirement.startswith(requirements) and violation.plugin in row.plugins and row.covers(detail):
            cause = re.compile(re.escape(violation.cause))
            return KnownCause(violation.plugin, violation.rule, cause, row.reason, row.link)
    return None


def unknown(found: list[Shown]) -> list[Shown]:
    """What no known cause explains."""
    return [one for one in found if explanation(one.violation) is None]
