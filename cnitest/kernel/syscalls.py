"""The few system calls that Python 3.11 has no name for."""

from __future__ import annotations

import ctypes
import os
import struct

#: For setns(2): whatever kind of namespace the descriptor is of.
ANY_NAMESPACE = 0
CLONE_FS = 0x00000200
CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 0x1, 0x2, 0x4, 0x8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 0x20, 0x1000, 0x4000, 0x40000

_MNT_DETACH = 2
# The numbers are the same on all architectures; OPEN_TREE_CLONE, AT_RECURSIVE; AT_EMPTY_PATH; MOVE_MOUNT_F_EMPTY_PATH.
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_CLONE_TREE, _WHOLE, _EMPTY_PATH, _MOVE_EMPTY_PATH = 0x1 | os.O_CLOEXEC, 0x8000, 0x1000, 0x4
_PR_SET_PDEATHSIG = 1
_IN_NONBLOCK_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC
# FAN_CLOEXEC, FAN_NONBLOCK, FAN_UNLIMITED_QUEUE; FAN_MARK_ADD, FAN_MARK_MOUNT; FAN_CLOSE_WRITE; AT_FDCWD.
_FAN_QUIET, _FAN_MOUNT, _FAN_CLOSE_WRITE, _HERE = 0x1 | 0x2 | 0x10, 0x1 | 0x10, 0x8, -100

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Move the calling thread into new namespaces, unshare(2). Raises OSError."""
    _checked(_libc.unshare(flags), f"unshare({flags:#x})")


def setns(fd: int, kind: int) -> None:
    """Move the calling thread into the namespace that ``fd`` refers to, setns(2). Raises OSError."""
    _checked(_libc.setns(fd, kind), f"setns({fd}, {kind:#x})")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount in the calling thread's mount namespace, mount(2). Raises OSError that names the target."""
    result = _libc.mount(
        os.fsencode(source), os.fsencode(target), kind.encode() or None, ctypes.c_ulong(flags), data.encode() or None
    )
    _checked(result, f"mount {kind or 'bind'} on {target}")


def umount(target: str) -> None:
    """Detach a mount in the calling thread's mount namespace, umount2(2). Raises OSError that names the target."""
    _checked(_libc.umount2(os.fsencode(target), _MNT_DETACH), f"umount {target}")


def open_tree(path: str) -> int:
    """A copy of what is mounted at and below a path, mounted nowhere, open_tree(2). Raises OSError."""
    return _descriptor(_libc.syscall(_OPEN_TREE, _HERE, os.fsencode(path), _CLONE_TREE | _WHOLE), f"open_tree({path})")


def read_only_tree(fd: int) -> None:
    """Have nobody write to mounts that are mounted nowhere yet, nor mounts come and go there with others',
    mount_setattr(2). Raises OSError."""
    change = struct.pack("=4Q", MS_RDONLY, 0, MS_PRIVATE, 0)  # the read-only flag's number is the same
    _checked(_libc.syscall(_MOUNT_SETATTR, fd, b"", _EMPTY_PATH | _WHOLE, change, len(change)), "mount_setattr")


def attach_tree(fd: int, target: str) -> None:
    """Mount in the calling thread's mount namespace what is mounted nowhere yet, move_mount(2). Raises OSError."""
    result = _libc.syscall(_MOVE_MOUNT, fd, b"", _HERE, os.fsencode(target), _MOVE_EMPTY_PATH)
    _checked(result, f"move_mount on {target}")


def end_with_parent(number: int) -> None:
    """Have the calling process get a signal when the thread that made it ends, prctl(2). Raises OSError."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(number)), f"prctl(PR_SET_PDEATHSIG, {number})")


def inotify_init() -> int:
    """A descriptor for events of files, inotify_init1(2): never blocks, not inherited. Raises OSError."""
    return _descriptor(_libc.inotify_init1(_IN_NONBLOCK_CLOEXEC), "inotify_init1")


def inotify_add_watch(fd: int, path: str, events: int) -> int:
    """Watch a path as the calling thread sees it, inotify_add_watch(2); the watch's number. Raises OSError."""
    return _descriptor(_libc.inotify_add_watch(fd, os.fsencode(path), events), f"inotify_add_watch({path})")


def fanotify_init() -> int:
    """A descriptor for events of whole mounts, fanotify_init(2): never blocks, not inherited. Raises OSError, EPERM
    without CAP_SYS_ADMIN on the machine."""
    return _descriptor(_libc.fanotify_init(_FAN_QUIET, os.O_RDONLY | os.O_CLOEXEC), "fanotify_init")


def fanotify_add_mount(fd: int, path: str) -> None:
    """Have events for each file that is closed after writing on the mount of a path, which is the calling thread's
    mount namespace's alone, fanotify_mark(2). Raises OSError."""
    event = ctypes.c_uint64(_FAN_CLOSE_WRITE)
    _descriptor(_libc.fanotify_mark(fd, _FAN_MOUNT, event, _HERE, os.fsencode(path)), f"fanotify_mark({path})")


def _descriptor(result: int, what: str) -> int:
    if result < 0:
        _checked(result, what)
    return result
