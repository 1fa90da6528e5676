"""A plugin author's pipeline as `cnitest new ci` writes it, run as the CI would, stage by stage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from cnitest.fixtures import faulty

from cnitest.cli.commands import main

pytestmark = pytest.mark.requires(plugin=("bridge", "host-local"))

CHECKOUT = Path(__file__).resolve().parents[2]
#: Two faults that one requirement catches, by two causes.
FIRST, SECOND = "wire-tells-another-mac", "wire-tells-no-default-route"
GO = """\
package main

import (
\t"os"
\t"syscall"
)

func main() {
\tif err := syscall.Exec("%s", os.Args, os.Environ()); err != nil {
\t\tpanic(err)
\t}
}
"""
TEST = """\
def test_the_gateway_answers(lab, cni, network):
    attached = cni.add(lab.host("node").sandbox("c1"), network)

    assert attached.sandbox.ping("10.61.0.1")
"""


class Author:
    """A directory in which somebody writes a plugin, and what the CI does there."""

    def __init__(self, place: Path, language: str) -> None:
        self.place = place
        self._language = language
        configuration = yaml.safe_load((faulty.HONEST / "wire.yaml").read_text())["conf"]
        head = {key: configuration.pop(key) for key in ("cniVersion", "name")}
        network = {**head, "plugins": [{**configuration, "type": "tiny"}]}
        (place / "10-lan.conflist").write_text(json.dumps(network))
        self.writes("")

    def writes(self, fault: str) -> None:
        """Write the plugin: one that hands on to an honest one, or to one with a fault."""
        program = faulty.HONEST / "wire"
        if fault:
            (chosen,) = (each for each in faulty.faults() if each.name == fault)
            faults = self.place.parent / "faults"
            program = faults / fault / "wire"
            if not program.exists():
                faulty.install([chosen], faults)
        if self._language == "go":
            (self.place / "go.mod").write_text("module example.com/acme/tiny\n\ngo 1.18\n")
            (self.place / "main.go").write_text(GO % program)
        else:
            (self.place / "tiny").write_text(f'#!/bin/sh\nexec {program} "$@"\n')
            (self.place / "tiny").chmod(0o755)

    def runs(self, *stages: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """The script as the pipelines call it, in the directory, with settings that keep it short."""
        given = {
            "CNITEST_PATH": f"{faulty.HONEST}:/usr/lib/cni",
            "CNITEST_CONFORMANCE_ARGS": "-k 'ADD-08 or ADD-01' --cni-version 1.1.0 -n 0",
            "CNITEST_FUZZ_ARGS": "-n 1 --examples 1 --seed 1 --only 'configs'",
            "CNITEST_TESTS_ARGS": "-q -p no:cacheprovider",
            **settings,
        }
        return self.shell("sh", "cnitest-ci.sh", *stages, **given)

    def shell(self, *command: str, **given: str) -> subprocess.CompletedProcess[str]:
        """A command in the directory."""
        path = os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()])
        return subprocess.run(
            command,
            cwd=self.place,
            env={**os.environ, "PATH": path, **given},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )


def author(tmp_path: Path, language: str, monkeypatch: pytest.MonkeyPatch) -> Author:
    """An author who has typed the command in an empty directory with a plugin and a configuration."""
    (tmp_path / "tiny").mkdir()
    monkeypatch.chdir(tmp_path / "tiny")
    found = Author(Path.cwd(), language)
    assert main(["new", "ci", "github"]) == 0
    return found


def test_the_life_of_a_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Green; red with the evidence once there is a fault; green when that is accepted; red with another one."""
    ci = author(tmp_path, "sh", monkeypatch)
    (ci.place / "tests").mkdir()
    (ci.place / "tests" / "test_own.py").write_text(TEST)
    green = ci.runs()
    ci.writes(FIRST)
    red = ci.runs("conformance")
    results = {file.name for file in (ci.place / "cnitest-results").rglob("*")}
    accepted = ci.runs("baseline")
    again = ci.runs("build", "conformance", "fuzz", "tests")
    ci.writes(SECOND)
    new = ci.runs("conformance")

    assert green.returncode == 0, green.stdout + green.stderr
    stages = [line for line in green.stdout.splitlines() if line.startswith("== ")]
    assert stages == [f"== cnitest-ci: {stage}" for stage in ("build", "check", "conformance", "fuzz", "tests")]
    assert red.returncode == 1, red.stdout + red.stderr
    assert "FAIL     tiny: ADD-08" in red.stdout
    assert {"conformance.json", "conformance.xml", "tests.xml", "fuzz", "repro.sh", "report.txt"} <= results
    assert accepted.returncode == 0, accepted.stdout + accepted.stderr
    assert again.returncode == 0, again.stdout + again.stderr
    assert new.returncode == 1, new.stdout + new.stderr
    assert "no longer found: tiny ADD-08" in new.stdout


def test_the_action_runs_a_configuration_with_its_baseline(tmp_path: Path):
    """The last step of action.yml as it stands: red, and green with the baseline that is there."""
    place = tmp_path / "tiny"
    place.mkdir()
    ci = Author(place, "sh")
    ci.writes(FIRST)
    step = yaml.safe_load((CHECKOUT / "action.yml").read_text())["runs"]["steps"][-1]
    given = {"CONF": "10-lan.conflist", "PLUGIN": "tiny", "OWN_PATH": f".:{faulty.HONEST}", "SUITE": "walkthrough"}
    given |= {"BASELINE": "base.yaml", "RESULTS": "results", "ARGS": "-k 'ADD-08 or ADD-01' --cni-version 1.1.0 -n 0"}
    assert given.keys() == step["env"].keys()

    red = ci.shell("bash", "-ec", step["run"], **given)
    given["ARGS"] += " --write-baseline base.yaml"
    written = ci.shell("bash", "-ec", step["run"], **given)
    given["ARGS"] = given["ARGS"].partition(" --write")[0]
    green = ci.shell("bash", "-ec", step["run"], **given)

    assert (red.returncode, written.returncode, green.returncode) == (1, 0, 0), (
        red.stderr + written.stderr + green.stdout
    )
    assert {"cnitest.xml", "cnitest.json", "failures"} <= {file.name for file in (place / "results").iterdir()}


@pytest.mark.requires(binary="go")
def test_a_plugin_in_go_is_built_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The pipeline builds what the source is now; a source that does not compile ends it there."""
    ci = author(tmp_path, "go", monkeypatch)
    settings = {"GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOTOOLCHAIN": "local"}
    green = ci.runs("build", "conformance", **settings)
    ci.writes(FIRST)
    red = ci.runs("build", "conformance", **settings)
    (ci.place / "main.go").write_text("package main\n\nfunc main() { nothing() }\n")
    broken = ci.runs("build", "conformance", **settings)

    assert green.returncode == 0, green.stdout + green.stderr
    assert red.returncode == 1, red.stdout + red.stderr
    assert "FAIL     tiny: ADD-08" in red.stdout
    assert broken.returncode == 1
    assert "undefined: nothing" in broken.stderr
    assert "conformance" not in broken.stdout


def test_what_is_missing_is_reported_by_the_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A stage that there is not, a program that no command left, and a configuration that is missing: a line each."""
    ci = author(tmp_path, "sh", monkeypatch)

    assert "there is no stage 'biuld'" in ci.runs("biuld").stderr
    assert "BUILD left no program ./other" in ci.runs("build", CNITEST_PLUGIN="other").stderr
    assert "there is no configuration 11.conflist: write one" in ci.runs("check", CNITEST_CONF="11.conflist").stderr
