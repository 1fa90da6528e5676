"""A daemon that a plugin talks to: started before it, ready when its socket is there, killed after it."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from cnitest.deadline import Deadline
from cnitest.kernel.processes import process
from cnitest.lab.hosts import Host
from cnitest.lab.place import ENVIRONMENT

_READY = 10.0
_STEP = 0.01


@dataclass(frozen=True)
class Daemon:
    """A running one. ``ending`` is told when it is killed."""

    started: process.Started
    ending: Callable[[], None]

    def kill(self) -> None:
        """End it and wait until it is gone."""
        self.ending()
        with suppress(ProcessLookupError, ChildProcessError):
            os.killpg(self.started.pid, signal.SIGKILL)
            os.waitpid(self.started.pid, 0)


@contextmanager
def start_daemon(host: Host, argv: Sequence[str], socket: str, ending: Callable[[], None]) -> Iterator[Daemon]:
    """Run a daemon on a host while the block runs. Raises DeadlineExceeded when its socket does not appear."""
    daemon = Daemon(host.inside(lambda: process.start(argv, ENVIRONMENT)), ending)
    try:
        _await(host, socket, Deadline.after(_READY, f"the socket {socket} of {' '.join(argv)}"))
        yield daemon
    finally:
        daemon.kill()
        for fd in (daemon.started.stdin, daemon.started.stdout, daemon.started.stderr):
            os.close(fd)


def _await(host: Host, socket: str, deadline: Deadline) -> None:
    while socket and not host.inside(lambda: os.path.exists(socket)):
        deadline.check()
        select.select([], [], [], _STEP)
