"""Searchers of one subject: what one is after, the others leave alone; and which release they take a plugin for."""

from __future__ import annotations

from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

import pytest
from fuzz_strategies import scenario
from hypothesis import strategies as st

from cnitest.deadline import Deadline
from cnitest.fuzz.execute.operations import OPERATIONS
from cnitest.fuzz.model.scenario import Scenario
from cnitest.fuzz.model.subjects import release_of
from cnitest.fuzz.model.violation import Violation
from cnitest.fuzz.search import known_sequences, rounds, searcher, workers
from cnitest.fuzz.search.searcher import FuzzFinding, Round, Searcher


class Executor:
    """Where every scenario shows the same."""

    def run(self, _: Scenario) -> list[Violation]:
        """What does not hold."""
        return [Violation("left", "bridge", "something")]

    alone = run


class Others:
    """Others that claim what they are made to."""

    def __init__(self, *claims: str, after: int = 0) -> None:
        self.reported: list[str] = []
        self._claims, self._after, self._asked = claims, after, 0

    def claim(self, cause: str) -> None:
        """Keep it."""
        self.reported.append(cause)

    def claimed(self) -> Collection[str]:
        """What they claim, from some time on."""
        self._asked += 1
        return self._claims if self._asked > self._after else ()


CAUSE = "left bridge: something"
ONE = st.just(scenario("ADD"))
MANY = st.lists(st.sampled_from(["ADD", "DEL"]), min_size=3).map(lambda operations: scenario(*operations))


def found_by(others: Others, drawn: Any = ONE) -> FuzzFinding | None:
    """What a round finds."""
    return Searcher(Executor(), others=others).round("configs", drawn, 20, 1)


def test_a_finding_is_claimed():
    """The others learn what is found, at once."""
    others = Others()

    assert found_by(others) is not None
    assert others.reported == [CAUSE]


@pytest.mark.parametrize("after", [0, 2])
def test_what_others_claim_is_left_to_them(after: int):
    """It is left alone once they have claimed it, and given up where they were faster."""
    assert found_by(Others(CAUSE, after=after), MANY) is None
    assert found_by(Others("left bridge: something else", after=after), MANY) is not None


class Show:
    """Where scenarios show what they are made to, and those who show it alone less, perhaps."""

    def __init__(self, *causes: tuple[str, str], alone: bool = True) -> None:
        self._troubles = [Violation(rule, "bridge", words) for rule, words in causes]
        self._alone = self._troubles if alone else []

    def run(self, _: Scenario) -> list[Violation]:
        """What does not hold."""
        return self._troubles

    def alone(self, scenario: Scenario) -> list[Violation]:
        """What does not hold on a host of its own: of several things one, which goes with the first step."""
        return self._alone[len(scenario.steps) - 1 :]


def test_what_shows_together_is_found_one_after_the_other():
    """A scenario that showed two things is tried again for the second, when only one was left of it."""
    searcher = Searcher(Show(("left", "something"), ("untrue", "something else")))
    one = scenario("ADD", "DEL")

    found = [searcher.each("configs", given, 1) for given in ([one], [], [])]

    assert [each and each.violation.rule for each in found] == ["left", "untrue", None]


@pytest.mark.parametrize(
    ("cause", "kept"),
    [(("silent", "nothing comes"), False), (("harm", "cut off: nothing comes"), False), (("left", "a file"), True)],
)
def test_packets_that_were_missed_once_are_no_finding(cause: tuple[str, str], kept: bool):
    """What a host of its own does not show is reported as such; of packets it is not, for the machine may be busy."""
    found = Searcher(Show(cause, alone=False)).each("configs", [scenario("ADD")], 1)

    assert (found is not None and found.depends) is kept


def test_what_cannot_be_checked_is_reported():
    """An error of ours in one scenario does not end the search; ten in a row do."""

    class Broken(Show):
        def run(self, _: Scenario) -> list[Violation]:
            raise KeyError("nobody")

    searcher = Searcher(Broken())
    assert searcher.each("configs", [scenario("ADD")] * 9, 1) is None
    assert len(searcher.failures()) == 9
    assert searcher.failures() == []
    with pytest.raises(KeyError, match="nobody"):
        searcher.each("configs", [scenario("ADD")] * 10, 1)


def test_the_first_claim_is_passed_on():
    """Everybody else hears of a cause once, and only claims are kept from the outside."""
    sent: list[tuple[int, str]] = []
    events = [workers._Claim(1, CAUSE), workers.WorkerProgress(0, 7, frozenset()), workers._Claim(2, CAUSE)]

    assert list(workers._without_claims(iter(events), 3, lambda *one: sent.append(one))) == [events[1]]
    assert sent == [(0, CAUSE), (2, CAUSE)]


@pytest.mark.parametrize(
    ("banner", "advertised", "release"),
    [
        ("CNI bridge plugin v1.9.1", ("1.0.0", "1.1.0"), "1.9.1"),
        ("CNI bridge plugin version unknown", ("1.0.0",), "1.1.1"),
        ("", ("1.0.0", "1.1.0"), "1.6.0"),
    ],
)
def test_a_release_is_what_a_plugin_says_of_itself(banner: str, advertised: tuple[str, ...], release: str):
    """Or, where it says nothing, the first that speaks what it speaks."""
    subject: Any = SimpleNamespace(banner=banner, advertised=advertised)

    assert release_of(subject) == release


def test_known_sequences_can_be_done():
    """Every operation in them is one, and those of two networks have two."""
    one = scenario().networks[0]
    found = [*known_sequences.of_one(one), *known_sequences.of_two((one, one))]

    assert {step.operation for each in found for step in each.steps} <= OPERATIONS.keys()
    assert all(step.network < len(each.networks) for each in found for step in each.steps)
    assert len({each.dumps() for each in found}) == len(found)


def test_a_finding_is_reduced_however_long_each_try_takes(monkeypatch: pytest.MonkeyPatch):
    """On a machine so busy that the time is up at once, needless steps still go; not once the search is over."""
    monkeypatch.setattr(rounds, "_REDUCE", 0.0)
    monkeypatch.setattr(searcher, "_LEAST", 0.0)
    steps = ("ADD", "CHECK", "DEL", "CHECK", "ADD", "DEL")

    found = Searcher(Executor()).each("sequences", [scenario(*steps)], 1)
    late = Searcher(Executor(), deadline=Deadline.after(0.0, "fuzzing to end"))
    pursued = Round(late, "sequences", 1)
    pursued.is_shown(scenario(*steps), late.tried(scenario(*steps)))
    unreduced = pursued.finding()

    assert found and len(found.scenario.steps) == 1
    assert unreduced and len(unreduced.scenario.steps) == len(steps)
