"""Runs a command under a seccomp filter that refuses some namespaces or mounts: forbidding.py WHAT ERRNO COMMAND…

Stand-alone, for whoever has no rights: WHAT is ``user``, ``net`` or ``mount``, ERRNO a name as in errno(3).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2
#: unshare, clone, clone3, mount.
_NUMBERS = {"x86_64": (272, 56, 435, 165), "aarch64": (97, 220, 435, 40)}
_FLAGS = {"user": 0x10000000, "net": 0x40000000}


def _instructions(what: str, number: int) -> list[tuple[int, int, int, int]]:
    """The filter, for calls that make namespaces (whose first argument has a flag), or for mount(2)."""
    unshare, clone, clone3, mount = _NUMBERS[platform.machine()]
    if what == "mount":
        return [(_LOAD, 0, 0, 0), (_EQUAL, 0, 1, mount), (_RETURN, 0, 0, _ERRNO | number), (_RETURN, 0, 0, _ALLOW)]
    return [
        (_LOAD, 0, 0, 0),
        (_EQUAL, 6, 0, clone3),  # whose flags no filter can see: programs then try clone
        (_EQUAL, 1, 0, unshare),
        (_EQUAL, 0, 3, clone),
        (_LOAD, 0, 0, 16),
        (_ANY_BIT, 0, 1, _FLAGS[what]),
        (_RETURN, 0, 0, _ERRNO | number),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
    ]


def main() -> None:
    """Install the filter and become the command."""
    packed = [struct.pack("=HBBI", *each) for each in _instructions(sys.argv[1], getattr(errno, sys.argv[2]))]
    code = ctypes.create_string_buffer(b"".join(packed))
    program = struct.pack("@HP", len(packed), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or libc.prctl(_SET_SECCOMP, _FILTER, program, 0, 0):
        raise OSError(ctypes.get_errno(), "no seccomp filter can be installed")
    os.execvp(sys.argv[3], sys.argv[3:])


if __name__ == "__main__":
    main()
