"""The capabilities of a process, as container runtimes leave them to it: exactly the given ones, in every set."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Collection
from pathlib import Path

# In the order of their numbers.
_NAMES = """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
    NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
    SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
    MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""
_VERSION_3 = 0x20080522
_DROP, _NO_NEW_PRIVILEGES = 24, 38

_libc = ctypes.CDLL(None, use_errno=True)


def everything() -> tuple[str, ...]:
    """All capabilities that this process has."""
    bits = int(Path("/proc/self/status").read_text().partition("CapBnd:")[2].split()[0], 16)
    return tuple(name for number, name in enumerate(_NAMES.split()) if bits >> number & 1)


def bound(capabilities: Collection[str]) -> None:
    """Let neither this process nor what it starts ever have others than these. Raises OSError."""
    for number, name in enumerate(_NAMES.split()):
        if name not in capabilities and _libc.prctl(_DROP, number, 0, 0, 0):
            raise OSError(ctypes.get_errno(), f"cannot drop {name}")


def become(user: int, capabilities: Collection[str], *, no_new_privileges: bool) -> None:
    """Become a user; root keeps these capabilities, anybody else has none. Raises OSError."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    if user == 0:
        _set(sum(1 << _NAMES.split().index(name) for name in capabilities))
    if no_new_privileges:
        _libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)


def _set(bits: int) -> None:
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    low, high = bits & 0xFFFFFFFF, bits >> 32
    # Effective, permitted, inheritable of the lower 32, then of the upper.
    data = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)
    if _libc.capset(header, data):
        raise OSError(ctypes.get_errno(), "capset")
