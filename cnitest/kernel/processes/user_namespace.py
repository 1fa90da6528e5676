"""A user namespace of our own: what lets an ordinary user make network namespaces, and why it may be forbidden.

Inside it the process is root towards whatever it makes there, and still the user towards everything else
(user_namespaces(7)). Nothing else of the process changes: it keeps its network and its mounts.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from cnitest.kernel import syscalls
from cnitest.kernel.confinement import capabilities, container
from cnitest.kernel.confinement.proc import read

_MAPS = "/proc/self/{}_map"


def may_make_namespaces() -> bool:
    """Whether this process may make namespaces as it is (CAP_SYS_ADMIN, capabilities(7))."""
    return capabilities.has("SYS_ADMIN")


def enter() -> str:
    """Move this process into a new user namespace, where it is root; why that cannot be, with what to do, or nothing.

    It has to be alone in the process: a second thread would stay outside. There is no way back out of a user namespace
    in which nothing is allowed, so a child tries it first.
    """
    if len(os.listdir("/proc/self/task")) > 1:
        return "this process has several threads, and a user namespace is entered before the second begins"
    return why_not() or _move()


def why_not() -> str:
    """Why `enter` would fail, with what to do; empty where it would not. Tried in a child that ends at once."""
    return _in_child(_move)


def _move() -> str:
    user, group, rights = os.geteuid(), os.getegid(), container.rights()
    try:
        syscalls.unshare(syscalls.CLONE_NEWUSER)
    except OSError as error:
        return _forbidden(error, rights)
    try:
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        for name, number in (("uid", user), ("gid", group)):
            Path(_MAPS.format(name)).write_text(f"0 {number} 1", encoding="ascii")
    except OSError as error:
        return _unmapped(error, rights)
    return "" if _can_make_networks() else _unmapped(OSError(errno.EPERM, os.strerror(errno.EPERM)), rights)


def _can_make_networks() -> bool:
    """Whether a network namespace can be made now, and entered: AppArmor may let the user namespace be, and nothing in
    it, and a container's seccomp filter may forbid setns(2) alone."""

    def attempt() -> str:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        syscalls.setns(own, syscalls.CLONE_NEWNET)
        return ""

    return not _in_child(attempt)


def _in_child(attempt: Callable[[], str]) -> str:
    """What a function says in a child process of this one; the error's words where it raises one, or is killed."""
    reader, writer = os.pipe()
    with open(reader, encoding="utf-8") as stream:
        try:
            child = os.fork()
            if child == 0:
                _answer(attempt, writer)
        except OSError as error:
            return f"no child process can be made to try it ({error.strerror})"
        finally:
            os.close(writer)
        said = stream.read()
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return said if ended == 0 else f"a child process that tried it was killed: {signal.strsignal(-ended)}"


def _answer(attempt: Callable[[], str], writer: int) -> NoReturn:
    """The child's part. It never returns: whatever called us goes on in the parent alone."""
    try:
        said = attempt()
    except BaseException as error:
        said = str(error) or type(error).__name__
    try:
        os.write(writer, said.encode(errors="replace"))
    finally:
        os._exit(0)


def _forbidden(error: OSError, rights: str) -> str:
    """Why a user namespace cannot be made: what the kernel's settings say, then what a container adds.

    ``rights`` are those that its runtime can give instead.
    """
    if error.errno == errno.ENOSPC or read("sys/user/max_user_namespaces").strip() == "0":
        return _words(error, "user.max_user_namespaces allows no more", "sysctl -w user.max_user_namespaces=15000")
    if read("sys/kernel/unprivileged_userns_clone").strip() == "0":
        return _words(error, "a sysctl forbids it", "sysctl -w kernel.unprivileged_userns_clone=1")
    if read("sys/kernel/apparmor_restrict_unprivileged_userns").strip() == "1":
        return _unmapped(error, rights)
    if not _is_mapped():
        why = f"user {os.geteuid()} is none of the user namespace that it is in (/proc/self/uid_map)"
        return _said(error, why, "enter that with a map: unshare --map-root-user, podman unshare")
    if container.seccomp():
        return _contained(error, "a seccomp filter, as containers have one, forbids it", rights)
    return _words(error, "this system forbids it to ordinary users", "run as root")


def _unmapped(error: OSError, rights: str) -> str:
    """Why a user namespace, once made, is of no use."""
    if read("sys/kernel/apparmor_restrict_unprivileged_userns").strip() == "1":
        return _words(
            error,
            "AppArmor forbids it to programs without a profile",
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        )
    if container.seccomp():
        return _contained(error, "a seccomp filter, as containers have one, forbids what is done in it", rights)
    return _words(error, "the user namespace has no rights of its own", "run as root")


def _is_mapped() -> bool:
    """Whether this process's user is one of the user namespace that it is in."""
    rows = [list(map(int, line.split())) for line in read("self/uid_map").splitlines()]
    return any(first <= os.geteuid() < first + count for first, _, count in rows)


def _contained(error: OSError, why: str, rights: str) -> str:
    return _said(error, why, f"start the container with {rights}, or --privileged")


def _words(error: OSError, why: str, remedy: str) -> str:
    return _said(error, why, f"as root: {remedy}")


def _said(error: OSError, why: str, remedy: str) -> str:
    return f"a user namespace cannot be used ({os.strerror(error.errno or 0)}): {why}; {remedy}"
