"""A program that stays while a block of a test runs: its output as it comes, and an end that leaves nothing of it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
from collections.abc import Callable, Iterator

from cnitest.deadline import Deadline, readable
from cnitest.errors import DeadlineExceeded
from cnitest.kernel.processes.process import MOST_OUTPUT, Started

_CHUNK = 1 << 16
_ALL_GONE = 10.0
# Seconds for what a program that has ended said last; longer only where another one has its output.
_LAST_WORDS = 0.5


class Staying:
    """Reads what a started program prints, on a thread of its own, until `end`."""

    def __init__(self, started: Started) -> None:
        self.started = started
        #: Set whenever there is more output, or the program has ended.
        self.news = threading.Condition()
        self.exit_code: int | None = None
        self._output = {started.stdout: bytearray(), started.stderr: bytearray()}
        self._watch = os.pidfd_open(started.pid)
        self._ended = threading.Lock()
        os.close(started.stdin)
        self._reader = threading.Thread(target=self._read, name="cnitest-output", daemon=True)
        self._reader.start()

    def stdout(self) -> bytes:
        """What it has printed so far."""
        with self.news:
            return bytes(self._output[self.started.stdout])

    def stderr(self) -> bytes:
        """What it has printed as errors so far."""
        with self.news:
            return bytes(self._output[self.started.stderr])

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        if self.exit_code is None:
            self._reap()
        return self.exit_code is None

    def wait_until(self, holds: Callable[[], bool], deadline: Deadline, every: float) -> bool:
        """Whether something holds before the program ends; looked at with each output and ``every`` so many seconds.

        Raises DeadlineExceeded.
        """
        while not holds():
            if not self.running:
                self._reader.join(_LAST_WORDS)  # who learns that it ended is to have all that it said
                return holds()
            deadline.check()
            with self.news:
                self.news.wait(min(every, max(deadline.remaining, 0.001)))
        return True

    def end(self, timeout: float) -> None:
        """TERM its whole tree, KILL what is there after ``timeout`` seconds, and wait until all are gone.

        Raises DeadlineExceeded.
        """
        with self._ended:
            if self._watch < 0:
                return
            tree = [*self._tree()]
            self._signal(tree, signal.SIGTERM)
            with contextlib.suppress(DeadlineExceeded):
                self._await(tree, timeout)
            self._kill([*self._tree()] or tree)
            self._reap()
            self._reader.join(_ALL_GONE)
            os.close(self._watch)
            self._watch = -1

    def _kill(self, tree: list[int]) -> None:
        """KILL the tree, and again what one of it started while the others ended. Raises DeadlineExceeded."""
        deadline = Deadline.after(_ALL_GONE, f"{self.started.argv[0]} and all that it started to be gone")
        while tree:
            self._signal(tree, signal.SIGKILL)
            self._await(tree, deadline.remaining)
            deadline.check()
            tree = [*self._tree()]

    def _reap(self) -> None:
        with self.news:
            if self.exit_code is None:
                try:
                    pid, status = os.waitpid(self.started.pid, os.WNOHANG)
                except ChildProcessError:
                    self.exit_code = -signal.SIGKILL
                    return
                if pid:
                    self.exit_code = os.waitstatus_to_exitcode(status)
                    self.news.notify_all()

    def _read(self) -> None:
        poll = select.poll()
        pipes = {self.started.stdout, self.started.stderr}
        for fd in pipes:
            poll.register(fd, select.POLLIN)
        while pipes:
            for fd, _ in poll.poll():
                data = os.read(fd, _CHUNK)
                with self.news:
                    room = MOST_OUTPUT - len(self._output[fd])
                    self._output[fd] += data[: max(room, 0)]
                    self.news.notify_all()
                if not data:
                    poll.unregister(fd)
                    pipes.discard(fd)
                    os.close(fd)

    def _tree(self) -> Iterator[int]:
        """The program, its session, and whoever descends from one of them, as processes that still run."""
        parents, members = {}, set()
        for name in os.listdir("/proc"):
            if name.isdigit() and (facts := _facts(int(name))):
                parents[int(name)] = facts[0]
                if self.started.pid in (int(name), *facts[1:]):
                    members.add(int(name))
        grown = True
        while grown:
            more = {pid for pid, parent in parents.items() if parent in members} - members
            members |= more
            grown = bool(more)
        yield from members

    def _signal(self, pids: list[int], number: signal.Signals) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _await(self, pids: list[int], seconds: float) -> None:
        """Wait until processes have ended. Raises DeadlineExceeded."""
        deadline = Deadline.after(seconds, f"{self.started.argv[0]} to end")
        for pid in pids:
            try:
                watch = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            try:
                while not readable([watch], deadline.remaining):
                    deadline.check()
            finally:
                os.close(watch)


def _facts(pid: int) -> tuple[int, int, int] | None:
    """Parent, process group and session of a process; None for one that is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            words = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if words[0] == "Z" else (int(words[1]), int(words[2]), int(words[3]))
