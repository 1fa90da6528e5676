"""A daemon that a plugin talks to: started before it, ready when its socket is there, killed after it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from cnitest.deadline import Deadline
from cnitest.errors import CommandError
from cnitest.kernel.file_events import APPEARED, file_events, nearest_directory
from cnitest.kernel.processes import process
from cnitest.lab.hosts import Host
from cnitest.lab.place import ENVIRONMENT

_READY, _ASK_AGAIN = 10.0, 0.5


@dataclass(frozen=True)
class Daemon:
    """A running one. ``ending`` is called when it is killed."""

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
    """Run a daemon on a host while the block runs.

    Raises DeadlineExceeded when its socket does not appear, CommandError when it cannot be started, or fails
    before.
    """
    try:
        started = host.inside(lambda: process.start(argv, ENVIRONMENT))
    except OSError as error:
        raise CommandError(f"the daemon {' '.join(argv)} cannot be started: {error.strerror}") from error
    daemon = Daemon(started, ending)
    try:
        if socket:
            _await(host, daemon.started, socket)
        yield daemon
    finally:
        daemon.kill()
        for fd in (daemon.started.stdin, daemon.started.stdout, daemon.started.stderr):
            os.close(fd)


def _await(host: Host, started: process.Started, socket: str) -> None:
    """Wait for events of the socket's directory, and for the end of a daemon that fails."""
    words = " ".join(started.argv)
    ended = os.pidfd_open(started.pid)
    try:
        with file_events() as events:

            def there() -> bool:
                if host.inside(lambda: os.path.exists(socket)):
                    return True
                if code := _exit_code(ended):
                    raise CommandError(f"{words} ended with exit code {code}; its socket {socket} was never there")
                return False

            def wait(seconds: float) -> None:
                if not host.inside(lambda: events.watch(nearest_directory(socket), APPEARED)):
                    events.wait(seconds, *([ended] if _exit_code(ended) is None else []))

            Deadline.after(_READY, f"the socket {socket} of {words}").poll(there, _ASK_AGAIN, wait)
    finally:
        os.close(ended)


def _exit_code(watch: int) -> int | None:
    """How a process ended, which stays to be reaped: negative by a signal, None while it runs."""
    found = os.waitid(os.P_PIDFD, watch, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if found is None:
        return None
    return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
