"""How ``cnitest fuzz`` searches with real plugins: what it finds, what a seed decides, what several workers report."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cnitest.suites.selftest import fuzzing
from cnitest.suites.selftest.fuzzing import BRIDGE, PATH, campaign, network, program
from cnitest.suites.selftest.processes import at_work, children, interrupted, until
from hypothesis import given, settings
from hypothesis import strategies as st

from cnitest.conformance.model.subject import Subject, Trial
from cnitest.deadline import Deadline
from cnitest.errors import ConfigError
from cnitest.fuzz.execute.executor import ReusingExecutor
from cnitest.fuzz.model.example import Example
from cnitest.fuzz.model.scenario import Scenario
from cnitest.fuzz.model.subjects import subject_of
from cnitest.fuzz.search import kinds
from cnitest.fuzz.search.searcher import FuzzFinding, Searcher
from cnitest.fuzz.search.workers import FuzzSettings

MASQUERADING = {**BRIDGE, "ipMasq": True}
CHAIN_BUSY = "CHAIN_DEL"
#: bridge, with a file that each ADD leaves.
LEAKY = """#!/bin/sh
[ "$CNI_COMMAND" != ADD ] || touch "/var/lib/cni/left-$CNI_CONTAINERID"
exec /usr/lib/cni/bridge
"""

pytestmark = pytest.mark.requires(plugin=("bridge", "host-local"))

subject, trial, executor = fuzzing.subject, fuzzing.trial, fuzzing.executor


def fuzz_settings(subject: Subject, *chosen: str) -> FuzzSettings:
    """What to search for."""
    return FuzzSettings(subject, chosen, 7, 60.0, 40, "1.1.1")


def found_by(searcher: Searcher, turn: Any, words: str, rounds: int = 6) -> FuzzFinding:
    """The finding that has some words, of a few rounds with fixed seeds."""
    found = []
    for seed in range(rounds):
        finding = turn(searcher, seed)
        found += [finding] if finding else []
        if finding and words in finding.scenario.dumps() + " ".join(finding.causes):
            return finding
    raise AssertionError(f"not found: {words}; but {[one.cause for one in found]}")


def test_a_strange_name_is_found_again(executor: ReusingExecutor, subject: Subject):
    """eth%d, of which the kernel makes another name, is found by calls by hand and stays in the smallest scenario."""
    names = kinds.by_hand(fuzz_settings(subject)).filter(lambda one: "CNI_IFNAME" in one.raw.variables)
    searcher = Searcher(executor, deadline=Deadline.after(120.0, "fuzzing to end"))

    finding = found_by(searcher, lambda searcher, seed: searcher.round("configs", names, 30, seed), "eth%d")

    assert finding.scenario.raw is not None
    assert dict(finding.scenario.raw.variables) == {"CNI_IFNAME": "eth%d"}
    assert not finding.depends


def test_two_interfaces_with_masquerading_are_found_again(executor: ReusingExecutor):
    """DEL of one of two interfaces with ipMasq fails, for both use one chain; the sequence is as short as it can be."""
    networks = st.just((Example(network(MASQUERADING)),))
    searcher = Searcher(executor, deadline=Deadline.after(120.0, "fuzzing to end"))

    finding = found_by(searcher, lambda searcher, seed: searcher.sequences(networks, 30, seed), CHAIN_BUSY)

    operations = [step.operation for step in finding.scenario.steps]
    assert {cause.partition(" ")[0] for cause in finding.causes} & {"delete", "harm", "left"}
    assert len(operations) <= 4
    assert any(operation.startswith("ADD") for operation in operations)


def test_a_seed_draws_the_same_again(trial: Trial, subject: Subject):
    """The same seed draws the same scenarios in the same order, another one others."""
    strategy = kinds.of_configs(fuzz_settings(subject), "invalid")

    def drawn(seed: int) -> list[str]:
        seen: list[str] = []
        with ReusingExecutor(trial) as executor:
            searcher = Searcher(executor, seen=lambda one: seen.append(one.dumps()))
            assert searcher.round("configs", strategy, 12, seed) is None
        return seen

    first, again, other = drawn(5), drawn(5), drawn(6)

    assert len(first) > 5
    assert first == again
    assert first != other


def test_only_what_is_there_is_chained(tmp_path: Path):
    """Chains and addresses are of plugins in the search path, and a missing IPAM plugin of the network is reported."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    for name in ("bridge", "host-local", "tuning"):
        (bin_ / name).symlink_to(Path(PATH[0], name))

    fuzz_settings = FuzzSettings(subject_of("tuning", (str(bin_),)), ("configs",), 1, 1.0)

    @settings(max_examples=40, derandomize=True, database=None, deadline=None)
    @given(kinds.of_chains(fuzz_settings), kinds.drawn(fuzz_settings, "valid"))
    def every(chain: Scenario, example: Example) -> None:
        types = {conf["type"] for conf in (*chain.networks[0].plugins, *example.plugins)}
        pools = {(conf.get("ipam") or {}).get("type") for conf in (*chain.networks[0].plugins, *example.plugins)}
        assert types <= {"bridge", "tuning"}
        assert pools <= {"host-local", None}

    every()
    (bin_ / "host-local").unlink()
    with pytest.raises(ConfigError, match="failed to find its IPAM plugin 'host-local'"):
        campaign(tmp_path, "bridge", str(bin_))


