"""Streams that are closed or full, a locale of few characters, small limits: no traceback, one line at most."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_DRAW = "draw node-with-uplink"
_FEW_CHARACTERS = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def shell(words: str, before: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run cnitest below a shell, with redirections."""
    return subprocess.run(
        ["sh", "-c", f"{before} exec {sys.executable} -m cnitest.cli {words}"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
@pytest.mark.parametrize("words", [_DRAW, "requirements ADD-01", "explain node-with-uplink node 8.8.8.8"])
def test_closed_streams_change_nothing_else(words, closed):
    """The exit code is that of what was done."""
    done = shell(f"{words} {closed}")

    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr


@pytest.mark.parametrize("words", [_DRAW, "requirements", "doctor"])
def test_a_full_output_is_one_line(words):
    """Exit 4; also of more than is written at once."""
    done = shell(f"{words} >/dev/full")

    assert done.returncode == 4
    assert done.stderr == "cnitest: stdout cannot be written: No space left on device: have it lead elsewhere\n"


def test_what_nobody_can_read_is_not_said():
    """The exit code is that of wrong usage, not of the stream."""
    assert shell("draw nothing-of-that-name 2>/dev/full").returncode == 4


def test_a_locale_of_few_characters_shows_others():
    """``→`` is an arrow in ASCII."""
    done = shell("explain node-with-uplink node 8.8.8.8", **_FEW_CHARACTERS)

    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()


def test_too_few_open_files_are_one_line():
    """Exit 4, with what allows more."""
    done = shell("reach node-with-uplink", "ulimit -n 20;")

    assert done.returncode == 4, done.stderr
    assert "ulimit -n 1024" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def _pytest(folder: Path, *words: str, small: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run pytest over the tests in a folder; with a ``small`` directory of 8 KiB, of which it says what is left."""
    command = [sys.executable, "-Bm", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".", "test_it.py", *words]
    if small:
        steps = f'mount -t tmpfs -o size=8k none {small}; "$@"; code=$?; echo left: $(ls -A {small}); exit $code'
        command = ["unshare", "--mount", "sh", "-c", steps, "sh", *command]
    environment = {**os.environ, **environment}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_a_junit_report_that_does_not_fit_costs_nothing_else(tmp_path: Path):
    """The run's own words are all there, one of them says so, and half a file is not left."""
    (tmp_path / "test_it.py").write_text('def test_it():\n    assert False, "x" * 30_000\n')
    (tmp_path / "small").mkdir()

    done = _pytest(tmp_path, "--tb=line", "--junitxml", "small/j.xml", small="small")

    assert done.returncode == 4, done.stdout + done.stderr
    assert f"{tmp_path}/small/j.xml could not be written: No space left on device" in done.stdout
    assert "1 failed" in done.stdout
    assert done.stdout.endswith("left:\n")


REPORT = "[{id: REG-1, symptom: it breaks, links: [https://example.com/1]}]"
MARKED = "import pytest\n\n@pytest.mark.regression('REG-1')\ndef test_it():\n    pass\n"


@pytest.mark.parametrize("option", ["--cni-coverage", "--cni-json"])
def test_a_report_of_marks_that_cannot_be_written_costs_nothing_else(tmp_path: Path, option: str):
    """Its file is named in one line, and that of JUnit is there all the same."""
    (tmp_path / "test_it.py").write_text(MARKED)
    (tmp_path / "reports.yaml").write_text(REPORT)

    done = _pytest(tmp_path, option, "/dev/full", "--junitxml", "junit.xml")

    said = done.stdout + done.stderr
    assert done.returncode == 4, said
    assert "/dev/full could not be written: No space left on device" in done.stdout.splitlines()
    assert "Traceback" not in said
    assert "1 passed" in said
    assert 'tests="1"' in (tmp_path / "junit.xml").read_text()


def test_nothing_is_left_open_at_the_end(tmp_path: Path):
    """A run under Python's warnings as errors has none of ours, not even where the interpreter ends."""
    (tmp_path / "test_it.py").write_text(
        "def test_it(lab):\n    lab.host('internet').run(['iptables', '-P', 'INPUT', 'DROP'])\n"
        "    assert not lab.host('node').ping('8.8.8.8')\n"
    )

    done = _pytest(tmp_path, PYTHONWARNINGS="error")

    assert (done.returncode, done.stderr) == (0, ""), done.stdout
