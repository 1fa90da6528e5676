"""Ctrl-C at the command ``cnitest``, and at pytest with its workers: one line, the exit code, and nothing left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from cnitest.suites.selftest.test_cli import cnitest

IMPORTED = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"
STARTED = """\
import os, signal

def pytest_xdist_newgateway():
    os.killpg(0, signal.SIGINT)
"""


RUNNING = """\
import os, signal, threading

def test_one():
    os.killpg(0, signal.SIGINT)
    threading.Event().wait(60)

def test_other():
    threading.Event().wait(60)
"""


def test_ctrl_c_while_pytest_starts_is_one_line(tmp_path):
    """Where ``run`` has handed over and pytest imports what it runs."""
    (tmp_path / "interrupting.py").write_text(IMPORTED)

    done = cnitest("run", "--", "-p", "interrupting", cwd=tmp_path, PYTHONPATH=str(tmp_path))

    assert done.returncode == pytest.ExitCode.INTERRUPTED
    assert (done.stdout, done.stderr) == ("", "cnitest: interrupted\n")


def _interrupted_with_workers(directory):
    """How a run of ``test_it.py`` with two workers ended, which is interrupted in a session of its own."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", "2", "test_it.py"],
        cwd=directory, capture_output=True, text=True, timeout=120, check=False, env=outside, start_new_session=True,
    )  # fmt: skip


def test_ctrl_c_while_workers_start_is_reported_once(tmp_path):
    """All processes of the terminal get it; those of workers, which have no words for it yet, print no traceback."""
    (tmp_path / "conftest.py").write_text(STARTED)
    (tmp_path / "test_it.py").write_text("def test_it(): pass\n")
    done = _interrupted_with_workers(tmp_path)

    assert done.returncode == pytest.ExitCode.INTERRUPTED
    assert done.stdout.count("! KeyboardInterrupt !") == 1
    assert "Traceback" not in done.stdout + done.stderr


def test_ctrl_c_while_workers_run_tests_is_reported_once(tmp_path):
    """Workers, which the terminal interrupts, too, say nothing of their own."""
    (tmp_path / "test_it.py").write_text(RUNNING)
    done = _interrupted_with_workers(tmp_path)

    assert done.returncode == pytest.ExitCode.INTERRUPTED
    assert done.stdout.count("! KeyboardInterrupt !") == 1
    assert done.stderr == ""


def test_ctrl_c_ends_a_run_quickly(tmp_path):
    """SIGINT while a plugin hangs: the run ends within seconds with pytest's code for it, and so does the plugin."""
    plugin = tmp_path / "hangs"
    plugin.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nsleep 600.{os.getpid()}\n")
    plugin.chmod(0o755)
    (tmp_path / "hang.conf").write_text('{"cniVersion": "1.0.0", "name": "hang", "type": "hangs"}')
    process = subprocess.Popen(
        [sys.executable, "-m", "cnitest.cli", "run", "hang.conf", "--cni-path", str(tmp_path), "-k", "given"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    until = time.monotonic() + 20
    while not (tmp_path / "pid").exists() and time.monotonic() < until:
        time.sleep(0.02)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)

    assert time.monotonic() - began < 5
    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    assert subprocess.run(["pgrep", "-fx", f"sleep 600.{os.getpid()}"], capture_output=True, check=False).stdout == b""
