"""This machine's terminal, handed over to a guest: every key goes there, and so does each change of its size."""

from __future__ import annotations

import os
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def handed_over(resize: Callable[[int, int], object]) -> Iterator[None]:
    """Meanwhile the terminal's keys mean nothing here; ``resize`` gets rows and columns, now and when they change."""
    stdin = sys.stdin.fileno()

    def send_size(*_: object) -> None:
        with suppress(OSError):
            size = os.get_terminal_size(stdin)
            resize(size.lines, size.columns)

    before = termios.tcgetattr(stdin)
    handler = signal.signal(signal.SIGWINCH, send_size)
    try:
        tty.setraw(stdin)
        send_size()
        yield
    finally:
        termios.tcsetattr(stdin, termios.TCSADRAIN, before)
        signal.signal(signal.SIGWINCH, handler)
