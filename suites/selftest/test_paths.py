"""Paths on every command line: relative ones count from where the command was called."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cnitest.cni.calls.invoke import search_path

CONF = {"name": "own", "cniVersion": "1.0.0", "plugins": [{"type": "mine", "ipam": {"type": "host-local", "subnet": "10.90.1.0/24"}}]}  # noqa: E501  # fmt: skip
CONFORMANCE = ("-n", "1", "-k", "test_version", "--cni-version", "1.0.0")
TEST = """
def test_it(cni, network, monkeypatch):
    monkeypatch.chdir("/")
    cni.add(cni.lab.host("node").sandbox("c1"), network)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory with configurations, a profile, a topology, and plugins in ``b i n``; another one beside it."""
    plugins = {name: Path(found) for name in ("bridge", "host-local") if (found := _plugin(name))}
    if len(plugins) < 2:
        pytest.skip("no plugin 'bridge' or 'host-local'")
    (tmp_path / "p" / "b i n").mkdir(parents=True)
    shutil.copy2(plugins["bridge"], tmp_path / "p" / "b i n" / "mine")
    shutil.copy2(plugins["host-local"], tmp_path / "p" / "b i n")
    (tmp_path / "p" / "net.conflist").write_text(json.dumps(CONF))
    (tmp_path / "p" / "lan.yaml").write_text("name: lan\nhosts:\n  node: {sandboxes: {c1: {}}}\n")
    (tmp_path / "p" / "test_it.py").write_text(TEST)
    (tmp_path / "q" / "deep").mkdir(parents=True)
    (tmp_path / "q" / "cnitest.yaml").write_text("conf: ../p/net.conflist\npath: ['../p/b i n']\n")
    return tmp_path


def _plugin(name: str) -> str | None:
    return shutil.which(name, path=":".join(search_path([])))


def call(cwd: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a directory."""
    inherited = {key: value for key, value in os.environ.items() if key != "CNI_PATH"}
    return subprocess.run(
        [sys.executable, "-m", "cnitest.cli", *arguments],
        capture_output=True, text=True, check=False, cwd=cwd, env={**inherited, **environment}, timeout=300,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("cwd", "arguments", "variable"),
    [
        ("p", ["run", "net.conflist", *CONFORMANCE, "--cni-path", "./b i n"], ""),
        ("p", ["run", "net.conflist", *CONFORMANCE], "b i n:/usr/lib/cni"),
        ("q/deep", ["run", "../../p/net.conflist", *CONFORMANCE, "--cni-path", "../../p/b i n"], ""),
        ("q/deep", ["run", "../cnitest.yaml", *CONFORMANCE], ""),
        ("q/deep", ["run", "..", *CONFORMANCE], ""),
        ("p", ["fuzz", "net.conflist", "--examples", "1", "-n", "1", "--only", "configs", "--cni-path", "b i n"], ""),
        ("q", ["fuzz", "cnitest.yaml", "--examples", "1", "-n", "1", "--only", "configs"], ""),
        ("q", ["faults", "../p/net.conflist", "--calls", "1", "-n", "1", "--cni-path", "../p/b i n"], ""),
        ("q/deep", ["faults", "../cnitest.yaml", "--calls", "1", "-n", "1"], ""),
        ("q/deep", ["draw", "../../p/lan.yaml"], ""),
        ("q/deep", ["plan", "../../p/lan.yaml"], ""),
        ("q/deep", ["trace-shim", "shims", "--cni-path", "../../p/b i n"], ""),
    ],
)  # fmt: skip
def test_what_is_given_counts_from_where_the_command_is_called(project, cwd, arguments, variable):
    """Configurations, profiles and plugins by relative names, with blanks, from several directories."""
    done = call(project / cwd, *arguments, **({"CNI_PATH": variable} if variable else {}))

    assert done.returncode in (0, 1), done.stdout + done.stderr
    assert "failed to find plugin" not in done.stdout + done.stderr


