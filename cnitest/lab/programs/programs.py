"""What a place can run: programs to their end, programs that stay, services."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from cnitest.deadline import Deadline
from cnitest.errors import CommandError, UsageError, is_ours
from cnitest.kernel.processes import process, programs
from cnitest.kernel.processes.process import Finished
from cnitest.lab.arguments import checked

if TYPE_CHECKING:
    from cnitest.lab.place import Place
    from cnitest.lab.programs.running import Ready, Running
    from cnitest.lab.programs.service import Service

__tracebackhide__ = is_ours

#: What a program in a host gets to see of our environment: nothing but this.
ENVIRONMENT: Mapping[str, str] = {
    "PATH": programs.PATH,
    "HOME": "/root",
    "LANG": "C.UTF-8",
    # /run is the host's own, so this leads to a bus that was started inside it, or nowhere.
    "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/run/dbus/system_bus_socket",
}


@dataclass(frozen=True)
class Output:
    """What a command said; ``seconds`` is its wall time."""

    argv: tuple[str, ...]
    exit_code: int
    stdout: str
    stderr: str
    seconds: float


class Programs:
    """The part of a `Place` that runs programs there."""

    full_name: str

    @checked
    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: str = "",
        check: bool = True,
        timeout: float = 30.0,
        environment: Mapping[str, str] | None = None,
    ) -> Output:
        """Run a program here to its end, with a scrubbed environment.

        Raises CommandError with the program's words when it fails (unless ``check`` is false), cannot be started,
        or is not done after ``timeout`` seconds.
        """
        if not isinstance(stdin, str):
            raise UsageError(f"{self.full_name}: run(): stdin is a text, not {stdin!r}; execute() takes bytes")
        finished = self.execute(argv, stdin.encode(), timeout=timeout, environment=environment)
        out, err = (text.decode(errors="replace") for text in (finished.stdout, finished.stderr))
        what = f"{self.full_name}: {' '.join(argv)}"
        if finished.timed_out:
            raise CommandError(f"{what}: not done after {timeout:g} s, killed\n{out}{err}")
        if check and finished.exit_code != 0:
            raise CommandError(f"{what}: exit code {finished.exit_code}\n{out}{err}".rstrip())
        return Output(tuple(argv), finished.exit_code, out, err, finished.seconds)

    @checked
    def execute(
        self,
        argv: Sequence[str],
        stdin: bytes = b"",
        *,
        timeout: float = 30.0,
        environment: Mapping[str, str] | None = None,
    ) -> Finished:
        """Run a program here and return how it ended, whatever that was. Raises CommandError if it cannot start."""
        deadline = Deadline.after(timeout, f"{argv[0]} in {self.full_name}")
        return process.finish(self._started(argv, environment), stdin, deadline)

    @checked
    def start(
        self,
        argv: Sequence[str],
        *,
        ready: Ready | None = None,
        timeout: float = 10.0,
        environment: Mapping[str, str] | None = None,
    ) -> Running:
        """Start a program that stays here while the ``with`` block runs, with a scrubbed environment.

        ``ready`` is what to wait for, ``timeout`` seconds at most: a port that is listened on (TCP or UDP), a regular
        expression (text or compiled) or bytes in its output, a path in the host (text that begins with ``/``, or a
        `Path`), or a function that returns something true. With the block the program and all that it started are
        ended: SIGTERM, and SIGKILL a second later. Its output can be read afterwards, too.

        Raises CommandError, with the output, when it cannot be started, ends before it is ready, or is not in time.
        """
        from cnitest.lab.programs.running import begin

        return begin(_place(self), self._started(argv, environment), ready, timeout)

    @checked
    def service(self, port: int, *protocols: str, reply: bytes | None = None) -> Service:
        """A service on ``port`` while the ``with`` block runs: it echoes, or answers ``reply``, over TCP and UDP (or
        only those ``protocols``), on all addresses of both families, and notes in ``seen`` who came."""
        from cnitest.lab.programs.service import Service

        return Service(_place(self), port, protocols or ("tcp", "udp"), reply)

    def _started(self, argv: Sequence[str], environment: Mapping[str, str] | None) -> process.Started:
        """Start a program here, with a scrubbed environment unless one is given. Raises CommandError if it cannot."""
        wanted = dict(ENVIRONMENT if environment is None else environment)
        try:
            return self._found(tuple(argv), wanted, anywhere=environment is None)
        except (OSError, ValueError) as error:
            raise CommandError(
                f"{self.full_name}: {argv[0]} cannot be started: {_said(error)}{_advice(argv[0])}"
            ) from error

    def _found(self, argv: tuple[str, ...], environment: Mapping[str, str], *, anywhere: bool) -> process.Started:
        """Start a program, which may be ``anywhere`` in the PATH of who calls us when the host has it nowhere."""
        try:
            return self.spawn(argv, environment)
        except FileNotFoundError:
            path = programs.find(argv[0]) if anywhere and "/" not in argv[0] else ""
            if not path:
                raise
        return self.spawn((path, *argv[1:]), environment)

    def spawn(self, argv: Sequence[str], environment: Mapping[str, str]) -> process.Started:
        """Start a program here, which the caller finishes. Raises OSError, ValueError."""
        raise NotImplementedError


def _place(programs: Programs) -> Place:
    """The place that this is a part of."""
    return cast("Place", programs)


def _said(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", "") or str(error)


def _advice(program: str) -> str:
    """A program's right name, or the package that has it, for the end of a message."""
    if "/" in program or programs.find(program):
        return ""
    if close := programs.misspelt(program):
        return f"; did you mean {close!r}?"
    return f"; {programs.how_to_get(program)}" if program in programs.PACKAGES else ""
