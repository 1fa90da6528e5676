"""What a process that waits for us is about to do: its memory, its files and sockets, as /proc shows them.

All of these raise OSError when the process is gone.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import socket
import struct
from functools import cache

_PIDFD_GETFD = 438
_CURRENT_DIRECTORY = -100
_LONGEST_PATH = 4096
_PAGE = 4096
_PREFIX = "(unreachable)"
_STATUS = re.compile(rb"Name:\t(?P<name>.*)\n(?:.*\n)*?Tgid:\t(?P<pid>\d+)\n")

_libc = ctypes.CDLL(None, use_errno=True)


def memory(thread: int, address: int, size: int) -> bytes:
    """Up to ``size`` bytes at an address."""
    fd = os.open(f"/proc/{thread}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(fd, size, address)
    finally:
        os.close(fd)


def text(thread: int, address: int) -> str:
    """The string that ends with a zero at an address; page by page, for the next page may not be there."""
    found = b""
    while address and len(found) < _LONGEST_PATH:
        part = memory(thread, address + len(found), _PAGE - (address + len(found)) % _PAGE)
        found += part
        if b"\0" in part or not part:
            break
    return os.fsdecode(found.partition(b"\0")[0])


def texts(thread: int, address: int, most: int = 64) -> list[str]:
    """The strings of an array that ends with a null pointer."""
    found = []
    for place in range(most if address else 0):
        (pointer,) = struct.unpack("=Q", memory(thread, address + 8 * place, 8))
        if not pointer:
            break
        found.append(text(thread, pointer))
    return found


def path(thread: int, directory: int, address: int) -> str:
    """The path at an address, made absolute by a directory's descriptor (AT_FDCWD for the current one)."""
    named = text(thread, address)
    if named.startswith("/"):
        return os.path.normpath(named)
    number = ctypes.c_int(directory & 0xFFFFFFFF).value
    base = file(thread, number) if number != _CURRENT_DIRECTORY else os.readlink(f"/proc/{thread}/cwd")
    return os.path.normpath(os.path.join(base, named))


def file(thread: int, fd: int) -> str:
    """What a descriptor is open on: a path, or a word such as ``pipe:[1234]``."""
    return os.readlink(f"/proc/{thread}/fd/{ctypes.c_int(fd & 0xFFFFFFFF).value}").removeprefix(_PREFIX)


def process(thread: int) -> tuple[int, str]:
    """The process that a thread is of: its pid and its program's name (15 letters of it)."""
    found = _STATUS.match(_read(f"/proc/{thread}/status"))
    if not found:
        raise OSError(errno.ESRCH, f"/proc/{thread}/status names no process")
    pid = int(found["pid"])
    if pid == thread:
        return pid, found["name"].decode("ascii", "replace")
    return pid, _read(f"/proc/{pid}/comm").decode("utf-8", "replace").rstrip("\n")


def _read(path: str) -> bytes:
    """A small file of /proc: asked for at every call of a plugin, so without the layers of open()."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, _PAGE)
    finally:
        os.close(fd)


def socket_kind(pid: int, fd: int) -> tuple[int, int] | None:
    """Family and protocol of a process's socket, None for what is none."""
    link = file(pid, fd)
    return _socket_kind(pid, fd, link) if link.startswith("socket:") else None


@cache
def _socket_kind(pid: int, fd: int, link: str) -> tuple[int, int]:  # noqa: ARG001 (an inode is one socket's for long)
    process = os.pidfd_open(pid)
    try:
        ours = _libc.syscall(ctypes.c_long(_PIDFD_GETFD), ctypes.c_int(process), ctypes.c_int(fd), ctypes.c_uint(0))
    finally:
        os.close(process)
    if ours < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"pidfd_getfd of {pid}: {os.strerror(number)}")
    with socket.socket(fileno=ours) as one:
        return one.family, one.proto
