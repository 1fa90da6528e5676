"""Keeps the machine's own settings from the programs of a lab: they can read every sysctl, and write those that a
namespace of the lab holds.

Network sysctls belong to the network namespace, the names of the machine and System V's and POSIX's limits to the UTS
and IPC namespaces of the lab. All others are one for the machine, and would stay after the lab: writing one fails
with EROFS. So does /proc/sysrq-trigger. Sources: namespaces(7), proc_sys_kernel(5), mq_overview(7).
"""

from __future__ import annotations

import contextlib
import os

from cnitest.kernel.syscalls import MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_REMOUNT, mount, umount

_ALL = "/proc/sys"
_SYSRQ = "/proc/sysrq-trigger"
#: What the namespaces of a lab hold, below /proc/sys.
OWN = (
    "net",
    "fs/mqueue",
    "kernel/domainname",
    "kernel/hostname",
    *(f"kernel/{name}" for name in ("msgmax", "msgmnb", "msgmni", "sem")),
    *(f"kernel/{name}" for name in ("shm_rmid_forced", "shmall", "shmmax", "shmmni")),
)
_READ_ONLY = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC


def protect() -> None:
    """Forbid the calling thread's mount namespace to write sysctls of the machine. Where /proc cannot be covered, as
    below a container's own, all stays as it is."""
    with contextlib.suppress(OSError):
        _forbid(_SYSRQ)
    with contextlib.suppress(OSError):
        mount(_ALL, _ALL, flags=MS_BIND)
        try:
            for place in filter(os.path.exists, (f"{_ALL}/{name}" for name in OWN)):
                mount(place, place, flags=MS_BIND)
            mount("none", _ALL, flags=_READ_ONLY)
        except OSError:
            umount(_ALL)


def _forbid(path: str) -> None:
    mount(path, path, flags=MS_BIND)
    mount("none", path, flags=_READ_ONLY)
