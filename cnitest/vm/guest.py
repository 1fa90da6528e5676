"""A running guest: QEMU, the ports to it, and how its command ended."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import IO, NamedTuple

from cnitest.deadline import Deadline
from cnitest.errors import GuestError
from cnitest.vm import children, machine
from cnitest.vm.machine import Task
from cnitest.vm.prepared import Prepared
from cnitest.vm.relay import Relay, Stream

#: Seconds within which a guest has to have started its command: it takes 4 where nothing else runs.
_BOOT_SECONDS = 180.0
_CONSOLE_KEPT = 1 << 16


class Ends(NamedTuple):
    """Our descriptors that a command's are joined with; ``stdin`` None: it reads nothing."""

    stdin: int | None = None
    stdout: int = 1
    stderr: int = 2


class Guest:
    """One boot of a kernel for one task. A context: at its end the machine is gone, whatever it did."""

    def __init__(self, kernel: Prepared, task: Task, program: str, accelerator: str, ends: Ends) -> None:
        self.started = False
        self.status: int | None = None
        self._full = False
        self._task = task
        self._control, self._console = b"", b""
        self._stack = ExitStack()
        with ExitStack() as starting:
            starting.callback(self._stack.close)
            self._start(kernel, task, program, accelerator, ends)
            starting.pop_all()

    def __enter__(self) -> Guest:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self, kernel: Prepared, task: Task, program: str, accelerator: str, ends: Ends) -> None:
        ours, theirs = {}, {}
        with ExitStack() as given:
            for name in task.ports:
                one, other = socket.socketpair()
                ours[name], theirs[name] = self._stack.enter_context(one), given.enter_context(other)
            initrd = machine.memory_file(kernel, task)
            given.callback(os.close, initrd)
            fds = {name: end.fileno() for name, end in theirs.items()}
            argv = machine.arguments(program, kernel, task, initrd, fds, accelerator)
            self._process = self._stack.enter_context(_running(argv, (initrd, *fds.values())))
        self._ports = ours
        self._relay = Relay(list(self._outward(ends)))
        self._stdin = ends.stdin

    def _outward(self, ends: Ends) -> Iterator[Stream]:
        ours = {name: end.fileno() for name, end in self._ports.items()}
        yield Stream(ours["ctl"], take=self._control_lines)
        yield Stream(_console(self._process).fileno(), take=self._said)
        if "tty" in ours:
            yield Stream(ours["tty"], ends.stdout)
        else:
            yield from (Stream(ours["out"], ends.stdout), Stream(ours["err"], ends.stderr))

    def _join_stdin(self) -> None:
        """Hand on what we read, which would be lost before the guest listens."""
        entrance = self._ports.get("tty") or self._ports.get("in")
        if entrance and self._stdin is not None:
            ended = lambda: entrance.shutdown(socket.SHUT_WR)  # noqa: E731
            self._relay.add(Stream(self._stdin, entrance.fileno(), ended=ended, inward=True))

    def finish(self, seconds: float | None) -> int:
        """The command's exit status; ``seconds`` are those of the clock, on a slow machine, too.

        Raises DeadlineExceeded, and GuestError when the guest ended without one.
        """
        whole = Deadline.exactly(seconds, "the guest's command") if seconds is not None else None
        boot = Deadline.after(_BOOT_SECONDS, "the guest's kernel")
        while self.status is None and not self._relay.done():
            left = [each.remaining for each in (whole, None if self.started else boot) if each]
            self._relay.move(min(left) if left else None)
            if whole:
                whole.check()
            if not self.started and boot.expired:
                raise GuestError(f"the guest did not start within {_BOOT_SECONDS:g} s: {self._last_words()}")
        self._end()
        while not self._relay.done():
            self._relay.move(whole.remaining if whole else None)
            if whole:
                whole.check()
        return self._exit_status()

    def _exit_status(self) -> int:
        if self.status is None:
            raise GuestError(f"the guest ended without an exit status: {self._last_words()}")
        if self.status and self._full:
            raise GuestError(
                f"the guest's disk is full: what is written to no shared directory is kept in half of its memory "
                f"({self._task.memory}): give it more with {self._task.names.memory}, or share the directory with "
                f"{self._task.names.share}"
            )
        return self.status

    def resize(self, rows: int, columns: int) -> None:
        """Tell the guest how big the terminal is."""
        if self.status is None:
            self._ports["ctl"].send(b"%d %d\n" % (rows, columns), socket.MSG_DONTWAIT)

    def interrupt(self) -> None:
        """Send SIGINT to the command and what it started, as a terminal does; none to a guest that has just ended."""
        with suppress(OSError):
            self._ports["ctl"].send(b"interrupt\n", socket.MSG_DONTWAIT)

    def _control_lines(self, data: bytes) -> None:
        *lines, self._control = (self._control + data).split(b"\n")
        for line in lines:
            word, _, value = line.decode(errors="replace").partition(" ")
            if word == "started":
                self.started = True
                self._join_stdin()
            self._full |= word == "full"
            if word == "status" and value.isdigit():
                self.status = int(value)

    def _said(self, data: bytes) -> None:
        self._console = (self._console + data)[-_CONSOLE_KEPT:]

    @property
    def console(self) -> str:
        """The last that the kernel, and QEMU, wrote."""
        return self._console.decode(errors="replace")

    def _last_words(self) -> str:
        """Why a guest ended too early, in a line: what it said of it, else the last that it said."""
        lines = [line.strip() for line in self.console.splitlines() if line.strip()]
        wanted = re.compile(r"cnitest-guest: |Kernel panic|qemu-system|Out of memory")
        why = [line for line in lines if wanted.search(line)] or lines[-1:]
        return re.sub(r"^(\[[ \d.]+\] )?", "", why[0]) if why else "it said nothing"

    def _end(self) -> None:
        self._relay.keep_outward()
        self._process.kill()
        self._process.wait()


def _console(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdout is not None
    return process.stdout


@contextmanager
def _running(argv: list[str], fds: tuple[int, ...]) -> Iterator[subprocess.Popen[bytes]]:
    """A program in a session of its own, which is gone at the end."""
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=fds,
            preexec_fn=children.ends_with_us(),
            start_new_session=True,
        )
    except OSError as error:
        raise GuestError(f"{argv[0]} cannot be started: {error.strerror}") from None
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        _console(process).close()
