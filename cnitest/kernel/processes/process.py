"""Runs one program to its end: pipes, a deadline, a limit to what it may print, and no child left holding us up."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cnitest.deadline import Deadline

#: What of a stream is kept; the rest is read and thrown away.
MOST_OUTPUT = 16 << 20
# So much is never the end of it.
_TOO_MUCH = 16 * MOST_OUTPUT
_CHUNK = 1 << 16
# After a program has ended, what it wrote is in the pipe already; only a child of its could still add to it.
_AFTER_THE_END = 0.02
_KILLED_AFTER = 20.0


@dataclass(frozen=True)
class Finished:
    """How a program ended. ``exit_code`` is negative for a signal; times are in seconds."""

    argv: tuple[str, ...]
    exit_code: int
    stdout: bytes
    stderr: bytes
    seconds: float
    timed_out: bool = False
    cut: tuple[str, ...] = ()
    stdin_refused: bool = False
    held_open: bool = False


class _Spent:
    """Counts the seconds that programs of ours took, so that a report can tell theirs from our own."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def add(self, seconds: float) -> None:
        """A program took that long."""
        self._seconds += seconds

    def take(self) -> float:
        """The seconds since this was last asked."""
        taken, self._seconds = self._seconds, 0.0
        return taken


#: The time of all programs of this process; those that run side by side count one after the other.
spent = _Spent()


@dataclass(frozen=True)
class Started:
    """A running program: its pid (also its process group and session) and our ends of its pipes."""

    argv: tuple[str, ...]
    pid: int
    stdin: int
    stdout: int
    stderr: int
    began: float


#: Starts the program at a path with arguments, environment and its first descriptors, in a session of its own; its pid.
Spawn = Callable[[str, Sequence[str], Mapping[str, str], Sequence[int]], int]


def _spawn(path: str, argv: Sequence[str], environment: Mapping[str, str], ends: Sequence[int]) -> int:
    actions = [(os.POSIX_SPAWN_DUP2, end, number) for number, end in enumerate(ends)]
    return os.posix_spawn(
        path, tuple(argv), environment, file_actions=actions, setsid=True, setsigmask=(), setsigdef=(signal.SIGPIPE,)
    )


def start(argv: Sequence[str], environment: Mapping[str, str], spawn: Spawn = _spawn) -> Started:
    """Start a program in the calling thread's namespaces with three pipes and a session of its own.

    ``argv[0]`` is a path, or a name looked up in the environment's PATH. Raises OSError.
    """
    theirs_in, ours_in, ours_out, theirs_out, ours_err, theirs_err = _three_pipes()
    began = time.monotonic()
    try:
        pid = spawn(_located(argv[0], environment), argv, environment, (theirs_in, theirs_out, theirs_err))
    except BaseException:
        for ours in (ours_in, ours_out, ours_err):
            os.close(ours)
        raise
    finally:
        for theirs in (theirs_in, theirs_out, theirs_err):
            os.close(theirs)
    return Started(tuple(argv), pid, ours_in, ours_out, ours_err, began)


def _three_pipes() -> list[int]:
    """The reading and the writing end of each. Raises OSError, and then has opened none."""
    ends: list[int] = []
    try:
        for _ in range(3):
            ends += os.pipe2(os.O_CLOEXEC)
    except OSError:
        for end in ends:
            os.close(end)
        raise
    return ends


def finish(started: Started, stdin: bytes, deadline: Deadline) -> Finished:
    """Feed a started program, read it to its end and kill its whole process group at the deadline. Raises OSError where
    no descriptor is left to watch it by; it is ended then."""
    try:
        conversation = _Conversation(started, stdin, deadline)
    except BaseException:
        abandon(started)
        raise
    return conversation.hold()


def abandon(started: Started) -> None:
    """End a started program that nobody will finish."""
    _kill_group(started.pid)
    os.waitpid(started.pid, 0)
    for ours in (started.stdin, started.stdout, started.stderr):
        os.close(ours)


def end_all_in(namespaces: set[int], spare: set[int]) -> None:
    """Kill every process in network or mount namespaces (by inode) but those to spare, and wait until they have ended.

    Raises DeadlineExceeded.
    """
    watched: list[int] = []
    try:
        for pid in [int(name) for name in os.listdir("/proc") if name.isdigit()]:
            if pid not in spare and namespaces & _namespaces_of(pid):
                with contextlib.suppress(ProcessLookupError):
                    watched.append(os.pidfd_open(pid))
                    signal.pidfd_send_signal(watched[-1], signal.SIGKILL)
        deadline = Deadline.after(_KILLED_AFTER, "processes that were killed to end")
        for watch in watched:
            _await_end(watch, deadline)
    finally:
        for watch in watched:
            os.close(watch)


def _await_end(watch: int, deadline: Deadline) -> None:
    poll = select.poll()
    poll.register(watch, select.POLLIN)
    while not poll.poll(deadline.remaining * 1000):
        deadline.check()


