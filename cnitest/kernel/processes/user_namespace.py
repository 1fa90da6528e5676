"""A user namespace of our own: what lets an ordinary user make network namespaces, and why it may be forbidden.

Inside it the process is root towards whatever it makes there, and still the user towards everything else
(user_namespaces(7)). Nothing else of the process changes: it keeps its network and its mounts.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path

from cnitest.kernel import syscalls

_SYS_ADMIN = 1 << 21
_MAPS = "/proc/self/{}_map"
_PROC = Path("/proc")


def may_make_namespaces() -> bool:
    """Whether this process may make namespaces as it is (CAP_SYS_ADMIN, capabilities(7))."""
    found = re.search(r"^CapEff:\s*([0-9a-f]+)", _read("self/status"), re.M)
    return found is not None and bool(int(found[1], 16) & _SYS_ADMIN)


def enter() -> str:
    """Move this process into a new user namespace, where it is root; why that cannot be, with what to do, or nothing.

    It has to be alone in the process: a second thread would stay outside.
    """
    user, group = os.geteuid(), os.getegid()
    if len(os.listdir("/proc/self/task")) > 1:
        return "this process has several threads, and a user namespace is entered before the second begins"
    try:
        syscalls.unshare(syscalls.CLONE_NEWUSER)
    except OSError as error:
        return _forbidden(error)
    try:
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        for name, number in (("uid", user), ("gid", group)):
            Path(_MAPS.format(name)).write_text(f"0 {number} 1", encoding="ascii")
    except OSError as error:
        return _unmapped(error)
    return "" if _can_make_networks() else _unmapped(OSError(errno.EPERM, os.strerror(errno.EPERM)))


def why_not() -> str:
    """Why `enter` would fail, with what to do; empty where it would not. Tried in a child that ends at once."""
    return _in_child(enter)


def _can_make_networks() -> bool:
    """Whether a network namespace can be made now: AppArmor may let the user namespace be, and nothing in it."""

    def attempt() -> str:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        return ""

    return not _in_child(attempt)


def _in_child(attempt: Callable[[], str]) -> str:
    """What a function says in a child process of this one; an OSError's words where it raises one."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            said = attempt()
        except OSError as error:
            said = str(error)
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with open(reader, encoding="utf-8") as stream:
        said = stream.read()
    os.waitpid(child, 0)
    return said


def _forbidden(error: OSError) -> str:
    """Why a user namespace cannot be made: what the kernel's settings say, then what a container adds."""
    if error.errno == errno.ENOSPC or _read("sys/user/max_user_namespaces").strip() == "0":
        return _words(error, "user.max_user_namespaces allows no more", "sysctl -w user.max_user_namespaces=15000")
    if _read("sys/kernel/unprivileged_userns_clone").strip() == "0":
        return _words(error, "a sysctl forbids it", "sysctl -w kernel.unprivileged_userns_clone=1")
    if _read("sys/kernel/apparmor_restrict_unprivileged_userns").strip() == "1":
        return _unmapped(error)
    if re.search(r"^Seccomp:\s*2", _read("self/status"), re.M):
        option = "--security-opt seccomp=unconfined (docker, podman) or seccompProfile: {type: Unconfined}"
        return _words(error, "a seccomp filter, as containers have one, forbids it", option)
    return _words(error, "this system forbids it to ordinary users", "run as root")


def _unmapped(error: OSError) -> str:
    """Why a user namespace, once made, is of no use."""
    if _read("sys/kernel/apparmor_restrict_unprivileged_userns").strip() == "1":
        return _words(
            error,
            "AppArmor forbids it to programs without a profile",
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        )
    return _words(error, "the user namespace has no rights of its own", "run as root")


def _words(error: OSError, why: str, remedy: str) -> str:
    said = os.strerror(error.errno or 0)
    return f"a user namespace cannot be used ({said}): {why}; as root: {remedy}"


def _read(name: str) -> str:
    """A file of /proc; empty where it is not there."""
    try:
        return (_PROC / name).read_text(encoding="utf-8")
    except OSError:
        return ""
