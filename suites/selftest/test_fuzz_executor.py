"""The hosts of ``cnitest fuzz``: used again while nothing was wrong, and nothing of them stays open."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cnitest.suites.selftest import fuzzing
from cnitest.suites.selftest.fuzzing import PERCENT, raw, scenario
from cnitest.suites.selftest.processes import files

from cnitest.conformance.model.subject import Trial
from cnitest.fuzz.execute.executor import ReusingExecutor
from cnitest.fuzz.model.scenario import Step

pytestmark = pytest.mark.requires(plugin=("bridge", "host-local"))

subject, trial, executor = fuzzing.subject, fuzzing.trial, fuzzing.executor


def test_an_executor_uses_its_host_again(executor: ReusingExecutor):
    """Scenarios that leave nothing share a host, whether they call by hand or have containers."""
    for _ in range(3):
        assert executor.run(scenario()) == []
        assert executor.run(raw(CNI_IFNAME="a/b")) == []

    assert (executor.runs, executor.builds) == (6, 1)


def test_an_executor_builds_anew_after_a_violation(executor: ReusingExecutor):
    """What showed something leaves no trace in what comes next."""
    assert executor.run(scenario()) == []
    assert executor.run(PERCENT)
    assert not executor.is_open
    assert executor.run(scenario()) == []

    assert executor.builds == 2


def test_an_executor_builds_anew_after_some_runs(trial: Trial):
    """A host is used so many times and no more."""
    with ReusingExecutor(trial, rebuild=2) as executor:
        for _ in range(5):
            assert executor.run(scenario()) == []

    assert executor.builds == 3


def test_an_executor_builds_anew_after_the_host_was_changed(executor: ReusingExecutor):
    """A host whose firewall somebody else has changed is of no more use."""
    executor.run(scenario(Step("ADD"), Step("FORWARD-DROP"), Step("DEL")))

    assert not executor.is_open


def test_scenarios_leak_nothing(executor: ReusingExecutor):
    """Hundreds of scenarios leave no descriptor, no thread and no namespace open, and hardly any memory."""
    cheap = [raw(CNI_IFNAME="a/b"), raw(CNI_CONTAINERID=""), raw(CNI_NETNS="/nowhere")]
    for number in range(60):
        assert executor.run(cheap[number % 3]) == []
    before = _held()

    for number in range(300):
        assert executor.run(cheap[number % 3]) == []

    after = _held()
    assert executor.builds > 5
    assert {key: after[key] - before[key] for key in before if key != "kilobytes"} == dict.fromkeys(
        ("files", "threads", "namespaces"), 0
    )
    assert after["kilobytes"] - before["kilobytes"] < 30_000


def _held() -> dict[str, int]:
    """Open files, threads, namespaces that files are of, and resident memory in kB."""
    there = files("self")
    (resident,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS")]
    return {
        "files": len(there),
        "threads": len(os.listdir("/proc/self/task")),
        "namespaces": sum(1 for file in there if file.startswith("net:")),
        "kilobytes": int(resident.split()[1]),
    }
