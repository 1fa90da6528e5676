"""Scenarios and campaigns over Debian's bridge, for tests of ``cnitest fuzz``.

A module takes the fixtures with ``subject, trial, executor = fuzzing.subject, fuzzing.trial, fuzzing.executor``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cnitest.conformance.model.subject import Subject, Trial
from cnitest.fuzz.execute.executor import ReusingExecutor
from cnitest.fuzz.model.example import Example
from cnitest.fuzz.model.scenario import LIFE, Raw, Scenario, Step
from cnitest.fuzz.model.subjects import subject_of, trial_of
from cnitest.fuzz.search.campaign import Campaign

PATH = ("/usr/lib/cni",)
POOL = {"type": "host-local", "subnet": "10.1.0.0/24"}
BRIDGE = {"type": "bridge", "isGateway": True, "ipam": POOL}
#: bridge, but for a name of an interface that the kernel would fill in.
FIXED = """#!/bin/sh
case "$CNI_IFNAME" in
*%*)
    echo '{"cniVersion": "1.0.0", "code": 4, "msg": "CNI_IFNAME has a %"}'
    exit 1
    ;;
esac
exec /usr/lib/cni/bridge
"""


def network(*plugins: dict[str, Any], version: str = "1.0.0") -> dict[str, Any]:
    """A conflist."""
    return {"cniVersion": version, "name": "net", "plugins": list(plugins)}


def scenario(*steps: Step, conf: dict[str, Any] = BRIDGE, **changes: Any) -> Scenario:
    """A scenario with one network of one plugin."""
    return Scenario((Example(network(conf), **changes),), steps or LIFE)


def raw(**variables: str) -> Scenario:
    """One ADD of bridge with other variables."""
    return Scenario((Example(network({"type": "bridge"})),), (), Raw("bridge", variables=variables))


#: A name of which the kernel makes another: Debian's bridge takes it.
PERCENT = raw(CNI_IFNAME="eth%d")


@pytest.fixture(scope="module")
def subject() -> Subject:
    """Debian's bridge."""
    return subject_of("bridge", PATH)


@pytest.fixture(scope="module")
def trial(subject: Subject) -> Trial:
    """The same, to be tried."""
    return trial_of(subject)


@pytest.fixture
def executor(trial: Trial) -> Iterator[ReusingExecutor]:
    """Where scenarios about it are run."""
    with ReusingExecutor(trial) as made:
        yield made


@pytest.fixture
def fixed_bridge(tmp_path: Path) -> Path:
    """A directory with a bridge that rejects the names of which Debian's makes something else."""
    return program(tmp_path / "fixed" / "bridge", FIXED).parent


def program(path: Path, text: str) -> Path:
    """An executable of that text, and its directory."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def campaign(place: Path, *path: str, **changes: Any) -> Campaign:
    """A campaign of a few examples, with a database and files in a place."""
    usual: dict[str, Any] = {"chosen": ("configs",), "seed": 3, "seconds": 60.0, "examples": 1, "workers": 1}
    fixed: dict[str, Any] = {"release": "1.1.1", "next_path": (), "databases": [str(place / "kept")]}
    return Campaign.begin("bridge", path, **{**usual, **fixed, **changes}, out=place / "out")
