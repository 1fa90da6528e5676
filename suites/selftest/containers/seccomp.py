"""Filters of system calls as container runtimes install them, by libseccomp.

The facts are those of Docker's default profile (https://docs.docker.com/engine/security/seccomp/, moby's
profiles/seccomp/default.json) and of Podman's (containers/common, pkg/seccomp/seccomp.json): which calls need which
capability, and which are never allowed. Every other call that libseccomp knows is allowed.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Collection, Mapping
from typing import NamedTuple

_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_MASKED_EQUAL, _NOT_EQUAL = 7, 1
_MOST_CALLS = 700
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
#: CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
NAMESPACES = 0x7E020000
_NEW_USER, _NEW_OTHERS = 0x10000000, 0x6E020000
_VSOCK = 40
# libseccomp sets no_new_privs unless told not to; runtimes leave that to the container's own setting.
_NO_NEW_PRIVILEGES = 3

_SHARED = {
    "open_by_handle_at": "DAC_READ_SEARCH",
    "chroot": "SYS_CHROOT",
    "delete_module init_module finit_module": "SYS_MODULE",
    "acct": "SYS_PACCT",
    "iopl ioperm": "SYS_RAWIO",
    "settimeofday clock_settime": "SYS_TIME",
    "vhangup": "SYS_TTY_CONFIG",
    "get_mempolicy mbind set_mempolicy": "SYS_NICE",
}
_NEVER = "kexec_file_load kexec_load migrate_pages move_pages nfsservctl swapoff swapon sysfs uselib userfaultfd ustat"


class Profile(NamedTuple):
    """A profile: the calls that need a capability, those that never are, and an errno for what else is unknown.

    ``clone`` says whether clone(2) may make namespaces only with SYS_ADMIN; clone3(2) is then not there without.
    """

    needs: Mapping[str, str]
    never: str
    unknown: int
    clone: bool


PROFILES = {
    "docker": Profile(
        {
            **_SHARED,
            "bpf fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount open_tree "
            "perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 "
            "unshare": "SYS_ADMIN",
            "reboot": "SYS_BOOT",
            "kcmp pidfd_getfd process_madvise": "SYS_PTRACE",
        },
        f"{_NEVER} add_key keyctl request_key pivot_root",
        errno.EPERM,
        clone=True,
    ),
    "podman": Profile(
        {
            **_SHARED,
            "bpf fanotify_init lookup_dcookie perf_event_open quotactl setdomainname sethostname setns": "SYS_ADMIN",
            "kcmp process_madvise process_vm_readv process_vm_writev ptrace": "SYS_PTRACE",
        },
        f"{_NEVER} vmsplice",
        errno.ENOSYS,
        clone=False,
    ),
}


def available() -> bool:
    """Whether this machine has libseccomp, as Debian has it for apt, and we know its processor's calls."""
    return _library() is not None and os.uname().machine in _ARCHITECTURES


def install(profile: str, capabilities: Collection[str]) -> None:
    """Filter the calls of this process, and of all that descend from it. Raises OSError."""
    known, has = PROFILES[profile], set(capabilities)
    denied = dict.fromkeys(known.never.split(), errno.EPERM)
    denied |= {name: errno.EPERM for names, one in known.needs.items() if one not in has for name in names.split()}
    with _Filter(known.unknown) as filtered:
        if known.clone and "SYS_ADMIN" not in has:
            denied |= {"clone": errno.EPERM, "clone3": errno.ENOSYS}
            filtered.allow("clone", 0, _MASKED_EQUAL, NAMESPACES, 0)
        filtered.allow("socket", 0, _NOT_EQUAL, _VSOCK)
        for name in filtered.names() - {"socket"}:
            filtered.refuse(name, denied[name]) if name in denied else filtered.allow(name)


def refuse_namespaces(*, user: bool) -> None:
    """Refuse user namespaces with EPERM, as ``kernel.unprivileged_userns_clone=0`` does, or let them be without rights
    in them, as AppArmor does: then no other namespace can be made, and nothing mounted."""
    with _Filter(None) as filtered:
        for bit in range(32):
            if (_NEW_USER if user else _NEW_OTHERS) & (1 << bit):
                filtered.refuse("unshare", errno.EPERM, 0, _MASKED_EQUAL, 1 << bit, 1 << bit)
        if not user:
            for name in ("mount", "setns"):
                filtered.refuse(name, errno.EPERM)


def refuse_mounts() -> None:
    """Refuse to mount anything, as AppArmor's profiles for containers do, with their errno."""
    with _Filter(None) as filtered:
        filtered.refuse("mount", errno.EACCES)


class _Comparison(ctypes.Structure):
    """A condition on an argument: its number, how it is compared, with what."""

    _fields_ = (
        ("number", ctypes.c_uint),
        ("how", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


class _Filter:
    """A filter in the making: installed when the block ends. ``unknown`` is the errno of calls that no rule names."""

    def __init__(self, unknown: int | None) -> None:
        library = _library()
        assert library is not None
        self._library = library
        self._default = _ALLOW if unknown is None else _ERRNO | unknown
        self._context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(self._default)))
        library.seccomp_attr_set(self._context, _NO_NEW_PRIVILEGES, 0)

    def __enter__(self) -> _Filter:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            _checked(self._library.seccomp_load(self._context), "seccomp_load")
        self._library.seccomp_release(self._context)

    def names(self) -> set[str]:
        """The system calls of this processor."""
        resolve, architecture = self._library.seccomp_syscall_resolve_num_arch, _ARCHITECTURES[os.uname().machine]
        found = (resolve(ctypes.c_uint32(architecture), number) for number in range(_MOST_CALLS))
        return {name.decode() for name in found if name}

    def allow(self, name: str, *when: int) -> None:
        """Allow a call, where an argument is as ``when`` says: its number, the comparison, its values."""
        self._rule(_ALLOW, name, when)

    def refuse(self, name: str, number: int, *when: int) -> None:
        """Have a call fail with an errno."""
        self._rule(_ERRNO | number, name, when)

    def _rule(self, action: int, name: str, when: tuple[int, ...]) -> None:
        if action == self._default:
            return
        call = self._library.seccomp_syscall_resolve_name(name.encode())
        conditions = (_Comparison * 1)(_Comparison(*when)) if when else None
        added = self._library.seccomp_rule_add_array(
            self._context, ctypes.c_uint32(action), call, 1 if when else 0, conditions
        )
        _checked(added, f"seccomp_rule_add {name}")


def _library() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        return None
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_syscall_resolve_num_arch.restype = ctypes.c_char_p
    return library


def _checked(result: int, what: str) -> None:
    if result < 0:
        raise OSError(-result, f"{what}: {os.strerror(-result)}")
