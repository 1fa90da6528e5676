"""Ctrl-C is for one process: its workers ignore it, from their first moment on, and end when it ends them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

#: The exit code after Ctrl-C, as pytest's.
INTERRUPTED = 2


@contextmanager
def withheld() -> Iterator[None]:
    """Processes started meanwhile get no SIGINT until they call ``ignore`` or ``heed``; this one gets it afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore() -> None:
    """What a worker does first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def heed() -> None:
    """What a worker does that ends by itself at Ctrl-C: from now on, without what was withheld."""
    if signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()):
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        signal.signal(signal.SIGINT, before)
