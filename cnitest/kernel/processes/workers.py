"""Worker processes of ours, each with one pipe to its parent: nothing of them has a name that would stay when all of
them are killed, and no file system is needed for it."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, NamedTuple

from cnitest import interrupts
from cnitest.kernel import syscalls

__all__ = ["Connection", "Gone", "Workers"]

#: Seconds that a worker has to end once it was asked to, all together.
_GRACE = 5.0
#: The numbers of errors of a pipe whose other end is closed; none in the middle of a message.
_PARENT_GONE = (None, errno.EPIPE, errno.ECONNRESET)


class Gone(NamedTuple):
    """The last that comes of a worker: its exit code as of `subprocess.Popen`, and whether its work was done."""

    code: int
    is_done: bool

    @property
    def words(self) -> str:
        """How it ended, to say of a worker whose work was not done."""
        if self.code < 0:
            return f"its process was ended by {signal.Signals(-self.code).name}"
        return f"its process ended with exit code {self.code}"


class _Done(NamedTuple):
    """A worker's work is done."""


class Workers:
    """Processes that call ``work(*row, connection)``, one for each row, until the block ends, or the thread that
    entered it. They are started anew, not forked: other threads of ours hold locks. Ctrl-C is for their parent alone.
    """

    def __init__(self, work: Callable[..., None], rows: Sequence[tuple[Any, ...]]) -> None:
        self._work, self._rows = work, rows
        self._processes: list[Any] = []
        #: Of those that have not ended yet, the number of each by its connection; and who has done its work.
        self._connections: dict[Connection, int] = {}
        self._done: set[int] = set()

    def __enter__(self) -> Workers:
        resource_tracker.ensure_running()  # where it starts, it lets through what is withheld
        with interrupts.withheld():
            for row in self._rows:
                self._start(row)
        return self

    def _start(self, row: tuple[Any, ...]) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        with theirs:
            process = context.Process(target=_begin, args=(self._work, row, theirs, os.getpid()), daemon=True)
            process.start()
        self._connections[ours] = len(self._processes)
        self._processes.append(process)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join(_GRACE)
            process.kill()
            process.join()
            process.close()
        for connection in self._connections:
            connection.close()

    @property
    def left(self) -> tuple[int, ...]:
        """The numbers of those of which nobody has heard that they ended, counted from 0."""
        return tuple(self._connections.values())

    def send(self, number: int, message: Any) -> None:
        """Send to one; what one that has ended would get is lost."""
        for connection, other in self._connections.items():
            if other == number:
                with suppress(ConnectionError):
                    connection.send(message)

    def received(self, seconds: float) -> list[tuple[int, Any]]:
        """What has come, each with the number of its worker, after waiting for the first for at most so long."""
        there: Iterable[Any] = wait(list(self._connections), seconds)
        found = [(self._connections[connection], self._taken(connection)) for connection in there]
        return [(number, message) for number, message in found if not isinstance(message, _Done)]

    def _taken(self, connection: Connection) -> Any:
        """The next message of one, or `Gone`."""
        number = self._connections[connection]
        try:
            message = connection.recv()
        except (EOFError, OSError):  # the latter without a number in the middle of a message
            del self._connections[connection]
            connection.close()
            self._processes[number].join(_GRACE)
            return Gone(self._processes[number].exitcode or 0, number in self._done)
        if isinstance(message, _Done):
            self._done.add(number)
        return message


def _begin(work: Callable[..., None], row: tuple[Any, ...], connection: Connection, parent: int) -> None:
    """A worker's process. It ends without a word where its parent is gone, in the middle of its work: nobody wants to
    know."""
    interrupts.ignore()
    syscalls.end_with_parent(signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(1)
    try:
        work(*row, connection)
        connection.send(_Done())
    except (EOFError, OSError) as error:
        if getattr(error, "errno", None) not in _PARENT_GONE:
            raise
        sys.exit(1)
