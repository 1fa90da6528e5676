"""Signals that end a run: Ctrl-C, SIGTERM and SIGHUP raise KeyboardInterrupt in one process, which cleans up.

Its workers ignore Ctrl-C, from their first moment on, and end when it ends them. `cnitest.cli.run` runs this file by
itself, before pytest imports anything.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

#: The exit code after Ctrl-C, as pytest's; after another signal it is 128 and the signal's number, as shells have it.
INTERRUPTED = 2
#: What ends a run as Ctrl-C does: asked to by another process, and by a terminal that was closed.
ENDING = (signal.SIGTERM, signal.SIGHUP)


class Ended(KeyboardInterrupt):
    """Someone asked us to end, by the signal with this number."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.number = number


def number_of(error: KeyboardInterrupt) -> int:
    """The number of the signal that was behind it."""
    return int(getattr(error, "number", signal.SIGINT))


def code(number: int) -> int:
    """The exit code of a run that a signal has ended."""
    return INTERRUPTED if number == signal.SIGINT else 128 + number


def words(number: int) -> str:
    """What ended a run, to say in a line."""
    return "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"


def report(error: KeyboardInterrupt) -> int:
    """Say in a line what ended a run; its exit code."""
    number = number_of(error)
    print(f"cnitest: {words(number)}", file=sys.stderr)  # noqa: T201
    return code(number)


@contextmanager
def heeded() -> Iterator[None]:
    """Meanwhile the first SIGTERM or SIGHUP raises `Ended`, and those after it do nothing: they come in pairs where a
    shell or a service ends. What somebody else ignores or handles is left to them."""
    undo = heed_ending()
    try:
        yield
    finally:
        undo()


def heed_ending() -> Callable[[], None]:
    """The same without a block: returns what undoes it."""
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    owner, ended = os.getpid(), threading.Event()

    def end(number: int, _: object) -> None:
        if os.getpid() != owner:  # a fork, which is to end as without us
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif not ended.is_set():
            ended.set()
            _leave_terminal()
            raise Ended(number)

    before = {number: signal.signal(number, end) for number in ENDING if signal.getsignal(number) == signal.SIG_DFL}
    return lambda: _restore(before)


def _restore(handlers: Mapping[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _leave_terminal() -> None:
    """Where our terminal is gone, have what we say go nowhere: each word would be an error."""
    import termios

    for output in (1, 2):
        try:
            termios.tcgetattr(output)
        except termios.error as error:
            if error.args[0] == errno.EIO:
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, output)
                os.close(nowhere)


@contextmanager
def withheld(*others: signal.Signals) -> Iterator[None]:
    """Processes started meanwhile get no SIGINT until they call ``ignore`` or ``heed``; this one gets it afterwards.
    The same for other signals, for programs that see to them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, *others})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore(*others: signal.Signals) -> None:
    """What a worker does first; who ends, last, with other signals."""
    for number in (signal.SIGINT, *others):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def heed() -> None:
    """What a worker does that ends by itself at Ctrl-C: from now on, without what was withheld."""
    if signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()):
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        signal.signal(signal.SIGINT, before)
