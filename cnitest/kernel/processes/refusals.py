"""Why the kernel refuses namespaces to this process, and the line that allows them: found by trying, and in /proc.

A seccomp filter is recognised by calls that change nothing, to which the kernel itself has another answer.
Sources: user_namespaces(7), namespaces(7), unshare(2), Debian's kernel.unprivileged_userns_clone and Ubuntu's
kernel.apparmor_restrict_unprivileged_userns.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re

from cnitest.kernel import syscalls
from cnitest.kernel.confinement import container
from cnitest.kernel.confinement.proc import read

#: What is tried in a user namespace: a flag of unshare(2), setns(2) or mount(2).
NETWORK, MOUNTS, ENTER, MOUNT = "net", "mnt", "setns", "mount"
_FLAGS = {"user": syscalls.CLONE_NEWUSER, NETWORK: syscalls.CLONE_NEWNET, MOUNTS: syscalls.CLONE_NEWNS}
_LIMIT = 15000
#: A bit that no flag of unshare(2) is.
_INVALID = 0x1


def of_user_namespace(error: OSError, rights: str) -> str:
    """Why a user namespace cannot be made; ``rights`` are those that a container's runtime can give instead."""
    if error.errno == errno.ENOSPC or read("sys/user/max_user_namespaces").strip() == "0":
        return _limit(error, "user")
    if read("sys/kernel/unprivileged_userns_clone").strip() == "0":
        return _words(error, "a sysctl forbids it", "as root: sysctl -w kernel.unprivileged_userns_clone=1")
    if _ubuntu_restricts():
        return _by_apparmor(error)
    if is_filtered("user"):
        return _contained(error, "a seccomp filter, as containers have one, forbids it", rights)
    if error.errno in (errno.ENOSYS, errno.EINVAL):
        return _words(error, "this kernel has none (CONFIG_USER_NS)", "run as root")
    return _by_who_asks(error)


def of_map(error: OSError, user: int, rights: str) -> str:
    """Why a user namespace that a user has made is of no use: that user has no number in it."""
    if error.errno in (errno.EROFS, errno.ENOENT):
        return _words(error, "/proc cannot be written", "as root: mount -o remount,rw /proc")
    if _ubuntu_restricts():
        return _by_apparmor(error)
    if user == 0:
        return _contained(error, "root is not mapped without CAP_SETFCAP", f"{rights}; or run as an ordinary user")
    return _words(error, "its uid_map cannot be written", "run as root")


def inside(what: str, error: OSError, rights: str) -> str:
    """Why nothing can be made in a user namespace."""
    if what in (NETWORK, MOUNTS) and error.errno == errno.ENOSPC:
        return _limit(error, what)
    if _ubuntu_restricts():
        return _by_apparmor(error)
    if is_filtered(what):
        return _contained(error, "a seccomp filter, as containers have one, forbids what is done in it", rights)
    if profile := container.apparmor():
        return _contained(error, f"AppArmor's profile {profile} forbids what is done in it", rights)
    return _words(error, "the user namespace has no rights of its own", "run as root")


def of_proc(error: OSError, rights: str) -> str:
    """Why the processes of a lab get no /proc; ``rights`` are those that would do instead, where there are some."""
    return f"a user namespace cannot be used ({os.strerror(error.errno or 0)}): {container.open_proc(rights)}"


def is_filtered(what: str) -> bool:
    """Whether seccomp keeps a call from the kernel, which would say EINVAL, EBADF or EFAULT to these."""
    libc = ctypes.CDLL(None, use_errno=True)
    if what == ENTER:
        return bool(libc.setns(-1, 0)) and ctypes.get_errno() != errno.EBADF
    if what == MOUNT:
        return bool(libc.mount(None, None, None, ctypes.c_ulong(0), None)) and ctypes.get_errno() != errno.EFAULT
    return bool(libc.unshare(_FLAGS[what] | _INVALID)) and ctypes.get_errno() != errno.EINVAL


def _by_who_asks(error: OSError) -> str:
    """Because of the process itself, or because of a policy that cannot be read."""
    if not _is_mapped(os.geteuid(), "uid_map") or not _is_mapped(os.getegid(), "gid_map"):
        words = f"user {os.geteuid()} is none of the user namespace that it is in (/proc/self/uid_map)"
        return _words(error, words, "enter that with a map: unshare --map-root-user, podman unshare")
    if error.errno == errno.EPERM:
        certain = not re.search(r"^(\S+ ){4}/ ", read("self/mountinfo"), re.M)
        words = "this process is in a chroot" if certain else "this process is in a chroot, or a policy forbids it"
        return _words(error, words, "enter the chroot by: unshare --user --map-root-user --root=DIRECTORY")
    return _words(error, "a security module's policy forbids it", "run as root")


def _is_mapped(number: int, name: str) -> bool:
    ranges = [tuple(map(int, line.split())) for line in read(f"self/{name}").splitlines()]
    return any(first <= number < first + count for first, _, count in ranges)


def _ubuntu_restricts() -> bool:
    """Whether Ubuntu's sysctl counts for us: whom a profile confines, as in a container, it does not concern."""
    restricted = read("sys/kernel/apparmor_restrict_unprivileged_userns").strip() == "1"
    return restricted and not container.apparmor()


def _by_apparmor(error: OSError) -> str:
    remedy = "as root: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
    return _words(error, "AppArmor forbids it to programs without a profile", remedy)


def _limit(error: OSError, kind: str) -> str:
    setting = f"user.max_{kind}_namespaces"
    return _words(error, f"{setting} allows no more", f"as root: sysctl -w {setting}={_LIMIT}")


def _contained(error: OSError, why: str, rights: str) -> str:
    return _words(error, why, f"start the container with {rights}, or --privileged")


def _words(error: OSError, why: str, remedy: str) -> str:
    return f"a user namespace cannot be used ({os.strerror(error.errno or 0)}): {why}; {remedy}"
