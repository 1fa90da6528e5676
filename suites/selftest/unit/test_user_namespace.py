"""What is tried before a process enters a user namespace: in a child, so that this process stays where it is."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys

import pytest

from cnitest.kernel.processes import user_namespace

# As AppArmor does it: a user namespace can be made, and nothing can be made in it.
CRIPPLED = """
import errno, os
from cnitest.kernel.processes import user_namespace
def forbidden():
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
user_namespace._ATTEMPTS = dict.fromkeys(user_namespace._ATTEMPTS, forbidden)
before = os.readlink("/proc/self/ns/user")
assert user_namespace.enter()
assert os.readlink("/proc/self/ns/user") == before
"""


def test_a_user_namespace_of_no_use_is_not_entered():
    """Where nothing is allowed inside, the process stays outside, with the rights that it has there."""
    done = subprocess.run([sys.executable, "-c", CRIPPLED], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def _killed() -> str:
    os.kill(os.getpid(), signal.SIGSYS)
    return ""


def _wrong() -> str:
    raise ValueError("no such thing")


def _ended() -> str:
    raise SystemExit


@pytest.mark.parametrize(
    ("attempt", "words"),
    [
        (_killed, "a child process that tried it was killed: Bad system call"),
        (_wrong, "no such thing"),
        (_ended, "SystemExit"),
        (lambda: "forbidden", "forbidden"),
        (lambda: "", ""),
    ],
)
def test_an_attempt_in_a_child_that_fails_says_so(attempt, words):
    """However it ends: by an error, by a signal such as a seccomp filter sends, or with a reason; and only in it."""
    assert user_namespace._in_child(attempt) == words


def test_too_few_processes_are_no_want_of_rights(monkeypatch: pytest.MonkeyPatch):
    """Where none can be forked any more, just for the /proc of a PID namespace, the limit is what has to be raised."""

    def none_more() -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(user_namespace, "_ATTEMPTS", {})
    monkeypatch.setattr(user_namespace.syscalls, "unshare", lambda _: None)
    monkeypatch.setattr(user_namespace.os, "fork", none_more)

    said = user_namespace._refused_inside(65534, "")

    assert said.startswith("no child process can be made to try it (Resource temporarily unavailable): allow more")
    assert "root" not in said
