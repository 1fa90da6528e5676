"""``cnitest vm``: a command in a guest with another kernel: its outputs, its end, and what is left of it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cnitest.vm import needs

pytestmark = pytest.mark.skipif(bool(needs.missing()), reason="; ".join(needs.missing()))
COMMAND = (sys.executable, "-m", "cnitest.cli", "vm")


def vm(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """The command, ended."""
    return subprocess.run([*COMMAND, *words], input=stdin, capture_output=True, text=True, timeout=300)


def test_a_command_runs_in_another_kernel(tmp_path):
    """Its outputs come apart, it reads our stdin and this machine's files, and its exit status is ours."""
    (tmp_path / "there").write_text("of this machine\n")
    script = f"cat {tmp_path}/there; cat; ip link add name v1 type dummy && cat /sys/class/net/v1/flags >&2; exit 7"

    done = vm("--", "sh", "-c", script, stdin="through stdin\n")

    assert (done.stdout, done.stderr, done.returncode) == ("of this machine\nthrough stdin\n", "0x82\n", 7)
