"""Findings of ``cnitest fuzz``: the files that are written of them, and where they are kept for the next run."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cnitest.suites.selftest import fuzzing
from cnitest.suites.selftest.fuzzing import PATH, PERCENT, campaign, program, scenario
from cnitest.suites.selftest.processes import until
from hypothesis.database import DirectoryBasedExampleDatabase

from cnitest.conformance.model.subject import Subject, Trial
from cnitest.fuzz.execute.executor import ReusingExecutor
from cnitest.fuzz.model.scenario import Step
from cnitest.fuzz.search import finding_files
from cnitest.fuzz.search.searcher import FuzzFinding
from cnitest.fuzz.search.store import Store, database

#: bridge, but DEL fails.
STUBBORN = """#!/bin/sh
[ "$CNI_COMMAND" != DEL ] || { echo '{"cniVersion": "1.0.0", "code": 100, "msg": "not today"}'; exit 1; }
exec /usr/lib/cni/bridge
"""

pytestmark = pytest.mark.requires(plugin=("bridge", "host-local"))

subject, trial, executor, fixed_bridge = fuzzing.subject, fuzzing.trial, fuzzing.executor, fuzzing.fixed_bridge


@pytest.fixture(scope="module")
def percent(trial: Trial) -> FuzzFinding:
    """The finding that PERCENT is."""
    with ReusingExecutor(trial) as executor:
        (violation, *more) = executor.run(PERCENT)
    return FuzzFinding(violation, PERCENT, tuple(one.cause for one in (violation, *more)), "configs", 7, 1.0, 3)


def test_a_finding_is_written(tmp_path: Path, executor: ReusingExecutor, percent: FuzzFinding, fixed_bridge: Path):
    """Its network is JSON, its script sees the fault by itself, and its test fails until the fault is fixed."""
    place = finding_files.write(percent, executor, tmp_path / "out", "bridge")

    assert json.loads((place / "network.conflist").read_text()) == percent.scenario.networks[0].network
    assert percent.violation.words in (place / "steps.txt").read_text()
    script = subprocess.run(["/bin/bash", place / "repro.sh"], capture_output=True, text=True, timeout=60, check=False)
    assert script.returncode == 1, script.stdout + script.stderr
    assert _pytest(place, *PATH) == 1
    assert _pytest(place, str(fixed_bridge), *PATH) == 0


def test_a_script_changes_to_the_other_release(trial: Trial, tmp_path: Path):
    """repro.sh calls the other release's plugins after an UPGRADE; CNI_PATH_NEXT names another one still."""
    upgraded = scenario(Step("ADD", 0, "c1"), Step("UPGRADE"), Step("DEL", 0, "c1"))
    stubborn = program(tmp_path / "next" / "bridge", STUBBORN)
    with ReusingExecutor(trial, next_path=(str(stubborn.parent),)) as executor:
        (violation,) = (one for one in executor.run(upgraded) if "not today" in one.words)
        finding = FuzzFinding(violation, upgraded, (violation.cause,), "sequences", 1, 0.0, 1)
        script = finding_files.write(finding, executor, tmp_path / "out", "bridge") / "repro.sh"

    def code(**environment: str) -> int:
        return subprocess.run(["bash", script], env=os.environ | environment, check=False).returncode

    assert code() == 1
    assert code(CNI_PATH_NEXT="/usr/lib/cni") == 0
    assert code(CNI_PATH_NEXT=f"{tmp_path}/nowhere") == 2


def _pytest(place: Path, *path: str) -> int:
    (file,) = place.glob("test_*.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", file.name, "--cni-path", ":".join(path)]
    return subprocess.run(command, cwd=place, capture_output=True, timeout=120, check=False).returncode


def test_what_is_kept_comes_first_and_goes_once_it_is_fixed(tmp_path: Path, subject: Subject, fixed_bridge: Path):
    """A kept scenario is the first finding while it shows something; fixed, it is none, and is forgotten."""
    store = Store(DirectoryBasedExampleDatabase(tmp_path / "kept"), f"{subject.name} of {subject.network}")
    store.keep(PERCENT)

    first = next(iter(campaign(tmp_path, *PATH).run()))

    assert first is not None
    assert (first.kind, first.scenario) == ("kept", PERCENT)
    assert store.kept() == [PERCENT]

    run = campaign(tmp_path, str(fixed_bridge), *PATH)
    list(run.run())

    assert PERCENT not in [finding.scenario for finding in run.findings]
    assert PERCENT not in store.kept()


# --- a shared database


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[str]:
    """The URL of a Redis server that keeps nothing, at a socket that nobody else can have."""
    # Debian has the same program, which goes by its name, in two packages: one with a service, and one without.
    server = shutil.which("redis-server") or shutil.which("redis-check-rdb")
    if server is None:
        pytest.skip("there is no Redis (Debian: apt-get install redis-tools)")
    pytest.importorskip("redis")
    short = Path(tempfile.mkdtemp(prefix="redis-"))  # a socket's path has 107 bytes at most
    at = short / "redis.sock"
    argv = ["redis-server", "--port", "0", "--unixsocket", str(at), "--save", "", "--appendonly", "no"]
    with subprocess.Popen([*argv, "--dir", str(tmp_path)], executable=server, stdout=subprocess.DEVNULL) as process:
        try:
            until(lambda: _answers(at), 20.0, "Redis to answer")
            yield f"unix://{at}?db=0"
        finally:
            process.terminate()
    shutil.rmtree(short)


def _answers(at: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(at)) == 0


def test_findings_are_shared_by_redis(redis: str, tmp_path: Path):
    """What one keeps another one reads and drops, in the same server."""
    one, other = (Store(database([redis], tmp_path), "bridge") for _ in range(2))
    one.keep(PERCENT)
    one.keep(scenario())

    assert other.kept() == [PERCENT, scenario()]

    other.drop(PERCENT)

    assert one.kept() == [scenario()]
