"""Programs that cannot be watched: a process that has no descriptor left keeps none, and leaves no program."""

from __future__ import annotations

import errno
import os

import pytest

from cnitest.deadline import Deadline
from cnitest.kernel.processes import process

_SLEEP = ("/bin/sleep", "100")


def _descriptors() -> list[str]:
    return sorted(os.listdir("/proc/self/fd"))


def _refuse(*_: object) -> int:
    raise OSError(errno.EMFILE, "Too many open files")


def test_a_program_that_cannot_be_watched_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is killed and waited for, and its pipes are closed."""
    before = _descriptors()
    started = process.start(_SLEEP, {})
    monkeypatch.setattr(os, "pidfd_open", _refuse)

    with pytest.raises(OSError, match="Too many open files"):
        process.finish(started, b"", Deadline.exactly(5, "sleep"))

    assert _descriptors() == before
    with pytest.raises(ChildProcessError):
        os.waitpid(started.pid, 0)


def test_without_descriptors_no_pipe_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the second pipe is refused, the first one is closed."""
    before, pipe2 = _descriptors(), os.pipe2
    refusals = iter([pipe2, _refuse])
    monkeypatch.setattr(os, "pipe2", lambda flags: next(refusals)(flags))

    with pytest.raises(OSError, match="Too many open files"):
        process.start(_SLEEP, {})

    assert _descriptors() == before
