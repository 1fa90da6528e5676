"""Programs that end with us, however we end: SIGKILL, too, leaves none behind."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cnitest.kernel import syscalls


def ends_with_us() -> Callable[[], None]:
    """What a child does before it becomes its program: the kernel ends it when the thread that made it ends."""
    ours = os.getpid()

    def ask() -> None:
        syscalls.end_with_parent(signal.SIGKILL)
        if os.getppid() != ours:
            os._exit(1)

    return ask


def finished(
    argv: Sequence[str], directory: Path | None, environment: Mapping[str, str], seconds: float
) -> subprocess.CompletedProcess[str]:
    """A program that has ended, in a session of its own, with what it wrote.

    Raises subprocess.TimeoutExpired when it does not end in time.
    """
    return subprocess.run(
        argv,
        cwd=directory,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds,
        preexec_fn=ends_with_us(),
        start_new_session=True,
    )