def _namespaces_of(pid: int) -> set[int]:
    """The network and mount namespaces of a process; none when it is not ours to see, or gone."""
    found = set()
    for kind in ("net", "mnt"):
        with contextlib.suppress(OSError):
            found.add(os.stat(f"/proc/{pid}/ns/{kind}").st_ino)
    return found


def _located(name: str, environment: Mapping[str, str]) -> str:
    if "/" in name:
        return name
    for directory in environment.get("PATH", os.defpath).split(":"):
        path = os.path.join(directory or ".", name)
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    raise FileNotFoundError(2, f"no program {name!r} in PATH {environment.get('PATH', os.defpath)}")


class _Conversation:
    """Feeds and reads one program until it has ended and its pipes are empty."""

    def __init__(self, started: Started, stdin: bytes, deadline: Deadline) -> None:
        self._started = started
        self._deadline = deadline
        self._input = memoryview(stdin)
        self._output: dict[int, list[bytes]] = {started.stdout: [], started.stderr: []}
        self._sizes = {started.stdout: 0, started.stderr: 0}
        self._pipes = {started.stdin, started.stdout, started.stderr}
        self._watch = os.pidfd_open(started.pid)
        self._poll = select.poll()
        self._stdin_refused = False

    def hold(self) -> Finished:
        """Talk until the program has ended; kill it when the deadline or an exception (Ctrl-C) comes first."""
        try:
            self._begin()
            timed_out = not self._until_it_ends()
            if timed_out:
                _kill_group(self._started.pid)
            exit_code = os.waitstatus_to_exitcode(os.waitpid(self._started.pid, 0)[1])
        except BaseException:
            _kill_group(self._started.pid)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._started.pid, 0)
            self._close()
            raise
        seconds = time.monotonic() - self._started.began
        spent.add(seconds)
        try:
            self._rest()
        except BaseException:
            self._close()
            raise
        return self._close(exit_code=exit_code, seconds=seconds, timed_out=timed_out)

    def _begin(self) -> None:
        for fd in self._pipes:
            os.set_blocking(fd, False)
        self._poll.register(self._watch, select.POLLIN)
        self._poll.register(self._started.stdout, select.POLLIN)
        self._poll.register(self._started.stderr, select.POLLIN)
        self._feed()

    def _until_it_ends(self) -> bool:
        """True when it ended by itself, False at the deadline, or when it has printed far too much before."""
        while not self._deadline.expired and max(self._sizes.values()) < _TOO_MUCH:
            for fd, _ in self._poll.poll(self._deadline.remaining * 1000 + 1):
                if fd == self._watch:
                    return True
                self._serve(fd)
        return False

    def _serve(self, fd: int) -> None:
        if fd == self._started.stdin:
            self._feed()
        else:
            self._read(fd)

    def _feed(self) -> None:
        """Write what the pipe takes; close it when all is written or nobody reads."""
        fd = self._started.stdin
        try:
            self._input = self._input[os.write(fd, self._input) :] if self._input else self._input
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self._stdin_refused = True
            self._input = self._input[:0]
        if self._input:
            self._poll.register(fd, select.POLLOUT)
        else:
            self._forget(fd)

    def _read(self, fd: int) -> None:
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return
        if not data:
            self._forget(fd)
            return
        room = MOST_OUTPUT - self._sizes[fd]
        self._sizes[fd] += len(data)
        if room > 0:
            self._output[fd].append(data[:room])

    def _forget(self, fd: int) -> None:
        with contextlib.suppress(KeyError):
            self._poll.unregister(fd)
        self._pipes.discard(fd)
        os.close(fd)

    def _rest(self) -> None:
        """Read what is left in the pipes; a pipe that stays open is held by a child of the program."""
        self._poll.unregister(self._watch)
        if self._started.stdin in self._pipes:
            self._stdin_refused = True
            self._forget(self._started.stdin)
        deadline = Deadline.after(_AFTER_THE_END, "the end of the output")
        while self._pipes:
            events = self._poll.poll(deadline.remaining * 1000)
            for fd, _ in events:
                self._read(fd)
            if deadline.expired and (not events or self._flooded()):
                return

    def _flooded(self) -> bool:
        """Whether more has come than is kept: then somebody else goes on writing."""
        return max(self._sizes.values()) > MOST_OUTPUT

    def _close(self, exit_code: int = 0, seconds: float = 0.0, timed_out: bool = False) -> Finished:
        started, held = self._started, bool(self._pipes)
        for fd in (*self._pipes, self._watch):
            os.close(fd)
        streams = (("stdout", started.stdout), ("stderr", started.stderr))
        out, err = (b"".join(self._output[fd]) for _, fd in streams)
        cut = tuple(name for name, fd in streams if self._sizes[fd] > MOST_OUTPUT)
        return Finished(started.argv, exit_code, out, err, seconds, timed_out, cut, self._stdin_refused, held)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
