"""The files that something left in a host's private layers; to be called by the thread, inside the host."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection, Iterator
from pathlib import PurePath
from typing import NamedTuple

from cnitest.kernel import mounts

# Where the layers do not reach, these are mounts of their own.
_PRIVATE = ("/var/lib/cni", "/etc/cni", "/etc/cni/net.d", "/var/tmp")
_AROUND = tuple(sorted({str(parent) for place in _PRIVATE for parent in PurePath(place).parents} - {"/"}))
_HIDDEN = (mounts.LAYERS, "/run/netns")
_FURNITURE = frozenset(
    str(parent) for directory in mounts.DIRECTORIES for parent in (PurePath(directory), *PurePath(directory).parents)
)
_PREVIEW = 200
_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFSOCK: "socket",
    stat.S_IFIFO: "fifo",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}


class File(NamedTuple):
    """A file below a watched directory. ``digest`` is of its content, ``preview`` its first characters.

    A file of the real machine that was deleted in the private layer has the kind ``deleted``.
    """

    path: str
    kind: str
    mode: int
    size: int
    digest: str
    preview: str


def watched() -> tuple[File, ...]:
    """All files of the private layers: /run, and what was written below /etc, /var, /usr, /opt and /srv."""
    layers = [(layer, directory) for directory in mounts.COVERED if (layer := mounts.layer(directory))]
    roots = [("/run", "/run"), *layers, *((place, place) for place in _PRIVATE if os.path.ismount(place))]
    found = [file for root, shown in roots for file in _walk(root, shown)]
    found += [file for directory in _AROUND for file in _added(directory)]
    return tuple(sorted(found))


def _added(directory: str) -> Iterator[File]:
    """What was written into a directory that had to be rebuilt around a private one. Its entries of before are
    bound in: what is changed below them lies in the layer."""
    before = mounts.entries_before(directory)
    if before is not None:
        yield from _walk(directory, directory, before.union(_PRIVATE, _AROUND))


def _walk(root: str, shown: str, without: Collection[str] = ()) -> Iterator[File]:
    try:
        entries = list(os.scandir(root))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        path = f"{shown}/{entry.name}"
        if path in _HIDDEN or path in without:
            continue
        if path not in _FURNITURE:
            try:
                yield _file(entry.path, path)
            except FileNotFoundError:
                continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, path)


def _file(where: str, path: str) -> File:
    status = os.lstat(where)
    kind = _KINDS.get(stat.S_IFMT(status.st_mode), "other")
    if kind == "device" and status.st_rdev == 0:
        kind = "deleted"
    content = b""
    if kind == "file":
        with open(where, "rb") as file:
            content = file.read()
    elif kind == "symlink":
        content = os.readlink(where).encode()
    digest = hashlib.blake2s(content, digest_size=8).hexdigest() if content else ""
    size = 0 if kind == "directory" else status.st_size
    return File(path, kind, stat.S_IMODE(status.st_mode), size, digest, _preview(content))


def _preview(content: bytes) -> str:
    """The first characters on one line."""
    return content[:_PREVIEW].decode(errors="replace").replace("\r", "").strip().replace("\n", "|")
