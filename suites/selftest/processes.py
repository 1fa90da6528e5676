"""Processes that a test has started, and those that they start: to wait for them, and to end them as Ctrl-C does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from cnitest.deadline import Deadline
from cnitest.errors import DeadlineExceeded


class Ended(NamedTuple):
    """How a command ended after Ctrl-C: its exit code, all that it said, the seconds that it took."""

    code: int
    text: str
    seconds: float


def until(holds: Callable[[], bool], seconds: float, what: str | Callable[[], str]) -> None:
    """Wait for something. Raises DeadlineExceeded that says for what."""
    deadline = Deadline.after(seconds, "")
    while not holds():
        if deadline.expired:
            raise DeadlineExceeded(
                f"timed out after {seconds:g} s: waiting for {what if isinstance(what, str) else what()}"
            )
        time.sleep(0.05)


def children(parent: int) -> list[int]:
    """The processes that one has started, by their ids, and those that they have; none of one that has ended."""
    try:
        there = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    except OSError:
        return []
    return [pid for child in map(int, there) for pid in (child, *children(child))]


def reported(pid: int) -> str:
    """A process with its state as in proc(5), empty once it has ended: a zombie only waits for whoever reaps it."""
    try:
        name, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    except OSError:
        return ""
    state = rest.split()[0]
    return "" if state in ("Z", "X") else f"{name}) {state}"


def lives(pid: int) -> bool:
    """Whether a process has not ended yet."""
    return bool(reported(pid))


def at_work(parent: int) -> int:
    """How many processes below one have a namespace of a network open."""
    try:
        return sum(1 for pid in children(parent) if any(file.startswith("net:") for file in files(pid)))
    except OSError:  # one has just ended
        return 0


def programs(parent: int) -> list[str]:
    """What runs in the processes below one."""
    try:
        return [Path(f"/proc/{pid}/comm").read_text().strip() for pid in children(parent)]
    except OSError:  # one has just ended
        return []


def files(pid: int | str) -> list[str]:
    """What the open descriptors of a process are of."""
    place = Path(f"/proc/{pid}/fd")
    return [os.readlink(file) for file in place.iterdir() if os.path.lexists(file)]


def interrupted(
    arguments: list[str], folder: Path, ready: Callable[[int], bool], number: signal.Signals = signal.SIGINT
) -> Ended:
    """Run ``cnitest`` and press Ctrl-C, which all of its processes get, as soon as ``ready`` says so of its id; then
    nothing of it is left. Another signal is sent to the first process alone. Raises DeadlineExceeded."""
    log = folder / "log"
    command = [sys.executable, "-m", "cnitest.cli", *arguments]
    with log.open("wb") as out, _heeded(number):
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=out, start_new_session=True)
    try:
        until(lambda: ready(process.pid), 60.0, f"{arguments[0]} to be ready for Ctrl-C")
        below, began = children(process.pid), time.monotonic()
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
        code = process.wait(30)
        seconds = time.monotonic() - began
        until(
            lambda: not any(map(lives, below)), 5.0, lambda: f"{', '.join(filter(None, map(reported, below)))} to end"
        )
    finally:
        process.kill()
        process.wait()
    return Ended(code, log.read_text(), seconds)


@contextmanager
def _heeded(number: signal.Signals) -> Iterator[None]:
    """Programs that are started meanwhile do not ignore a signal: a shell has its background jobs ignore SIGINT."""
    before = signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(number, before)


def maps_user(uid: int) -> bool:
    """Whether this user namespace has a user of that number."""
    ranges = [tuple(map(int, line.split())) for line in Path("/proc/self/uid_map").read_text().splitlines()]
    return any(first <= uid < first + count for first, _, count in ranges)