def test_what_is_written_lands_where_the_command_was_called(project):
    """--json, --repro, --log and the directory of wrappers."""
    here = project / "q" / "deep"

    call(here, "run", "../cnitest.yaml", *CONFORMANCE, "--json", "../run.json", "--repro", "scripts")
    call(here, "faults", "../cnitest.yaml", "--calls", "1", "-n", "1", "--json", "faults.json")
    call(here, "trace-shim", "shims", "--cni-path", "../../p/b i n", "--log", "calls.jsonl")

    assert json.loads((project / "q" / "run.json").read_text())["format"]
    assert json.loads((here / "faults.json").read_text())
    assert (here / "shims" / "mine").is_file()
    assert (here / "calls.jsonl").is_file()


def test_a_relative_search_path_finds_the_plugin_for_doctor(project):
    """With the place that it was found at."""
    done = call(project / "q", "doctor", "--json", "--cni-path", "../p/b i n")

    findings = {finding["name"]: finding["detail"] for finding in json.loads(done.stdout)["findings"]}
    assert findings["host-local"] == f"{project}/p/b i n/host-local"


@pytest.mark.parametrize("workers", ["0", "2"])
def test_pytest_resolves_its_options_where_it_is_called(project, workers):
    """A test that goes elsewhere, and a worker of pytest-xdist, find what was named."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", workers, "--rootdir", str(project / "p"),
         "../p/test_it.py", "--cni-path", "../p/b i n", "--cni-conf", "../p/net.conflist",
         "--cni-topology", "../p/lan.yaml"],
        capture_output=True, text=True, check=False, cwd=project / "q", timeout=120,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout


def test_the_conformance_suite_in_plain_pytest_resolves_too(project):
    """Subjects are examined before anything is collected; several directories in one option."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", "0", "--pyargs", "cnitest.suites.conformance",
         "-k", "test_version", "--cni-conf", "../p/net.conflist", "--cni-path", "deep:../p/b i n",
         "--cni-version", "1.0.0", "--cni-json", "deep/run.json"],
        capture_output=True, text=True, check=False, cwd=project / "q", timeout=120,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert (project / "q" / "deep" / "run.json").is_file()


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "net.conflist", "--cni-path", "bni"],
        ["run", "--suite", "walkthrough", "--cni-path", "bni"],
        ["fuzz", "net.conflist", "--cni-path", "bni"],
        ["fuzz", "net.conflist", "--cni-path", "b i n", "--cni-path-next", "bni"],
        ["faults", "net.conflist", "--cni-path", "bni"],
        ["doctor", "--cni-path", "bni"],
        ["trace-shim", "shims", "--cni-path", "bni"],
        ["run", "nett.conflist"],
        ["fuzz", "nett.conflist"],
        ["faults", "nett.conflist"],
        ["run", "net.conflist", "--cni-path", "b i n", "--json", "no/x.json"],
        ["run", "net.conflist", "--cni-path", "b i n", "--repro", "net.conflist/x"],
        ["fuzz", "net.conflist", "--cni-path", "b i n", "--out", "net.conflist/x"],
        ["fuzz", "net.conflist", "--cni-path", "b i n", "--database", "net.conflist/x"],
        ["faults", "net.conflist", "--cni-path", "b i n", "--json", "no/x.json"],
        ["trace-shim", "net.conflist", "--cni-path", "b i n"],
        ["trace-shim", "shims", "--cni-path", "b i n", "--log", "no/x.json"],
        ["draw", "./lna.yaml"],
        ["plan", "./lna.yaml"],
    ],
)
def test_a_path_that_is_not_there_is_reported_at_once(project, arguments):
    """Exit code 4 and one line with the path as it was typed, for each option of each command."""
    done = call(project / "p", *arguments)

    assert done.returncode == 4, done.stdout
    assert any(word.removeprefix("./") in done.stderr for word in arguments[1:]), done.stderr
    assert f"{project}/p/" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_position_of_a_plugin_that_is_missing_is_that_of_the_configuration(project):
    """A profile that names a file is not where the plugin is named."""
    (project / "q" / "cnitest.yaml").write_text("conf: ../p/net.conflist\n")

    done = call(project, "run", "q/cnitest.yaml")

    assert done.returncode == 4
    assert "cnitest: p/net.conflist:1:61: failed to find plugin 'mine'" in done.stderr
