"""Asks us before a system call is made: seccomp's user notification, seccomp_unotify(2)."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from typing import NamedTuple

from cnitest.errors import FeatureMissing
from cnitest.kernel.processes.syscall_numbers import Architecture, machine

_SET_MODE_FILTER = 1
_NEW_LISTENER, _WAIT_KILLABLE = 1 << 3, 1 << 5
_ALLOW, _NOTIFY = 0x7FFF0000, 0x7FC00000
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
# Offsets in struct seccomp_data; of a 64-bit argument the low half comes first on both architectures.
_NUMBER, _ARCHITECTURE, _THIRD_ARGUMENT = 0, 4, 32
# O_WRONLY, O_RDWR, O_CREAT, O_TRUNC: what makes an open more than a look.
_OPENS_TO_CHANGE = 0x1 | 0x2 | 0x40 | 0x200
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_CONTINUE = 1
_NOTIFICATION, _RESPONSE = struct.Struct("=QIIiIQ6Q"), struct.Struct("=QqiI")

_libc = ctypes.CDLL(None, use_errno=True)


class Notice(NamedTuple):
    """A thread that waits for our word before a system call: its ID as we see it, the call's name and arguments."""

    cookie: int
    thread: int
    name: str
    arguments: tuple[int, ...]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


class Listener:
    """Our end of a filter: what its threads, and all that descend from them, are about to do, one at a time.

    The descriptor is readable when a thread waits, and hangs up when the last one of them has ended.
    """

    def __init__(self, fd: int, on: Architecture) -> None:
        self.fd = fd
        self._names = on.names

    def receive(self) -> Notice | None:
        """The next thread that waits; None when it ended meanwhile."""
        buffer = bytearray(_NOTIFICATION.size)
        try:
            fcntl.ioctl(self.fd, _RECEIVE, buffer)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINTR):
                return None
            raise
        cookie, thread, _, number, _, _, *arguments = _NOTIFICATION.unpack(buffer)
        return Notice(cookie, thread, self._names.get(number, str(number)), tuple(arguments))

    def let(self, notice: Notice) -> None:
        """Have the kernel make the call."""
        self._answer(_RESPONSE.pack(notice.cookie, 0, 0, _CONTINUE))

    def fail(self, notice: Notice, number: int) -> None:
        """Have the call fail with an errno, without being made."""
        self._answer(_RESPONSE.pack(notice.cookie, 0, -number, 0))

    def _answer(self, response: bytes) -> None:
        try:
            fcntl.ioctl(self.fd, _SEND, bytearray(response))
        except OSError as error:
            if error.errno != errno.ENOENT:  # the thread is gone
                raise

    def close(self) -> None:
        """Stop listening; calls that would be asked about fail with ENOSYS from now on."""
        os.close(self.fd)


def install() -> Listener:
    """Have the calling thread, and what descends from it, ask before each call of `syscall_numbers`.

    Raises FeatureMissing before Linux 5.19: without its SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV the signals that Go
    sends to its own threads would have calls asked about twice.
    """
    on = machine()
    code = _program(on)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.addressof(buffer))
    fd = _libc.syscall(
        ctypes.c_long(on.seccomp),
        ctypes.c_ulong(_SET_MODE_FILTER),
        ctypes.c_ulong(_NEW_LISTENER | _WAIT_KILLABLE),
        ctypes.byref(program),
    )
    if fd < 0:
        number = ctypes.get_errno()
        raise FeatureMissing(
            f"fault injection needs seccomp's user notification of Linux 5.19 and root: {os.strerror(number)}"
        )
    fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    return Listener(fd, on)


def _program(on: Architecture) -> bytes:
    """The filter in classic BPF: other architectures and other calls pass, looks at files too."""
    names = {name: number for number, name in on.names.items()}
    opening = names.pop("openat")
    rest = len(names)
    lines = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 0, rest + 2, on.audit), (_LOAD, 0, 0, _NUMBER)]
    # After these lines come: the test for openat, allow, two lines on its flags, allow, notify.
    lines += [(_EQUAL, rest - place + 4, 0, number) for place, number in enumerate(names.values())]
    lines += [(_EQUAL, 1, 0, opening), (_RETURN, 0, 0, _ALLOW), (_LOAD, 0, 0, _THIRD_ARGUMENT)]
    lines += [(_ANY_BIT, 1, 0, _OPENS_TO_CHANGE), (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _NOTIFY)]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)
