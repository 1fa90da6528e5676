"""Limits of a process: too few open files are one line, and memory that is limited is named where a plugin crashes."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from cnitest.cni.calls.invoke import Call
from cnitest.conformance.model import protocol
from cnitest.kernel.confinement import limits


def limited(monkeypatch: pytest.MonkeyPatch, soft: int, hard: int) -> list[tuple[int, int]]:
    """Let a limit be so; what it is set to."""
    made: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, values: made.append(values))
    return made


@pytest.mark.parametrize(
    ("soft", "hard", "made"),
    [(20, 4096, (1024, 4096)), (20, 200, (200, 200)), (20, -1, (1024, -1)), (256, 256, None), (-1, -1, None)],
)
def test_enough_files_are_had_where_they_are_allowed(monkeypatch, soft, hard, made):
    """The limit is raised only where it is too low."""
    found = limited(monkeypatch, soft, hard)

    assert limits.why_too_few_files() == ""
    assert found == ([made] if made else [])


@pytest.mark.parametrize("command", [["run"], ["explain", "bridge-walkthrough", "ns01", "ns02"], ["fuzz", "bridge"]])
def test_too_few_files_are_one_line(command):
    """Before anything is tried, with what to do."""
    words = ["sh", "-c", 'ulimit -n 20; exec "$@"', "sh", sys.executable, "-m", "cnitest.cli", *command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 4
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)
    assert "only 20 files may be open at once" in done.stderr
    assert "ulimit -n 1024" in done.stderr


@pytest.mark.parametrize(
    ("soft", "words"),
    [
        (-1, ""),
        (600 << 20, " (memory is limited here to 600 MiB a process (RLIMIT_AS), which may be why: ulimit -v unli"),
    ],
)
def test_a_crash_may_be_of_the_limit_of_memory(monkeypatch, soft, words):
    """Go's runtime aborts where it cannot reserve memory: the finding says so, where memory is limited at all."""
    call = Call("p", "ADD", "node", ("p",), {}, "", b"", b"", -6, 0.1)
    limited(monkeypatch, soft, soft)

    (found,) = protocol.crash(call)

    assert f"dies of signal 6{words}" in found
    assert ("RLIMIT_AS" in found) is bool(words)
