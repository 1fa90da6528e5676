"""Runs one command in a guest, and says by an exit status, as timeout(1) and shells do, how that ended."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from cnitest import deadline, interrupts
from cnitest.errors import DeadlineExceeded, GuestError
from cnitest.vm import accelerators, cache, machine, needs, prepared, terminal
from cnitest.vm.guest import Ends, Guest
from cnitest.vm.machine import Task

#: How it ended otherwise than by the command: timeout(1)'s status, and the first that is no command's.
TIMED_OUT, NO_GUEST = 124, 125
#: How much longer than elsewhere programs may take on an emulated processor.
_SLOWER = "10"
#: Seconds that tests have to report after Ctrl-C.
_GOODBYE = 60.0
_UNSEEN = ("/proc", "/sys", "/dev", "/run")


class GuestTask(NamedTuple):
    """A task for a guest: ``kernel`` is a package, a directory or an image (None: Debian's), ``kept`` the cache,
    ``seconds`` the limit of boot and command together."""

    task: Task
    kernel: str | None
    kept: Path
    seconds: float | None = None
    ends: Ends = Ends()


def ended(request: GuestTask, report: Callable[[str], object]) -> int:
    """The exit status of the command, or 124 after a timeout, 125 without a guest, 128 and the number of a signal.

    ``report`` gets the one line that says why for these, but not for what the command's own status says.
    """
    try:
        with interrupts.heeded():
            return _run(request, report)
    except DeadlineExceeded:
        report(f"the guest was ended: its command took longer than {request.seconds:g} s")
        return TIMED_OUT
    except GuestError as error:
        report(str(error))
        return NO_GUEST
    except KeyboardInterrupt as error:
        report(interrupts.words(interrupts.number_of(error)))
        return 128 + interrupts.number_of(error)


def _run(request: GuestTask, report: Callable[[str], object]) -> int:
    program = needs.emulator()
    _check(request.task)
    kernel = prepared.prepare(request.kernel, request.kept)
    with cache.opened(request.kept) as kept:
        accelerator = accelerators.chosen(kernel, program, kept)
    task = request.task if accelerator == machine.NATIVE else _patient(request.task)
    with Guest(kernel, task, program, accelerator, request.ends) as guest:
        if not task.terminal:
            return _finished(guest, request, report)
        with terminal.handed_over(guest.resize):
            return guest.finish(request.seconds)


def _finished(guest: Guest, request: GuestTask, report: Callable[[str], object]) -> int:
    """The exit status of a command that uses no terminal. The first Ctrl-C is for one that heeds it."""
    try:
        return guest.finish(request.seconds)
    except KeyboardInterrupt as error:
        own = request.task.heeds_interrupts and guest.started and interrupts.number_of(error) == signal.SIGINT
        if not own:
            raise
        report("interrupted: tests in the guest come to their end; Ctrl-C once more ends the guest")
        guest.interrupt()
        with suppress(DeadlineExceeded):
            return guest.finish(_GOODBYE)
        raise


def _patient(task: Task) -> Task:
    """A task whose command knows that everything takes longer."""
    return task._replace(environment={deadline.FACTOR: _SLOWER, **task.environment})


def _check(task: Task) -> None:
    """Raise GuestError for directories that a guest cannot have."""
    for path in task.shared:
        if not path.is_dir():
            raise GuestError(f"{task.names.share} {path}: there is no such directory")
        if "\n" in str(path):
            raise GuestError(f"{task.names.share} {str(path)!r}: a guest cannot have a directory with a line end in it")
    seen = any(task.directory.is_relative_to(path) for path in task.shared)
    if not seen and any(task.directory.is_relative_to(root) for root in _UNSEEN):
        raise GuestError(f"the guest has a {task.directory} of its own: start it elsewhere, or share that directory")
