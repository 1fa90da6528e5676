"""Names a system call that is about to be made: what it would change, and the error it is made to fail with."""

from __future__ import annotations

import errno
import os
import re
import socket
import struct
from collections.abc import Callable, Mapping
from typing import NamedTuple

from cnitest.injection import netlink_words
from cnitest.kernel.processes import tracee
from cnitest.kernel.processes.seccomp import Notice

_AT_REMOVEDIR = 0x200
_FLAGS: Mapping[str, int] = {
    "O_WRONLY": os.O_WRONLY, "O_RDWR": os.O_RDWR, "O_CREAT": os.O_CREAT, "O_EXCL": os.O_EXCL, "O_TRUNC": os.O_TRUNC,
    "O_APPEND": os.O_APPEND,
}  # fmt: skip
_O_PATH = 0x200000
#: ioctl(2) requests that change links: SIOCSIF*, bridges, tunnels, TUNSETIFF.
_IOCTLS: Mapping[int, str] = {
    0x890B: "SIOCADDRT", 0x890C: "SIOCDELRT", 0x8914: "SIOCSIFFLAGS", 0x8916: "SIOCSIFADDR", 0x8918: "SIOCSIFDSTADDR",
    0x891A: "SIOCSIFBRDADDR", 0x891C: "SIOCSIFNETMASK", 0x8922: "SIOCSIFMTU", 0x8923: "SIOCSIFNAME",
    0x8924: "SIOCSIFHWADDR", 0x8936: "SIOCDIFADDR", 0x8943: "SIOCSIFTXQLEN", 0x89A0: "SIOCBRADDBR",
    0x89A1: "SIOCBRDELBR", 0x89A2: "SIOCBRADDIF", 0x89A3: "SIOCBRDELIF", 0x400454CA: "TUNSETIFF",
    0x400454CB: "TUNSETPERSIST",
}  # fmt: skip
#: setsockopt(2) of xtables by level: IPv4 and IPv6 tables; ebtables and arptables have numbers of their own.
_XTABLES: Mapping[tuple[int, int], str] = {
    (0, 64): "IPT_SO_SET_REPLACE", (0, 65): "IPT_SO_SET_ADD_COUNTERS", (0, 96): "ARPT_SO_SET_REPLACE",
    (0, 128): "EBT_SO_SET_ENTRIES", (41, 64): "IP6T_SO_SET_REPLACE", (41, 65): "IP6T_SO_SET_ADD_COUNTERS",
}  # fmt: skip
_NO_FILES = ("/dev/null", "/dev/tty", "/dev/pts/")
# What differs from run to run: random names, process numbers, MACs, times.
_RANDOM = (
    (re.compile(r"\bveth[0-9a-f]{6,8}\b"), "veth*"),
    (re.compile(r"^/proc/\d+(/task/\d+)?"), "/proc/PID"),
    (re.compile(r"\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b"), "*"),
    (re.compile(r"\d{8,}"), "*"),
)
_MOST_ARGUMENTS = 110


class ChangingCall(NamedTuple):
    """A call that would change something: whose, its name and object, more words, and the errno to fail it with."""

    process: str
    name: str
    target: str
    detail: str
    errno: int

    @property
    def words(self) -> str:
        """The call in words, without its process."""
        return " ".join(filter(None, (self.name, self.target, self.detail)))


class _Asked(NamedTuple):
    notice: Notice
    pid: int

    def argument(self, place: int) -> int:
        return self.notice.arguments[place]

    @property
    def thread(self) -> int:
        return self.notice.thread

    def path(self, directory: int | None, place: int) -> str:
        """The path that argument ``place`` points at, seen from the directory in argument ``directory``."""
        base = _CURRENT if directory is None else self.argument(directory)
        return without_chance(tracee.path(self.thread, base, self.argument(place)))


_CURRENT = -100
_Found = tuple[str, str, int] | None


def without_chance(text: str) -> str:
    """A text with what differs from run to run replaced."""
    for pattern, word in _RANDOM:
        text = pattern.sub(word, text)
    return text


def change(notice: Notice, pid: int, process: str) -> ChangingCall | None:
    """What a call would change; None when nothing that counts. Raises OSError when the process is gone."""
    reader = _READERS.get(notice.name)
    found = reader(_Asked(notice, pid)) if reader else None
    if found is None:
        return None
    target, detail, number = found
    name = "netlink" if notice.name.startswith("send") and notice.name != "sendfile" else notice.name
    return ChangingCall(process, name, target, detail, number)


def opening(path: str, flags: int) -> _Found:
    """An open with these flags: not one that only looks, and not one of a file that holds nothing."""
    if flags & _O_PATH or path.startswith(_NO_FILES):
        return None
    if not flags & (os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_RDWR):
        return None
    names = "|".join(name for name, bit in _FLAGS.items() if flags & bit)
    return path, names, errno.ENOSPC if flags & os.O_CREAT else errno.EACCES


def _openat(asked: _Asked) -> _Found:
    return opening(asked.path(0, 1), asked.argument(2))


def _openat2(asked: _Asked) -> _Found:
    (flags,) = struct.unpack("=Q", tracee.memory(asked.thread, asked.argument(2), 8))
    return opening(asked.path(0, 1), flags)


def _open(asked: _Asked) -> _Found:
    return opening(asked.path(None, 0), asked.argument(1))


def _creat(asked: _Asked) -> _Found:
    return opening(asked.path(None, 0), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)


def _descriptor(place: int, number: int) -> Callable[[_Asked], _Found]:
    """A call on a descriptor of a file; pipes, sockets and the like do not count."""

    def read(asked: _Asked) -> _Found:
        name = tracee.file(asked.thread, asked.argument(place))
        if not name.startswith("/") or name.startswith((*_NO_FILES, "/memfd:")):
            return None
        return without_chance(name.removesuffix(" (deleted)")), "", number

    return read


