"""The conformance suite as a person runs it: what it takes for what, what it writes, how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from cnitest.conformance.discover.examine import examine, source
from cnitest.conformance.model.requirement import Kind
from cnitest.conformance.model.shipped import helpers
from cnitest.conformance.model.subject import Subject
from cnitest.errors import ConfigError
from cnitest.report.conformance.choice import Choice, chosen
from cnitest.report.conformance.schema import conformance_schema

PATH = ("/usr/lib/cni",)
IPAM = {"type": "host-local", "subnet": "10.20.0.0/24"}
BRIDGE = {"type": "bridge", "bridge": "cni0", "isDefaultGateway": True, "ipam": IPAM}

pytestmark = pytest.mark.requires(plugin=("bridge", "host-local", "tuning", "portmap"))


def run(*arguments: str, cwd: Path, expected: int | None = None) -> subprocess.CompletedProcess[str]:
    """``cnitest run`` with one process, in the directory ``cwd``."""
    command = [sys.executable, "-m", "cnitest.cli", "run", *arguments, "--cni-path", *PATH, "-n", "0"]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    if expected is not None:
        assert done.returncode == expected, done.stdout[-3000:] + done.stderr[-1000:]
    return done


def written(tmp_path: Path, name: str, content: Any) -> Path:
    """A file with JSON, or text."""
    file = tmp_path / name
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def examined(file: Path) -> tuple[Subject, ...]:
    """The subjects of a file."""
    return examine([source(file, PATH)], PATH, helpers=helpers())


def listed(*plugins: dict[str, Any]) -> dict[str, Any]:
    """A list of plugins."""
    return {"cniVersion": "1.0.0", "name": "net", "plugins": list(plugins)}


def test_kinds_are_found_by_the_first_add(tmp_path: Path):
    """Of a list the first makes an interface, the next works on it, and the IPAM plugin is called alone."""
    subjects = examined(written(tmp_path, "x.conflist", listed(BRIDGE, {"type": "tuning"})))

    assert [(subject.name, subject.kind) for subject in subjects] == [
        ("bridge", Kind.INTERFACE),
        ("tuning", Kind.META),
        ("host-local", Kind.IPAM),
    ]
    assert subjects[1].before == (BRIDGE,)
    assert all(subject.skel and subject.result for subject in subjects)


def test_a_chained_plugin_alone_gets_an_interface(tmp_path: Path):
    """A lone configuration of a plugin that can only be chained gets one before it that makes an interface."""
    (tuning,) = examined(written(tmp_path, "x.conf", {"cniVersion": "1.0.0", "name": "n", "type": "tuning"}))

    assert tuning.kind is Kind.META
    assert [plugin["type"] for plugin in tuning.before] == ["bridge"]
    assert tuning.result["ips"]


def test_an_ipam_plugin_is_called_alone(tmp_path: Path):
    """A configuration whose type is its IPAM plugin's is that plugin's."""
    conf = {"cniVersion": "1.0.0", "name": "n", "type": "host-local", "ipam": IPAM}
    (subject,) = examined(written(tmp_path, "x.conf", conf))

    assert subject.kind is Kind.IPAM
    assert subject.before == ()


def test_a_list_is_tried_in_the_versions_of_all(tmp_path: Path):
    """firewall begins with 0.4.0, and so does a list with it."""
    subjects = examined(written(tmp_path, "x.conflist", listed(BRIDGE, {"type": "firewall"})))

    assert {subject.versions for subject in subjects} == {("0.4.0", "1.0.0")}
    assert subjects[0].advertised[0] == "0.1.0"


def test_a_version_that_a_plugin_does_not_speak():
    """Of all plugins it is left out with the reason; one that was named is an error."""
    subjects, skipped, *_ = chosen(Choice((), ("all",), PATH, ("0.2.0",)))

    names = {subject.plugin for subject in subjects}
    assert "bridge" in names
    assert "firewall" not in names
    assert any("firewall speaks 0.4.0, 1.0.0" in why for why in skipped)
    with pytest.raises(ConfigError, match="firewall speaks 0.4.0, 1.0.0"):
        chosen(Choice((), ("bridge", "firewall"), PATH, ("0.2.0",)))


def test_a_profile_beside_the_plugin_is_used(tmp_path: Path):
    """What cnitest.yaml says beside a configuration counts for it."""
    written(tmp_path, "cnitest.yaml", "ifname: net1\nskip: {DEL-05: it has no host side}\n")
    (bridge, *_) = examined(written(tmp_path, "x.conf", {"cniVersion": "1.0.0", "name": "n", **BRIDGE}))

    assert bridge.setting.ifname == "net1"
    assert bridge.setting.skip == {"DEL-05": "it has no host side"}


def test_a_run_writes_what_it_found(tmp_path: Path):
    """The table, the JSON in its published form, and a script for the finding; a MUST that fails ends with 1."""
    file = written(tmp_path, "x.conf", {"cniVersion": "1.0.0", "name": "n", **BRIDGE})
    arguments = ("--cni-version", "1.0.0", "--json", "out.json", "--repro", "scripts", "-k", "without_addresses")

    done = run(file.name, *arguments, cwd=tmp_path, expected=1)
    document = json.loads((tmp_path / "out.json").read_text())

    jsonschema.validate(document, conformance_schema())
    verdicts = {(row["id"], row["subject"]): row["verdict"] for row in document["requirements"]}
    assert verdicts["CHK-02", "bridge"] == "failed"
    assert verdicts["DEL-01", "bridge"] == "not run"
    assert verdicts["CHK-02", "host-local"] == "not applicable"
    assert re.search(r"^CHK-02 +MUST +FAIL", done.stdout, re.M)
    assert "no plugin name provided" in done.stdout
    assert [path.name.partition("-bridge")[0] for path in (tmp_path / "scripts").iterdir()] == ["CHK-02"]


def test_profiles_of_strictness_differ(tmp_path: Path):
    """What Go plugins inherit fails only under --strict; what is known of bridge is expected by the reference."""
    file = written(tmp_path, "x.conf", {"cniVersion": "1.0.0", "name": "n", **BRIDGE})
    inherited = ("--cni-version", "1.0.0", "-k", "missing_verb and bridge")
    known = ("--cni-version", "1.0.0", "-k", "test_check_without_addresses and bridge")

    run(file.name, *inherited, cwd=tmp_path, expected=0)
    run(file.name, *inherited, "--strict", cwd=tmp_path, expected=1)
    run(file.name, *known, cwd=tmp_path, expected=1)
    run(file.name, *known, "--profile", "reference", cwd=tmp_path, expected=0)


WORSE = {
    "hangs": "sleep 60",
    "forks": "(sleep 60) & exit 1",
    "floods": "cat /dev/zero",
    "dies": "kill -SEGV $$",
    "lies": 'echo "{\\"cniVersion\\": 5}"',
}


@pytest.mark.parametrize("how", list(WORSE))
def test_a_wild_plugin_is_a_finding(tmp_path: Path, how: str):
    """A plugin that hangs, floods, forks or dies is reported as such, and never an error of ours."""
    plugin = written(
        tmp_path, "wild", f'#!/bin/sh\n[ "$CNI_COMMAND" = ADD ] || exec /usr/lib/cni/bridge\n{WORSE[how]}\n'
    )
    plugin.chmod(0o755)
    file = written(tmp_path, "x.conf", {**BRIDGE, "cniVersion": "1.0.0", "name": "n", "type": "wild"})
    command = [
        sys.executable,
        "-m",
        "cnitest.cli",
        "run",
        file.name,
        "--cni-path",
        f"{tmp_path}:/usr/lib/cni",
        "-n",
        "0",
    ]
    wanted = ["--cni-version", "1.0.0", "--keep-going", "--json", "out.json", "-k", "test_add_prints_a_result and wild"]

    done = subprocess.run([*command, *wanted], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)

    rows = json.loads((tmp_path / "out.json").read_text())["requirements"]
    assert [row["verdict"] for row in rows if row["id"] == "ADD-02" and row["subject"] == "wild"] == ["failed"]
    assert done.returncode == 1
    assert "INTERNALERROR" not in done.stdout


def test_ctrl_c_ends_with_the_table(tmp_path: Path):
    """Within two seconds the run is over, with the verdicts so far and no process left."""
    file = written(tmp_path, "x.conf", {"cniVersion": "1.0.0", "name": "n", **BRIDGE})
    command = [sys.executable, "-m", "cnitest.cli", "run", file.name, "--cni-path", *PATH, "-n", "2"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    assert process.stdout is not None
    while b" cases, " not in (line := process.stdout.readline()) or b"%" not in line:
        assert process.poll() is None, "it ended by itself"

    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    rest = process.communicate(timeout=60)[0]
    took = time.monotonic() - began

    assert took < 15.0, f"{took:.1f} s"  # less than one on a quiet machine
    assert process.returncode == 2
    assert b"= requirements =" in rest
    assert b"calls of plugins" in rest
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_what_ran_before_the_first_case_is_none_of_it(tmp_path: Path):
    """The first ADD's programs (iptables, by ipMasq) are no share of the cases, which call none here."""
    written(tmp_path, "x.conflist", listed({**BRIDGE, "ipMasq": True}))

    done = run("x.conflist", "--requirement", "VER-01", "--json", "x.json", cwd=tmp_path, expected=0)

    rows = json.loads((tmp_path / "x.json").read_text())["requirements"]
    cases = [case for row in rows for case in row["cases"]]
    assert cases
    assert all(case["tool_seconds"] <= case["seconds"] for case in cases)
    assert ", 0% in other programs, " in done.stdout