def test_two_workers_report_a_finding_once(tmp_path: Path):
    """However many find it, a cause is reported once, and all that was found is kept."""
    leaky = program(tmp_path / "leaky" / "bridge", LEAKY).parent
    run = campaign(tmp_path, str(leaky), *PATH, workers=2, examples=8)

    causes = [finding.cause for finding in run.run() if finding is not None]

    assert causes
    assert len(causes) == len(set(causes)) == len(run.findings)
    assert all((place / "repro.sh").is_file() for place in run.places.values())
    assert run.stopped == []


@pytest.mark.parametrize("workers", ["1", "2"])
def test_nothing_but_our_own_directory_is_made(workers: str, tmp_path: Path):
    """Hypothesis's tables, where it needs any, are in the user's cache."""
    here, cache = tmp_path / "here", tmp_path / "cache"
    here.mkdir()
    command = [sys.executable, "-m", "cnitest.cli", "fuzz", "host-local", "--examples", "12", "-n", workers]
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}

    done = subprocess.run([*command, "--cni-path", *PATH], cwd=here, env=environment, timeout=120, check=False)

    assert done.returncode == 0
    assert [path.name for path in here.iterdir()] == [".cnitest"]
    assert {path.name for path in cache.glob("*/*")} <= {"hypothesis"}


def test_a_worker_that_is_killed_is_reported(tmp_path: Path):
    """The others go on; that the search was not whole shows in the exit code."""

    command = [sys.executable, "-m", "cnitest.cli", "fuzz", "host-local", "--examples", "16", "-n", "2"]
    with subprocess.Popen([*command, "--cni-path", *PATH], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        until(lambda: at_work(process.pid) == 2, 60.0, "both workers to be at work")
        below = {pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in children(process.pid)}
        os.kill(next(pid for pid, command in below.items() if "spawn_main" in command), signal.SIGKILL)
        text, _ = process.communicate(timeout=120)

    assert process.returncode == 3, text
    assert "stopped early: worker 1: its process was ended by SIGKILL" in text


@pytest.mark.parametrize("ready", [children, lambda pid: at_work(pid) == 2], ids=["starting", "at work"])
def test_ctrl_c_ends_a_search(ready: Callable[[int], bool], tmp_path: Path):
    """Ctrl-C ends it and its workers, with a summary and exit code 2, however far they are."""
    code, text, seconds = interrupted(["fuzz", "host-local", "-n", "2", "--cni-path", *PATH], tmp_path, ready)

    assert code == 2, text
    assert seconds < 15.0  # less than one on a quiet machine
    assert "(interrupted)" in text
    assert "Traceback" not in text