def _paths(*places: tuple[int | None, int], number: int) -> Callable[[_Asked], _Found]:
    """A call on one or two paths, each by the arguments with its directory and itself."""

    def read(asked: _Asked) -> _Found:
        first, *rest = (asked.path(*place) for place in places)
        return first, " ".join(rest and ["to", *rest]), number

    return read


def _symlink(asked: _Asked) -> _Found:
    return asked.path(1, 2), "", errno.ENOSPC


def _unlinkat(asked: _Asked) -> _Found:
    return asked.path(0, 1), "AT_REMOVEDIR" if asked.argument(2) & _AT_REMOVEDIR else "", errno.EBUSY


def _mount(asked: _Asked) -> _Found:
    return asked.path(None, 1), "", errno.EPERM


def _ioctl(asked: _Asked) -> _Found:
    name = _IOCTLS.get(asked.argument(1) & 0xFFFFFFFF)
    return (name, "", errno.EBUSY) if name else None


def _setsockopt(asked: _Asked) -> _Found:
    name = _XTABLES.get((asked.argument(1) & 0xFFFFFFFF, asked.argument(2) & 0xFFFFFFFF))
    if not name or (tracee.socket_kind(asked.pid, asked.argument(0)) or (0,))[0] == socket.AF_NETLINK:
        return None
    return name, "", errno.EBUSY


def _execve(asked: _Asked) -> _Found:
    return _program(asked, asked.path(None, 0), 1)


def _execveat(asked: _Asked) -> _Found:
    return _program(asked, asked.path(0, 1), 2)


def _program(asked: _Asked, path: str, arguments: int) -> _Found:
    words = " ".join(" ".join(tracee.texts(asked.thread, asked.argument(arguments))[1:]).split())
    more = "…" if len(words) > _MOST_ARGUMENTS else ""
    return path, without_chance(words)[:_MOST_ARGUMENTS] + more, errno.EACCES


def _sendto(asked: _Asked) -> _Found:
    return _netlink(asked, [(asked.argument(1), asked.argument(2))])


def _sendmsg(asked: _Asked) -> _Found:
    return _netlink(asked, _pieces(asked.thread, asked.argument(1)))


def _sendmmsg(asked: _Asked) -> _Found:
    messages = range(min(asked.argument(2), 64))
    pieces = [piece for place in messages for piece in _pieces(asked.thread, asked.argument(1) + 64 * place)]
    return _netlink(asked, pieces)


def _pieces(thread: int, address: int) -> list[tuple[int, int]]:
    """Where the data of a struct msghdr lies: addresses and sizes."""
    _, _, vector, count = struct.unpack("=QQQQ", tracee.memory(thread, address, 32))
    data = tracee.memory(thread, vector, 16 * min(count, 64))
    return [struct.unpack_from("=QQ", data, place) for place in range(0, len(data), 16)]


def _netlink(asked: _Asked, pieces: list[tuple[int, int]]) -> _Found:
    kind = tracee.socket_kind(asked.pid, asked.argument(0))
    if not kind or kind[0] != socket.AF_NETLINK:
        return None
    data = b"".join(tracee.memory(asked.thread, address, min(size, 1 << 20)) for address, size in pieces)
    found = netlink_words.changes(kind[1], data)
    if not found:
        return None
    names, about = netlink_words.words(found)
    return names, without_chance(about), errno.ENOBUFS


_WRITE = _descriptor(0, errno.EIO)
_CHMOD = errno.EPERM
_READERS: Mapping[str, Callable[[_Asked], _Found]] = {
    **dict.fromkeys(("write", "pwrite64", "writev", "pwritev", "pwritev2", "sendfile", "fallocate"), _WRITE),
    "copy_file_range": _descriptor(2, errno.EIO),
    "ftruncate": _WRITE,
    "truncate": _paths((None, 0), number=errno.EIO),
    "openat": _openat,
    "openat2": _openat2,
    "open": _open,
    "creat": _creat,
    "mknod": _paths((None, 0), number=errno.ENOSPC),
    "mknodat": _paths((0, 1), number=errno.ENOSPC),
    "mkdir": _paths((None, 0), number=errno.ENOSPC),
    "mkdirat": _paths((0, 1), number=errno.ENOSPC),
    "rmdir": _paths((None, 0), number=errno.EBUSY),
    "unlink": _paths((None, 0), number=errno.EBUSY),
    "unlinkat": _unlinkat,
    "symlink": _paths((None, 1), number=errno.ENOSPC),
    "symlinkat": _symlink,
    "link": _paths((None, 0), (None, 1), number=errno.ENOSPC),
    "linkat": _paths((0, 1), (2, 3), number=errno.ENOSPC),
    "rename": _paths((None, 0), (None, 1), number=errno.EBUSY),
    **dict.fromkeys(("renameat", "renameat2"), _paths((0, 1), (2, 3), number=errno.EBUSY)),
    **dict.fromkeys(("chmod", "chown", "lchown"), _paths((None, 0), number=_CHMOD)),
    **dict.fromkeys(("fchmodat", "fchmodat2", "fchownat"), _paths((0, 1), number=_CHMOD)),
    **dict.fromkeys(("fchmod", "fchown"), _descriptor(0, _CHMOD)),
    "mount": _mount,
    "move_mount": _paths((2, 3), number=errno.EPERM),
    "umount2": _paths((None, 0), number=errno.EBUSY),
    "ioctl": _ioctl,
    "setsockopt": _setsockopt,
    "execve": _execve,
    "execveat": _execveat,
    "sendto": _sendto,
    "sendmsg": _sendmsg,
    "sendmmsg": _sendmmsg,
}
