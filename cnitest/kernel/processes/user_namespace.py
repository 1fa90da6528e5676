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
from cnitest.kernel.mounts import own_proc
from cnitest.kernel.processes import refusals

_NO_CHILD = "no child process can be made to try it"
_MORE = "allow more processes: ulimit -u, or the container's limit of PIDs"
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
    return why_not() or _move(container.rights())


def why_not() -> str:
    """Why `enter` would fail, with what to do; empty where it would not. Tried in a child that ends at once."""
    rights = container.rights()
    return _in_child(lambda: _move(rights))


def _move(rights: str) -> str:
    """``rights`` are those that a container's runtime can give instead."""
    user, group = os.geteuid(), os.getegid()
    try:
        syscalls.unshare(syscalls.CLONE_NEWUSER)
    except OSError as error:
        return refusals.of_user_namespace(error, rights)
    try:
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        for name, number in (("uid", user), ("gid", group)):
            Path(_MAPS.format(name)).write_text(f"0 {number} 1", encoding="ascii")
    except OSError as error:
        return refusals.of_map(error, user, rights)
    return _in_child(lambda: _refused_inside(user, rights))


def _refused_inside(user: int, rights: str) -> str:
    """Why what a lab needs cannot be made here, tried: AppArmor may let the user namespace be, and nothing in it, a
    container's seccomp filter may forbid setns(2) or mount(2) alone, and below a masked /proc there is no other."""
    for what, attempt in _ATTEMPTS.items():
        try:
            attempt()
        except OSError as error:
            return refusals.inside(what, error, rights)
    try:
        syscalls.unshare(syscalls.CLONE_NEWPID)
    except OSError as error:
        return refusals.of_proc(error, rights if user == 0 else "")
    said = _in_child(_proc_alone)  # a process of the new PID namespace mounts its /proc
    if not said or said.startswith(_NO_CHILD):
        return said
    return refusals.of_proc(OSError(errno.EPERM, os.strerror(errno.EPERM)), rights if user == 0 else "")


def _proc_alone() -> str:
    own_proc()
    return ""


def _enter_again() -> None:
    own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    syscalls.setns(own, syscalls.CLONE_NEWNET)


def _mount() -> None:
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount("tmpfs", "/", "tmpfs")


_ATTEMPTS: dict[str, Callable[[], None]] = {
    refusals.NETWORK: lambda: syscalls.unshare(syscalls.CLONE_NEWNET),
    refusals.ENTER: _enter_again,
    refusals.MOUNTS: lambda: syscalls.unshare(syscalls.CLONE_NEWNS),
    refusals.MOUNT: _mount,
}


def _in_child(attempt: Callable[[], str]) -> str:
    """What a function says in a child process of this one; the error's words where it raises one, or is killed."""
    reader, writer = os.pipe()
    with open(reader, encoding="utf-8") as stream:
        try:
            child = os.fork()
            if child == 0:
                _answer(attempt, writer)
        except OSError as error:
            return f"{_NO_CHILD} ({error.strerror}): {_MORE}"
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
