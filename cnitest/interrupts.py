"""Signals that end a run: Ctrl-C, SIGTERM and SIGHUP raise KeyboardInterrupt in one process, which cleans up.

Its workers ignore Ctrl-C, from their first moment on, and end when it ends them. `cnitest.cli.run` runs this file by
itself, before pytest imports anything.
"""

from __future__ import annotations

import atexit
import errno
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

#: The exit code after Ctrl-C, as pytest's; after another signal it is 128 and the signal's number, as shells have it.
INTERRUPTED = 2
#: What ends a run as Ctrl-C does: asked to by another process, and by a terminal that was closed.
ENDING = (signal.SIGTERM, signal.SIGHUP)
#: Seconds after a signal in which others change nothing, and after which one comes again that could not be raised.
_CLEANING, _SOON = 5.0, 0.05
#: What is done at signals of which nobody has said more.
_NOBODYS = (signal.SIG_DFL, signal.default_int_handler)


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


def ended(run: Callable[[], int], *, last: bool = False) -> int:
    """Run it with signals `heeded`: its exit code, or that of the signal that ended it, which is then said in a line.
    An error that comes of the signal is none of its own. Where it is the last that this process does, what comes later
    comes too late to change the exit code."""
    heed = _Heed((*ENDING, signal.SIGINT))
    try:
        return run()
    except KeyboardInterrupt as error:
        return report(error)
    except Exception:
        if not heed.raised:
            raise
        return report(heed.raised)
    finally:
        if last:
            ignore(*ENDING)
        heed.undo()


@contextmanager
def heeded() -> Iterator[None]:
    """Meanwhile SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt, but not within some seconds after one has: what
    cleans up goes on. They come in pairs where a shell or a service ends, and from a person who waits for the end.
    What somebody else ignores or handles is left to them."""
    heed = _Heed((*ENDING, signal.SIGINT))
    try:
        yield
    finally:
        heed.undo()


def heed_ending(*others: signal.Signals) -> Callable[[], None]:
    """The same without a block, of SIGTERM, SIGHUP and ``others``: returns what undoes it."""
    return _Heed((*ENDING, *others)).undo


def heed_interrupts() -> Callable[[], None]:
    """The same of SIGINT alone, which comes twice to a worker: from the terminal, and from whoever leads it."""
    return _Heed((signal.SIGINT,)).undo


def heed_others() -> None:
    """From now on the same of SIGINT, which has just been raised: this process is about to end. Python itself leaves
    only signals alone that are ignored."""
    _Heed((signal.SIGINT,)).has_raised(KeyboardInterrupt())
    atexit.register(ignore, *ENDING)


def watch_callbacks() -> None:
    """Have signals that strike in callbacks come again, also where somebody else, as pytest, sees to errors there by
    now. Who heeds signals may be another copy of this module, as the one of ``cnitest run``."""
    for number in (*ENDING, signal.SIGINT):
        heed: Any = getattr(signal.getsignal(number), "__self__", None)
        if type(heed).__name__ == _Heed.__name__:
            heed.watch()


class _Heed:
    """Handles some signals until `undo`; ``raised`` is what was raised last."""

    def __init__(self, numbers: Iterable[signal.Signals]) -> None:
        self.raised: KeyboardInterrupt | None = None
        self._until = -math.inf
        self._owner, self._hook, self._first_hook = os.getpid(), sys.unraisablehook, sys.unraisablehook
        self._before: dict[signal.Signals, Any] = {}
        if threading.current_thread() is not threading.main_thread():
            return
        there = {number: signal.getsignal(number) for number in numbers}
        self._before = {number: handler for number, handler in there.items() if handler in _NOBODYS}
        for number in self._before:
            signal.signal(number, self._end)
        if self._before:
            self.watch()

    def watch(self) -> None:
        """See first what cannot be raised."""
        if sys.unraisablehook != self._unraisable:
            self._hook, sys.unraisablehook = sys.unraisablehook, self._unraisable

    def has_raised(self, error: KeyboardInterrupt) -> None:
        """From now on there is time to clean up."""
        self.raised, self._until = error, time.monotonic() + _CLEANING

    def undo(self) -> None:
        """Leave them as they were, but those that are ignored by now."""
        for number, handler in self._before.items():
            if signal.getsignal(number) == self._end:
                signal.signal(number, handler)
        if sys.unraisablehook == self._unraisable:
            sys.unraisablehook = self._first_hook

    def _end(self, number: int, _: object) -> None:
        if os.getpid() != self._owner:  # a fork, which is to end as without us
            signal.signal(number, self._before[signal.Signals(number)])
            os.kill(os.getpid(), number)
        elif time.monotonic() > self._until:
            error = KeyboardInterrupt() if number == signal.SIGINT else Ended(number)
            self.has_raised(error)
            _leave_terminal()
            raise error

    def _unraisable(self, what: Any) -> None:
        """A signal that came where nothing can be raised, as in a weak reference's callback, comes again soon."""
        if not isinstance(what.exc_value, KeyboardInterrupt):
            self._hook(what)
            return
        self._until = -math.inf
        again = threading.Timer(_SOON, os.kill, (self._owner, number_of(what.exc_value)))
        again.daemon = True
        with suppress(RuntimeError):  # Python is about to end anyway, and starts no thread then
            again.start()


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
