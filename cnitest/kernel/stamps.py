"""Time stamps that the kernel sets on a frame when it passes.

Linux stamps frames only while some socket of the machine wants it, and begins a moment after the first one asks: a work
item has to change its code first. So we ask once and for good, and see for ourselves that it has begun.
"""

from __future__ import annotations

import fcntl
import functools
import os
import select
import socket
import struct

from cnitest.deadline import Deadline
from cnitest.kernel.namespace_thread import NamespaceThread
from cnitest.kernel.syscalls import CLONE_NEWNET, unshare

#: SO_TIMESTAMPING, which is also the kind of ancillary data (of level SOL_SOCKET) that a stamp comes in.
KIND = 37
# SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE: unlike SO_TIMESTAMPNS, which falls back to the time of
# reading, this gives a time only when there is one.
_WANTED = 1 << 3 | 1 << 4
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1
_TIMEOUT = 30.0
_timespec = struct.Struct("=qq")
#: How much room the stamp of a frame takes among its ancillary data.
ANCILLARY = socket.CMSG_SPACE(3 * _timespec.size)


def ask(wanting: socket.socket) -> None:
    """Have each frame that a socket receives come with its stamp."""
    wanting.setsockopt(socket.SOL_SOCKET, KIND, _WANTED)


def read(payload: bytes) -> int:
    """The stamp in a piece of ancillary data of this `KIND`, in nanoseconds since the epoch; 0 when there is none."""
    seconds, nanoseconds = _timespec.unpack_from(payload)
    return int(seconds * 1_000_000_000 + nanoseconds)


@functools.cache
def switch_on() -> int:
    """Begin to have all frames stamped while this process lives: the descriptor of a socket that stays open."""
    wanting = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    ask(wanting)
    return wanting.detach()


@functools.cache
def await_on() -> None:
    """Return once frames are stamped, seen on frames of our own in a scratch namespace; at once when that is known.

    Raises DeadlineExceeded, and OSError where namespaces cannot be made.
    """
    switch_on()
    with open_echo() as echo:
        deadline = Deadline.after(_TIMEOUT, "the kernel to stamp frames")
        while not _is_stamped(echo, deadline):
            deadline.check()
            os.sched_yield()  # the kernel's work item needs a processor, too


def open_echo() -> socket.socket:
    """A socket that sends to itself over the loopback of a namespace that nothing else is in. Raises OSError."""
    thread = NamespaceThread()
    try:
        return thread.run(_open_echo)
    finally:
        thread.end()


def _open_echo() -> socket.socket:
    unshare(CLONE_NEWNET)
    echo = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    fcntl.ioctl(echo, _SIOCSIFFLAGS, struct.pack("=16sH22x", b"lo", _IFF_UP))
    ask(echo)
    echo.bind(("127.0.0.1", 0))
    echo.connect(echo.getsockname())
    return echo


def _is_stamped(echo: socket.socket, deadline: Deadline) -> bool:
    echo.send(b"?")
    watch = select.poll()
    watch.register(echo, select.POLLIN)
    if not watch.poll(deadline.remaining * 1000):
        return False
    _, ancillary, _, _ = echo.recvmsg(1, ANCILLARY)
    return any(kind == KIND and read(payload) for _, kind, payload in ancillary)
