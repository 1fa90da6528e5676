"""Programs that stay at a place while a block runs: `Running`, and what makes one ready."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from cnitest.deadline import Deadline
from cnitest.errors import CommandError, DeadlineExceeded, is_ours
from cnitest.kernel.processes.process import Started, abandon
from cnitest.kernel.processes.staying import Staying
from cnitest.lab.arguments import checked

if TYPE_CHECKING:
    from cnitest.lab.place import Place

__tracebackhide__ = is_ours

#: What shows that a program is ready: a port (TCP or UDP) that is listened on, words in its output, a file, a function.
Ready = int | str | bytes | re.Pattern[str] | re.Pattern[bytes] | Path | Callable[[], object]

# The kernel announces to nobody when a port is opened or a file appears.
_LOOK_AGAIN = 0.01
_TIMEOUT = 1.0
_TABLES = ("net/tcp", "net/tcp6", "net/udp", "net/udp6")
_LISTENING = {"net/tcp": "0A", "net/tcp6": "0A", "net/udp": "07", "net/udp6": "07"}


class Running:
    """A program that runs at a place until the ``with`` block ends; its output can be read while it does, and later.

    At the end the program and all that it started get SIGTERM, and SIGKILL a second later.
    """

    def __init__(self, place: Place, staying: Staying, argv: Sequence[str]) -> None:
        self.place = place
        self.argv = tuple(argv)
        self._staying = staying

    def __enter__(self) -> Running:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "runs" if self.running else f"ended with {self.exit_code}"
        return f"<Running {' '.join(self.argv)} at {self.place.full_name}: {state}>"

    @property
    def stdout(self) -> str:
        """What it has printed until now."""
        return self._staying.stdout().decode(errors="replace")

    @property
    def stderr(self) -> str:
        """What it has printed as errors until now."""
        return self._staying.stderr().decode(errors="replace")

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self._staying.running

    @property
    def exit_code(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return None if self.running else self._staying.exit_code

    @checked
    def wait_for(self, ready: Ready, timeout: float = 10.0) -> None:
        """Wait until it is ready, as `Place.start` says.

        Raises CommandError with its output when it ends before, or is not ready after ``timeout`` seconds.
        """
        what, holds = _sign(self, ready)
        try:
            met = self._staying.wait_until(holds, Deadline.after(timeout, what), _LOOK_AGAIN)
        except DeadlineExceeded:
            words = f"{self._words}: timed out after {timeout:g} s: waiting for {what}"
            raise CommandError(f"{words}\n{self._said}".rstrip()) from None
        if not met:
            words = f"{self._words}: ended with exit code {self.exit_code}; waited for {what}"
            raise CommandError(f"{words}\n{self._said}".rstrip())

    def stop(self) -> None:
        """End it and all that it started, now; stopping twice is stopping once."""
        self._staying.end(_TIMEOUT)

    @property
    def _words(self) -> str:
        return f"{self.place.full_name}: {' '.join(self.argv)}"

    @property
    def _said(self) -> str:
        return f"{self.stdout}{self.stderr}"


def _sign(running: Running, ready: Ready) -> tuple[str, Callable[[], bool]]:
    """What is waited for, in words, and whether it is so."""
    place = running.place
    if isinstance(ready, int):
        return f"port {ready} to be listened on", lambda: ready in listened(place)
    if isinstance(ready, Path) or (isinstance(ready, str) and ready.startswith("/")):
        return f"{ready} to be there", lambda: place.host.inside(Path(ready).exists)
    if isinstance(ready, bytes):
        return f"{ready!r} in its output", lambda: ready in _bytes(running)
    if isinstance(ready, str):
        return f"{ready!r} in its output", lambda: re.search(ready, running.stdout + running.stderr, re.M) is not None
    if isinstance(ready, re.Pattern):
        return f"{ready.pattern!r} in its output", lambda: _found(ready, running)
    return f"{getattr(ready, '__name__', 'a function')}() to be true", lambda: bool(ready())


def _found(pattern: re.Pattern[str] | re.Pattern[bytes], running: Running) -> bool:
    if isinstance(pattern.pattern, bytes):
        return re.search(pattern, _bytes(running)) is not None
    return re.search(pattern, running.stdout + running.stderr) is not None


def _bytes(running: Running) -> bytes:
    return running._staying.stdout() + running._staying.stderr()


def listened(place: Place) -> set[int]:
    """The ports of TCP and UDP that somebody listens on at a place, of both families."""
    read = place.lab.own_file_reader(place.namespace)
    found: set[int] = set()
    for table in _TABLES:
        for line in read(table.removeprefix("net/")).splitlines():
            words = line.split()
            if len(words) > 3 and words[3] == _LISTENING[table]:
                found.add(int(words[1].rpartition(":")[2], 16))
    return found


def begin(place: Place, started: Started, ready: Ready | None, timeout: float) -> Running:
    """A program that stays, once it is ready; ended again when it never is. Raises CommandError, and OSError where no
    descriptor is left to watch it by."""
    try:
        staying = Staying(started)
    except OSError:
        abandon(started)
        raise
    running = Running(place, staying, started.argv)
    place.lab.staying.append(running)
    if ready is not None:
        try:
            running.wait_for(ready, timeout)
        except BaseException:
            running.stop()
            raise
    return running
