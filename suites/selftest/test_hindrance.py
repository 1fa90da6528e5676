"""A plugin that keeps the plugins before it from adding another container, which nobody but it is to blame for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PATH = "/usr/lib/cni"
BRIDGE = {"type": "bridge", "ipam": {"type": "host-local", "subnet": "10.22.0.0/24"}}
#: A plugin that makes interfaces, fails where a file is, and makes another one.
MAKER = """#!/bin/sh
if [ "$CNI_COMMAND" = ADD ] && [ -e /run/{file} ]; then
  echo '{{"cniVersion": "1.0.0", "code": 123, "msg": "in the way"}}'; exit 1
fi
[ "$CNI_COMMAND" = ADD ] && touch /run/own
exec {path}/bridge
"""
#: A plugin that passes the previous result on, and makes a file.
META = """#!/usr/bin/python3
import json, os, sys
command = os.environ["CNI_COMMAND"]
if command == "VERSION":
    print('{"cniVersion": "1.0.0", "supportedVersions": ["1.0.0"]}')
if command == "ADD":
    open("/run/hindrance", "w")
    print(json.dumps(json.load(sys.stdin)["prevResult"]))
if command == "DEL" and os.path.exists("/run/hindrance"):
    os.remove("/run/hindrance")
"""

pytestmark = pytest.mark.requires(plugin=("bridge", "host-local"))


def tried(tmp_path: Path, file: str) -> tuple[int, str]:
    """The exit code and output of ADD-06 and ADD-07 for the second plugin of a list; the first one fails where there
    is the ``file``."""
    for name, text in (("maker", MAKER.format(file=file, path=PATH)), ("mine", META)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    conf = {"cniVersion": "1.0.0", "name": "mynet", "plugins": [{**BRIDGE, "type": "maker"}, {"type": "mine"}]}
    (tmp_path / "my.conflist").write_text(json.dumps(conf))
    command = [sys.executable, "-m", "cnitest.cli", "run", "my.conflist", "--cni-path", f"{tmp_path}:{PATH}", "-n", "0"]
    command += ["--plugin", "mine", "--requirement", "ADD-06", "--requirement", "ADD-07", "--cni-version", "1.0.0"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def test_what_keeps_the_plugins_before_it_from_adding_is_a_finding(tmp_path: Path) -> None:
    """The failed ADD of the plugin before it counts against the one without which it succeeds."""
    code, text = tried(tmp_path, "hindrance")

    assert code == 1, text
    assert "FAIL mine: ADD-06 MUST, also ADD-07" in text
    assert "after its ADD another one of its network fails: maker ADD" in text
    assert "in the way; without it in the list it succeeds" in text


def test_a_plugin_before_it_that_fails_by_itself_is_not_its_fault(tmp_path: Path) -> None:
    """Where another ADD fails without the plugin as well, its requirement is left undecided."""
    _, text = tried(tmp_path, "own")

    assert "FAIL" not in text, text
    assert "blocked by: maker ADD" in text
