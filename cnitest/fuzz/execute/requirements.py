"""Every sentence of the specification, held to a configuration: the tests of ``suites/conformance`` as scenarios.

A test runs in a lab of its own, as it does in the suite. What is known of a plugin is no news here, nor what comes
with CNI's Go library (``conformance/deviations.yaml``).
"""

from __future__ import annotations

import importlib
import inspect
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from cnitest.conformance.bench.bench import Bench, open_bench
from cnitest.conformance.bench.record import Record
from cnitest.conformance.bench.shared_attachment import stand
from cnitest.conformance.model import deviation, requirement
from cnitest.conformance.model.finding import Finding, NotApplicable, Undecided
from cnitest.conformance.model.requirement import TOPICS
from cnitest.conformance.model.subject import Subject, Trial
from cnitest.errors import CnitestError
from cnitest.fuzz.model.example import Example, version_of
from cnitest.fuzz.model.scenario import Scenario
from cnitest.fuzz.model.violation import Violation

RULE = "sentence"
_SUITE = "cnitest.suites.conformance"


class Sentence(NamedTuple):
    """One test of one requirement, with the parameters that it is given."""

    requirement: str
    function: Callable[..., None]
    given: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its name, as pytest has it."""
        words = "-".join(str(value) for value in self.given.values())
        return f"{self.function.__name__}[{words}]" if words else self.function.__name__


@cache
def sentences() -> Mapping[str, Sentence]:
    """All there are, by name."""
    found: dict[str, Sentence] = {}
    for topic in TOPICS:
        module = importlib.import_module(f"{_SUITE}.test_{topic}")
        for function in vars(module).values():
            if inspect.isfunction(function) and function.__module__ == module.__name__:
                found.update({one.name: one for one in _of(function)})
    return found


def _of(function: Callable[..., None]) -> Iterator[Sentence]:
    """A test once for each of its requirements and parameters, as its marks say."""
    marks = getattr(function, "pytestmark", [])
    named = [mark.args[0] for mark in marks if mark.name == "requirement"]
    choices = [[(mark.args[0], value) for value in mark.args[1]] for mark in marks if mark.name == "parametrize"]
    for identifier, values in product(named, product(*choices)):
        yield Sentence(identifier, function, dict(values))


def applying(subject: Subject, version: str) -> list[str]:
    """The names of those that apply to a subject in a version."""
    return [name for name, one in sentences().items() if not subject.gap(requirement.find(one.requirement), version)]


def about(subject: Subject, network: Example) -> list[Scenario]:
    """A scenario for each sentence that applies to a subject with a network, in its version."""
    return [Scenario((network,), (), held=name) for name in applying(subject, version_of(network))]


class Outcome(NamedTuple):
    """What came of a test: where it ran, and what does not hold."""

    trial: Trial
    sentence: Sentence
    bench: Bench
    details: tuple[str, ...] = ()


def tried(trial: Trial, scenario: Scenario) -> list[Violation]:
    """What does not hold of a sentence, as one violation whose cause is the requirement."""
    done = hold(trial, scenario)
    if not done.details:
        return []
    wanted = requirement.find(done.sentence.requirement)
    words = f"{wanted.id}, {wanted.says} {'; '.join(done.details)}"
    return [Violation(RULE, done.trial.subject.plugin, words, done.details[0], about=wanted.id)]


def hold(trial: Trial, scenario: Scenario) -> Outcome:
    """Run the test of a scenario up to the first thing that is not known.

    Raises ValueError for one that there is not.
    """
    sentence = sentences().get(scenario.held)
    if sentence is None:
        raise ValueError(f"there is no test {scenario.held!r} in the conformance suite")
    held = _trial(trial, scenario.networks[0])
    known = deviation.concerning(sentence.requirement, held.subject, held.version)
    record = Record(enough=lambda detail: bool(deviation.unexplained([detail], known)))
    with ExitStack() as undo:
        bench = undo.enter_context(open_bench(held, record))
        found = _details(sentence, bench, undo)
    return Outcome(held, sentence, bench, tuple(deviation.unexplained(found, known)))


def _details(sentence: Sentence, bench: Bench, undo: ExitStack) -> Sequence[str]:
    """What a test complains of; nothing where it says nothing about this plugin, or could not be decided."""
    try:
        sentence.function(**_fixtures(sentence, bench, undo), **sentence.given)
        bench.conclude()
    except Finding as found:
        return found.details
    except (NotApplicable, Undecided, CnitestError):
        return ()
    return ()


def _fixtures(sentence: Sentence, bench: Bench, undo: ExitStack) -> dict[str, Any]:
    """What a test asks for by its parameters' names, as the suite's fixtures give it."""
    wanted = inspect.signature(sentence.function).parameters
    found: dict[str, Any] = {name: bench for name in ("bench", "idle") if name in wanted}
    if "standing" in wanted:
        found["standing"] = stand(bench)
    if "tmp_path" in wanted:
        found["tmp_path"] = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="cnitest-")))
    return found


def _trial(trial: Trial, network: Example) -> Trial:
    """A trial of the same plugin with another network, and with what the runtime passes there."""
    subject, plugins = trial.subject, network.plugins
    at = next((at for at, conf in enumerate(plugins) if conf.get("type") == subject.plugin), len(plugins) - 1)
    setting = replace(
        subject.setting,
        ifname=network.ifname,
        args=network.args,
        capabilities=dict(network.capabilities),
        defaults=False,  # what is provided was drawn
    )
    name = str(network.network.get("name", ""))
    changed = replace(subject, network=name, conf=plugins[at], before=tuple(plugins[:at]), setting=setting)
    if changed != subject:
        changed = replace(changed, result={})  # the first ADD was another network's
    return Trial(changed, version_of(network))
