"""Programs that ask us before each call: what becomes of them when who supervises them is killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cnitest.suites.selftest.processes import until

NEVER = """
import time
from cnitest.kernel.processes.supervised import Supervised

def never(self, notice):
    print(notice.name, notice.thread, flush=True)
    time.sleep(60)

Supervised._word = never
with Supervised(lambda *_: 0) as tree:
    tree.start(["/bin/true"], {}, ())
"""


def test_a_program_that_is_about_to_run_ends_with_who_supervises_it(tmp_path: Path):
    """It has asked, and nobody will ever answer: it holds no descriptor that would keep it waiting for itself."""
    errors = tmp_path / "errors"
    with (
        errors.open("w") as stderr,
        subprocess.Popen([sys.executable, "-c", NEVER], stdout=subprocess.PIPE, stderr=stderr, text=True) as us,
    ):
        said = us.stdout.readline().split()
        us.kill()
    if not said and "seccomp" in errors.read_text():
        pytest.skip(errors.read_text().splitlines()[-1])

    name, thread = said

    assert name == "execve"
    until(lambda: state(int(thread)) in "ZX", 5, f"{thread} to end")


def state(thread: int) -> str:
    """The state of a process as proc(5) has it; X of one that is gone."""
    try:
        return Path(f"/proc/{thread}/stat").read_text().rpartition(") ")[2][0]
    except OSError:
        return "X"
