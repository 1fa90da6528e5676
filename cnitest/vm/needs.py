"""What a guest takes of this machine: programs, by the packages that bring them."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from cnitest.errors import GuestError
from cnitest.kernel.processes import programs

#: QEMU's program that plays a machine of x86_64.
QEMU = "qemu-system-x86_64"
_BUSYBOX = ("/bin/busybox", "/usr/bin/busybox", "/usr/lib/initramfs-tools/bin/busybox")
_INTERPRETER, _HEAD = b"ld-linux", 4096


def emulator() -> str:
    """The path of QEMU. Raises GuestError without it, and on machines that are no x86_64."""
    if platform.machine() != "x86_64":
        raise GuestError(f"guests are made for x86_64 alone, and this machine is {platform.machine()}")
    found = programs.find(QEMU)
    if not found:
        raise GuestError(f"no {QEMU}, which plays the guest's machine: apt-get install qemu-system-x86")
    return found


def busybox() -> str:
    """A busybox that needs no libraries. Raises GuestError without one."""
    for path in _BUSYBOX:
        if os.path.exists(path) and _INTERPRETER not in Path(path).read_bytes()[:_HEAD]:
            return path
    raise GuestError("no statically linked busybox, which a guest starts with: apt-get install busybox-static")


def depmod() -> str:
    """The path of depmod(8). Raises GuestError without it."""
    found = programs.find("depmod")
    if not found:
        raise GuestError("no depmod, which modules need before they can be loaded: apt-get install kmod")
    return found


def missing() -> tuple[str, ...]:
    """What keeps guests from being booted here, a line each; nothing where all is there."""
    found: list[str] = []
    for look in (emulator, busybox, depmod):
        try:
            look()
        except GuestError as error:
            found.append(str(error))
    return tuple(found)
