"""A lock that a plugin's own earlier call left on the machine, and that keeps its first ADD from going on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from cnitest.suites.selftest.processes import maps_user

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
# The same, where the previous result cannot be read.
LEAVING = """#!/bin/sh
{real}/tuning <<END || {{ code=$?; [ -z "$CNI_CONTAINERID" ] || : >{lock}; exit $code; }}
$(cat)
END
"""

pytestmark = pytest.mark.requires(plugin=("bridge", "host-local", "tuning"))


def report(tmp_path: Path, lock: str, text: str = FORGETFUL, requirement: str = "ADD-02") -> str:
    """What a run says of a network whose second plugin is such a script, in one line."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "tuning"
    program.write_text(text.format(real=REAL, lock=lock))
    program.chmod(0o755)
    ipam = {"type": "host-local", "subnet": "10.5.0.0/24"}
    plugins = [{"type": "bridge", "ipam": ipam}, {"type": "tuning", "mtu": 1400}]
    (tmp_path / "my.conflist").write_text(json.dumps({"cniVersion": "1.0.0", "name": "mynet", "plugins": plugins}))
    command = [sys.executable, "-m", "cnitest.cli", "run", "my.conflist", "--requirement", requirement, "-n", "0"]
    command += ["--cni-path", f"./bin:{REAL}"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    return " ".join(found.stdout.split())


def test_a_lock_that_an_earlier_call_left_is_named(tmp_path: Path):
    """With who left it and what to do; a directory of the machine is not the lab's."""
    lock = tmp_path / "tuning.lock"

    said = report(tmp_path, str(lock))

    assert "cannot start" in said
    assert f"likely {lock}, which all hosts share with this machine, was there before" in said
    assert "an earlier call of tuning, in this run or before, left it. Remove it, and have the plugin do so" in said


def test_a_lock_below_run_is_the_host_s_own(tmp_path: Path):
    """Each host has its own /run: no call of another one is in the way there."""
    said = report(tmp_path, "/run/cnitest-selftest-tuning.lock")

    assert "cannot start" not in said
    assert not Path("/run/cnitest-selftest-tuning.lock").exists()


@pytest.mark.skipif(os.geteuid() != 0 or not maps_user(65534), reason="the kernel tells only the machine's root")
def test_what_a_case_leaves_on_the_machine_is_said_at_the_end(tmp_path: Path):
    """With the plugin and the case that left it: every later one sees it, too."""
    lock = Path(tempfile.gettempdir()) / f"selftest-{os.getpid()}.left"
    try:
        said = report(tmp_path, str(lock), LEAVING, "PREV-05")
    finally:
        lock.unlink(missing_ok=True)

    assert "left on this machine" in said
    assert f"{lock}: tuning, PREV-05 test_a_malformed_result_is_rejected[" in said
