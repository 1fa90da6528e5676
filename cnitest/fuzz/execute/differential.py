"""The same scenario on two plugin sets, or on two backends of the firewall: what comes of it is compared.

What differs by chance (MACs, the names of veths, numbers of links) is left out, what a firewall's rules look like too
where two backends are compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import zip_longest
from typing import Any, NamedTuple

from cnitest.cni.calls.invoke import Call, search_path
from cnitest.cni.spec import Document
from cnitest.conformance.bench.allowances import RULES
from cnitest.conformance.bench.bench import AttachmentTarget, Picture
from cnitest.conformance.model import protocol
from cnitest.conformance.model.subject import Trial
from cnitest.fuzz.execute.caller import BenchCaller
from cnitest.fuzz.execute.executor import Isolation, ReusingExecutor
from cnitest.fuzz.execute.run import run
from cnitest.fuzz.execute.scenario_run import ScenarioRun
from cnitest.fuzz.model.normalize import CHANCE, table, worded
from cnitest.fuzz.model.scenario import Scenario, Step, loads
from cnitest.fuzz.model.subjects import subject_of, trial_of
from cnitest.fuzz.model.violation import Violation
from cnitest.fuzz.oracles import invariants
from cnitest.fuzz.oracles.attached import Attached
from cnitest.plugins import files

#: The backends that are compared.
CHOICE = ("iptables", "nftables")
_DIFFERENT = (
    *CHANCE,
    *table(
        (r"\bfe80::[0-9a-f:]+", "LINK-LOCAL"),
        (r"\bc(\d)-\d+\b", r"c\1"),
        (r" (?:ifindex|parent|promiscuity|txqlen|digest|size|preview)=\S*", ""),
        (r"@\d+", "@N"),
    ),
)
_NEWER = ("mtu", "socketPath", "pciID")


class Observation(NamedTuple):
    """What was seen of a plugin, in words without chance; ``is_rule`` where that is how a firewall's rules look."""

    plugin: str
    words: str
    is_rule: bool = False


class Pair:
    """Two executors that do the same, as one for a searcher: what differs is what does not hold. A context manager."""

    def __init__(self, trial: Trial, path: Sequence[str], *, backends: tuple[str, str] | None = None) -> None:
        self._backends = backends
        self._handed = trial.subject.setting.knowledge
        other = replace(trial.subject, path=tuple(path)) if path else trial.subject
        self._trials = (trial, Trial(other, trial.version))
        self._stack = ExitStack()
        self._executors = [self._stack.enter_context(ReusingExecutor(each)) for each in self._trials]

    def __enter__(self) -> Pair:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, scenario: Scenario) -> list[Violation]:
        """What differs when both do a scenario."""
        one, other = (
            _observed(executor, each) for executor, each in zip(self._executors, self._both(scenario), strict=True)
        )
        if not all(
            executor.is_open for executor in self._executors
        ):  # what one host remembers, the other has to remember, too
            for executor in self._executors:
                executor.close()
        return list(_differences(one, other, with_rules=self._backends is None))

    def alone(self, scenario: Scenario) -> list[Violation]:
        """The same on hosts of their own."""
        with ExitStack() as stack:
            executors = [
                stack.enter_context(ReusingExecutor(each, isolation=Isolation.EXAMPLE)) for each in self._trials
            ]
            one, other = (
                _observed(executor, each) for executor, each in zip(executors, self._both(scenario), strict=True)
            )
            return list(_differences(one, other, with_rules=self._backends is None))

    def _both(self, scenario: Scenario) -> tuple[Scenario, Scenario]:
        if self._backends is None:
            return scenario, scenario
        first, second = (_with_backend(scenario, backend, self._handed) for backend in self._backends)
        return first, second


def _with_backend(scenario: Scenario, backend: str, handed: str) -> Scenario:
    """The same with every plugin that has a choice set to one backend."""
    changed = []
    for example in scenario.networks:
        known = [files.known(str(conf.get("type")), handed) for conf in example.plugins]
        confs = [
            {**conf, plugin.backend: backend} if plugin.backend else conf
            for plugin, conf in zip(known, example.plugins, strict=True)
        ]
        changed.append(replace(example, network={**example.network, "plugins": confs}))
    return replace(scenario, networks=tuple(changed))


class _Observer(ScenarioRun):
    """A scenario run that notes what comes of each step, in words that two runs can be compared by."""

    def __init__(self, *about: Any, **options: Any) -> None:
        super().__init__(*about, **options)
        self.lines: list[Observation] = []
        self.call = BenchCaller(self.bench, self._note_calls)

    def _note_calls(self, calls: Sequence[Call]) -> None:
        for call in calls:
            document = protocol.error_document(call) if protocol.failed(call) else None
            how = "hangs" if call.timed_out else "works" if not protocol.failed(call) else "fails"
            code = f" with code {document['code']}" if document else ""
            self.lines.append(Observation(call.plugin, f"{call.command} {how}{code}"))

    def keep(self, step: Step, target: AttachmentTarget, before: Picture, result: Document) -> Attached:
        """What ADD brought, and its result."""
        one = super().keep(step, target, before, result)
        plugin = str(one.example.plugins[-1].get("type", ""))
        for key, value in _compared(result).items():
            words = worded(json.dumps(value, sort_keys=True), _DIFFERENT)
            self.lines.append(Observation(plugin, f"answers {key} {words}"))
        brought = ((worded(str(left), _DIFFERENT), left.difference.table in RULES) for left in one.own)
        self.lines += [Observation(plugin, f"brings {words}", is_rule) for words, is_rule in sorted(brought)]
        invariants.reach(self.bench, one)
        self.lines += [Observation(plugin, f"reaches {flow.target}") for flow in one.reached]
        return one


def _compared(result: Document) -> dict[str, Any]:
    """A result without what a newer release may add to it."""
    rows = [row for row in result.get("interfaces") or () if isinstance(row, Mapping)]
    interfaces = [{key: value for key, value in row.items() if key not in _NEWER} for row in rows]
    return {**result, "interfaces": interfaces} if interfaces else dict(result)


def _observed(executor: ReusingExecutor, scenario: Scenario) -> list[Observation]:
    with executor.scenario_run_of(_Observer, scenario) as observer:
        executor.finish(run(observer, scenario))
        left = [violation for violation in observer.violations if violation.rule == "left"]
        words = (Observation(one.plugin, f"leaves {worded(one.words, _DIFFERENT)}") for one in left)
        return [*observer.lines, *words]


def _differences(one: list[Observation], other: list[Observation], *, with_rules: bool) -> Iterator[Violation]:
    """What one did and the other did not, the first difference of each kind."""
    ours, theirs = (_counted(lines, with_rules) for lines in (one, other))
    only_here = [line for line in ours if line not in theirs]
    only_there = [line for line in theirs if line not in ours]
    for here, there in zip_longest(only_here, only_there):
        words = f"the first {here.words if here else 'does not'}; the second {there.words if there else 'does not'}"
        yield Violation("differs", (here or there).plugin, words)


def _counted(lines: list[Observation], with_rules: bool) -> list[Observation]:
    return [line for line in lines if with_rules or not line.is_rule]


def compare(subject: str, scenario: str, path: Sequence[str], next_path: Sequence[str]) -> list[Violation]:
    """What differs between two plugin sets in a scenario, as `Scenario.dumps` wrote it; without a second one, between
    two backends of the firewall. Raises ConfigError."""
    backends = None if next_path else CHOICE
    with Pair(trial_of(subject_of(subject, search_path(path))), next_path, backends=backends) as pair:
        return pair.alone(loads(scenario))
