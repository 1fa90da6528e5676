"""Archives as the kernel unpacks them into its first filesystem: cpio's "newc" form."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

_DIRECTORY, _FILE, _LINK, _DEVICE = 0o040000, 0o100000, 0o120000, 0o020000
_TRAILER = "TRAILER!!!"


class Member(NamedTuple):
    """One file: ``mode`` with its type, ``data`` its content or, of a symbolic link, its target."""

    name: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def directory(name: str) -> Member:
    """A directory."""
    return Member(name, _DIRECTORY | 0o755)


def file(name: str, data: bytes, *, executable: bool = False) -> Member:
    """A regular file."""
    return Member(name, _FILE | (0o755 if executable else 0o644), data)


def link(name: str, target: str) -> Member:
    """A symbolic link."""
    return Member(name, _LINK | 0o777, target.encode())


def device(name: str, major: int, minor: int) -> Member:
    """A character device."""
    return Member(name, _DEVICE | 0o600, device=(major, minor))


def archive(entries: Iterable[Member]) -> bytes:
    """The archive of some entries, parents first; archives may follow one another in one file."""
    packed = [_packed(number, entry) for number, entry in enumerate(entries, 1)]
    return b"".join([*packed, _packed(0, Member(_TRAILER, 0))])


def _packed(number: int, entry: Member) -> bytes:
    """An entry: header, name and data, each filled up to four bytes."""
    name = entry.name.encode() + b"\0"
    fields = (number, entry.mode, 0, 0, 1, 0, len(entry.data), 0, 0, *entry.device, len(name), 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + name
    return _filled(head) + _filled(entry.data)


def _filled(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
