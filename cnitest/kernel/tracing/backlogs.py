"""Packets that a processor has been given and has not handled yet.

A link that hands a packet to another one puts it into the backlog of the processor that sent it, whatever namespaces
these are in, and each processor handles its backlog in order. So a packet of our own, sent on each processor and
received, shows that all that were there before have been handled.
"""

from __future__ import annotations

import atexit
import functools
import os
import select
import socket

from cnitest.deadline import Deadline
from cnitest.kernel import stamps

_TIMEOUT = 0.05


def are_handled() -> bool:
    """Whether all processors that this thread may use have handled what they had when it was called.

    False when one takes too long, or cannot be used. Raises OSError where namespaces cannot be made.
    """
    echo, allowed = _echo(os.getpid()), os.sched_getaffinity(0)
    try:
        return all(_is_handled(echo, processor) for processor in sorted(allowed))
    except OSError:
        return False
    finally:
        os.sched_setaffinity(0, allowed)


def _is_handled(echo: socket.socket, processor: int) -> bool:
    os.sched_setaffinity(0, {processor})
    unique = os.urandom(8)
    echo.send(unique)
    deadline = Deadline.after(_TIMEOUT, "a packet to oneself")
    watch = select.poll()
    watch.register(echo, select.POLLIN)
    while watch.poll(deadline.remaining * 1000):
        if echo.recv(len(unique)) == unique:  # what came too late for the last question is none of this one
            return True
    return False


@functools.cache
def _echo(pid: int) -> socket.socket:  # noqa: ARG001
    """A socket that sends to itself, one a process."""
    opened = stamps.open_echo()
    atexit.register(opened.close)
    return opened
