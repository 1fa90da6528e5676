"""Each rule of ``cnitest fuzz`` is broken by a plugin with a fault that is made for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cnitest.suites.selftest import fuzzing
from cnitest.suites.selftest.fuzzing import BRIDGE, PATH, network, scenario

from cnitest.conformance.model.subject import Subject
from cnitest.fuzz.execute.executor import ReusingExecutor
from cnitest.fuzz.model.example import Example, Validity
from cnitest.fuzz.model.scenario import LIFE, Scenario, Step
from cnitest.fuzz.model.subjects import subject_of, trial_of
from cnitest.fuzz.model.violation import RULES
from cnitest.fuzz.search import kinds
from cnitest.testing import ScriptedPlugin

pytestmark = pytest.mark.requires(plugin=("bridge", "host-local"))

subject = fuzzing.subject

PASSES = {"prev_result": True}
VETH = ["ip", "link", "add", "left0", "type", "veth", "peer", "name", "left1"]
NOBODY = {"interfaces": [{"name": "nobody0", "sandbox": ""}], "ips": []}
PANIC = "panic: runtime error\n\ngoroutine 1 [running]:\nmain.main()\n"
PAIR = kinds.PAIR
FAULTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "crash": ({"ADD": {"stderr": PANIC, "exit": 2}}, {}),
    "refused": ({"ADD": {"error": {"code": 7, "msg": "no"}}}, {}),
    "accepted": ({"ADD": PASSES}, {"validity": Validity.INVALID, "why": "a key that is wrong"}),
    "error": ({"ADD": {"stdout": "what?", "exit": 1}}, {}),
    "output": ({"ADD": PASSES, "DEL": {"stdout": "gone"}}, {}),
    "untrue": ({"ADD": {"result": NOBODY}}, {}),
    "silent": ({"ADD": {**PASSES, "run": [["iptables", "-A", "INPUT", "-i", "cni0", "-j", "DROP"]]}}, {}),
    "check": ({"ADD": PASSES, "CHECK": {"error": {"code": 7, "msg": "no"}}}, {}),
    "delete": ({"ADD": PASSES, "DEL": {"error": {"code": 7, "msg": "no"}}}, {}),
    "left": ({"ADD": {**PASSES, "run": [VETH]}}, {}),
    "harm": ({"ADD": PASSES, "DEL": {"run": [["ip", "link", "set", "cni0", "down"]]}}, {"steps": PAIR}),
}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, subject: Subject) -> Iterator[tuple[Path, ReusingExecutor]]:
    """A directory for plugins with faults, and an executor whose plugins are found there, too."""
    directory = tmp_path_factory.mktemp("faulty")
    ScriptedPlugin.install(directory, "faulty", {"ADD": PASSES})
    with ReusingExecutor(trial_of(subject_of("bridge", (str(directory), *PATH)))) as executor:
        yield directory, executor


def faulty(script: dict[str, Any], directory: Path, steps: tuple[Step, ...] = LIFE, **changes: Any) -> Scenario:
    """A chain of bridge and of a plugin with a script."""
    ScriptedPlugin(directory, "faulty").program(script)
    return Scenario((Example(network(BRIDGE, {"type": "faulty"}), **changes),), steps)


@pytest.mark.parametrize("rule", sorted(FAULTS))
def test_a_fault_breaks_its_rule(rule: str, stage: tuple[Path, ReusingExecutor]):
    """A plugin with a fault breaks the rule that it was made for; without it, it breaks none."""
    directory, executor = stage
    script, changes = FAULTS[rule]

    assert rule in {violation.rule for violation in executor.run(faulty(script, directory, **changes))}
    assert executor.run(faulty({"ADD": PASSES}, directory, steps=changes.get("steps", LIFE))) == []


def test_an_address_that_is_given_twice_is_reported(stage: tuple[Path, ReusingExecutor]):
    """A pool that gives everybody the same address breaks the rule about addresses."""
    directory, executor = stage
    ScriptedPlugin.install(directory, "pool", {"ADD": {"result": {"ips": [{"address": "10.1.0.2/24"}]}}})

    violations = executor.run(scenario(*PAIR, conf={"type": "bridge", "ipam": {"type": "pool"}}))

    assert "the address 10.1.0.2 is given twice" in [one.words for one in violations if one.rule == "address"]


def test_what_was_never_true_is_reported_once(stage: tuple[Path, ReusingExecutor]):
    """A result that ADD's own look has found to be wrong is not harm that comes later."""
    directory, executor = stage
    alone = Step("ADD"), Step("FORWARD-DROP")

    violations = executor.run(faulty({"ADD": {"result": NOBODY}}, directory, steps=alone))

    rules = {violation.rule for violation in violations}
    assert "untrue" in rules and "harm" not in rules


def test_the_plugin_whose_answer_is_wrong_is_named(stage: tuple[Path, ReusingExecutor]):
    """Of a list it is the one that said it first, not the one that the list begins with."""
    directory, executor = stage
    claims = {**NOBODY, "ips": [{"address": "10.22.0.9/24"}]}

    violations = executor.run(faulty({"ADD": {"result": claims}}, directory))

    wrong = {violation.words: violation.plugin for violation in violations if violation.rule == "untrue"}
    assert {plugin for words, plugin in wrong.items() if "nobody0" in words} == {"faulty"}


def test_every_rule_has_its_fault():
    """No rule is without a fault that breaks it; two plugin sets are compared elsewhere."""
    assert {*FAULTS, "address", "differs", "requirement"} == set(RULES)
