"""A lock that a plugin's own earlier call left on the machine, and that keeps its first ADD from going on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

REAL = "/usr/lib/cni"
# It takes its lock by a file, and forgets it where a call fails: without a previous result, for instance.
FORGETFUL = """#!/bin/sh
[ "$CNI_COMMAND" = ADD ] || [ "$CNI_COMMAND" = DEL ] || exec {real}/tuning
if [ -e {lock} ]; then
  echo '{{"cniVersion": "1.0.0", "code": 11, "msg": "another instance is running ({lock})"}}'
  exit 1
fi
: >{lock}
{real}/tuning || exit
rm {lock}
"""

pytestmark = pytest.mark.requires(plugin=("bridge", "host-local", "tuning"))


def report(tmp_path: Path, lock: str) -> str:
    """What a run says of a network whose second plugin takes its lock there, in one line."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "tuning"
    program.write_text(FORGETFUL.format(real=REAL, lock=lock))
    program.chmod(0o755)
    ipam = {"type": "host-local", "subnet": "10.5.0.0/24"}
    plugins = [{"type": "bridge", "ipam": ipam}, {"type": "tuning", "mtu": 1400}]
    (tmp_path / "my.conflist").write_text(json.dumps({"cniVersion": "1.0.0", "name": "mynet", "plugins": plugins}))
    command = [sys.executable, "-m", "cnitest.cli", "run", "my.conflist", "--requirement", "ADD-02", "-n", "0"]
    command += ["--cni-path", f"./bin:{REAL}"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    return " ".join(found.stdout.split())


def test_a_lock_that_an_earlier_call_left_is_named(tmp_path: Path):
    """With who left it and what to do; a directory of the machine is not the lab's."""
    lock = tmp_path / "tuning.lock"

    said = report(tmp_path, str(lock))

    assert "cannot start" in said
    assert f"likely {lock} is this machine's, which the hosts of labs share" in said
    assert f"an earlier one of tuning, in this run or before, left it. Remove it (rm {lock})" in said


def test_a_lock_below_run_is_the_host_s_own(tmp_path: Path):
    """Each host has its own /run: no call of another one is in the way there."""
    said = report(tmp_path, "/run/cnitest-selftest-tuning.lock")

    assert "cannot start" not in said
    assert not Path("/run/cnitest-selftest-tuning.lock").exists()
