"""Ctrl-C is for one process: its workers are deaf to it, from their first moment on, and end when it ends them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

#: The exit code after Ctrl-C, as pytest's.
INTERRUPTED = 2


@contextmanager
def withheld() -> Iterator[None]:
    """Processes that are started meanwhile get no SIGINT until they call ``ignore``; this one gets it afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore() -> None:
    """What a worker does first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
