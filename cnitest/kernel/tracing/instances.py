"""The tracefs instances of cnitest on this machine: where they are, whose each is, which nobody owns any more.

An instance is a name on the machine, and the kernel keeps it when who made it is killed. So its name says which process
made it (PID and start time, and its process group), and that process holds a lock on it as long as it lives. One is
removed only when the lock is free and there is no such process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cnitest.kernel import mounts
from cnitest.kernel.namespace_thread import NamespaceThread
from cnitest.kernel.syscalls import CLONE_NEWNS, MS_NODEV, MS_NOEXEC, MS_NOSUID, mount, unshare

_MOUNTED = "/sys/kernel/tracing"
_NAME = re.compile(r"cnitest-(\d+)-(\d+)-(\d+)(?:-\d+)?")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Of /proc/PID/stat behind the command, which may hold anything: the state is the first, the start time the 20th.
_START = 19


class Owner(NamedTuple):
    """The process that made an instance: its PID, when it started (ticks since boot), its process group."""

    pid: int
    start: int
    group: int

    @property
    def running(self) -> bool:
        """Whether that very process still runs; another with the same PID is not it."""
        return _start(self.pid) == self.start


def own() -> Owner:
    """This process."""
    return Owner(os.getpid(), _start(os.getpid()) or 0, os.getpgrp())


def owner(name: str) -> Owner | None:
    """Whose an instance is by its name, None of one that is not ours."""
    found = _NAME.fullmatch(name)
    return Owner(*map(int, found.groups())) if found else None


def open_all() -> int:
    """A descriptor of the directory of instances. Raises OSError where there is none, or none for us.

    Where the machine has tracefs not mounted it is mounted for us alone, in a mount namespace that is gone at once.
    """
    with contextlib.suppress(FileNotFoundError):
        return os.open(f"{_MOUNTED}/instances", _DIRECTORY)
    thread = NamespaceThread()
    try:
        return thread.run(_mount)
    finally:
        thread.end()


def _mount() -> int:
    unshare(CLONE_NEWNS)
    mounts.make_private()
    mount("tracefs", _MOUNTED, "tracefs", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    return os.open(f"{_MOUNTED}/instances", _DIRECTORY)


def make(directory: int) -> tuple[str, int]:
    """A new instance of this process: its name, and the locked descriptor of its directory. Raises OSError."""
    base = "cnitest-{}-{}-{}".format(*own())
    for name in (base, *(f"{base}-{number}" for number in range(1, 100))):
        try:
            os.mkdir(name, dir_fd=directory)
        except FileExistsError:  # of an earlier one of ours; the kernel may still be at removing it
            continue
        if (locked := _lock(directory, name)) is not None:
            return name, locked
    raise FileExistsError(f"{_MOUNTED}/instances has a hundred instances of this process")


def orphans(directory: int) -> list[str]:
    """Our instances whose owners have ended, by name: none holds its lock, which tells of other PID namespaces, too."""
    found = []
    for name in os.listdir(directory):
        its = owner(name)
        if its and not its.running and (locked := _lock(directory, name)) is not None:
            os.close(locked)
            found.append(name)
    return found


def sweep(directory: int) -> list[str]:
    """Remove our instances whose owners have ended; their names. What somebody else is removing is left to him."""
    return [name for name in orphans(directory) if _remove_orphan(directory, name)]


def _remove_orphan(directory: int, name: str) -> bool:
    locked = _lock(directory, name)
    if locked is None:
        return False
    try:
        os.rmdir(name, dir_fd=directory)
    except OSError:  # somebody looks into it: the next start sees to it
        return False
    finally:
        os.close(locked)
    return True


def _lock(directory: int, name: str) -> int | None:
    """The locked descriptor of an instance, None when someone else has the lock, or has removed it."""
    try:
        opened = os.open(name, _DIRECTORY, dir_fd=directory)
    except OSError:
        return None
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.stat(name, dir_fd=directory).st_ino == os.fstat(opened).st_ino:
            return opened
    except OSError:
        pass
    os.close(opened)
    return None


def _start(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when there is no such process, or only its remains."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else int(fields[_START])


@contextlib.contextmanager
def opened() -> Iterator[int]:
    """The directory of instances while a block runs. Raises OSError as `open_all`."""
    directory = open_all()
    try:
        yield directory
    finally:
        os.close(directory)
