"""The system calls that can change a machine, by their numbers on each architecture that we know, as one table."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from cnitest.errors import FeatureMissing

#: name: (number on x86_64, number on aarch64); None where there is no such call.
CALLS: Mapping[str, tuple[int | None, int]] = {
    "write": (1, 64),
    "pwrite64": (18, 68),
    "writev": (20, 66),
    "pwritev": (296, 70),
    "pwritev2": (328, 287),
    "sendfile": (40, 71),
    "copy_file_range": (326, 285),
    "fallocate": (285, 47),
    "truncate": (76, 45),
    "ftruncate": (77, 46),
    "openat": (257, 56),
    "openat2": (437, 437),
    "mknodat": (259, 33),
    "mkdirat": (258, 34),
    "unlinkat": (263, 35),
    "symlinkat": (266, 36),
    "linkat": (265, 37),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "mount": (165, 40),
    "umount2": (166, 39),
    "move_mount": (429, 429),
    "ioctl": (16, 29),
    "setsockopt": (54, 208),
    "sendto": (44, 206),
    "sendmsg": (46, 211),
    "sendmmsg": (307, 269),
    "execve": (59, 221),
    "execveat": (322, 281),
}

#: The same for calls that only x86_64 still has.
ONLY_X86: Mapping[str, int] = {
    "open": 2,
    "creat": 85,
    "rename": 82,
    "mkdir": 83,
    "rmdir": 84,
    "link": 86,
    "unlink": 87,
    "symlink": 88,
    "chmod": 90,
    "chown": 92,
    "lchown": 94,
    "mknod": 133,
}


class Architecture(NamedTuple):
    """One architecture: AUDIT_ARCH_* of its filter, seccomp(2)'s number, and its calls by number."""

    audit: int
    seccomp: int
    names: Mapping[int, str]


def machine() -> Architecture:
    """The architecture that we run on. Raises FeatureMissing for one that is not in the table."""
    name = os.uname().machine
    if name == "x86_64":
        numbers = {call: row[0] for call, row in CALLS.items() if row[0] is not None} | dict(ONLY_X86)
        return Architecture(0xC000003E, 317, {number: call for call, number in numbers.items()})
    if name == "aarch64":
        return Architecture(0xC00000B7, 277, {row[1]: call for call, row in CALLS.items()})
    raise FeatureMissing(f"fault injection knows the system calls of x86_64 and aarch64, this machine is {name}")
