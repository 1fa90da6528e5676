"""The files that something left in a host's private layers; to be called by the thread, inside the host."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Collection, Iterator
from pathlib import PurePath
from typing import NamedTuple

from cnitest.kernel import mounts

# Where the layers do not reach, these are mounts of their own.
_PRIVATE = ("/var/lib/cni", "/etc/cni", "/etc/cni/net.d", "/var/tmp", mounts.SHARED_MEMORY)
_AROUND = tuple(sorted({str(parent) for place in _PRIVATE for parent in PurePath(place).parents} - {"/"}))
_PREPARED = frozenset(
    str(parent) for directory in mounts.DIRECTORIES for parent in (PurePath(directory), *PurePath(directory).parents)
)
_PREVIEW = 200
# What is read of a file at most: a sparse one may be larger than all memory.
_MOST = 64 << 20
#: The mounts of a host that are the machine's, where what its programs write can be recorded.
MACHINES = ["/", "/tmp", "/home", "/root"]
# Where tests and plugins exchange files: the directories of pytest, and ours.
_EXCHANGED = re.compile(r"/(pytest-of-[^/]+|cnitest-[a-z0-9_]{8})/")
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
    """A file below a watched directory. ``digest`` is of its content, of the first 64 MiB of it where there
    is more, ``preview`` its first characters.

    A file of the real machine that was deleted in the private layer has the kind ``deleted``, the path of a
    namespace the kind ``namespace``.
    """

    path: str
    kind: str
    mode: int
    size: int
    digest: str
    preview: str


def watched(
    namespaces: int, hidden: Collection[str] = (), prepared: Collection[str] = frozenset(), own: Collection[str] = ()
) -> tuple[File, ...]:
    """All files of the private layers: /run, /dev/shm, what was written below /etc, /var, /usr, /opt and /srv, and in
    directories of the host's ``own`` elsewhere; less the ``hidden`` paths, and less the ``prepared`` ones alone, not
    what is in them. ``namespaces`` is the device of namespaces' files."""
    without = {mounts.LAYERS, *hidden}
    layers = [(layer, directory) for directory in mounts.COVERED if (layer := mounts.layer(directory))]
    roots = [("/run", "/run"), *layers, *((place, place) for place in (*_PRIVATE, *own) if os.path.ismount(place))]
    found = [each for root, shown in roots for each in _walk(root, shown, without)]
    found += [each for directory in _AROUND for each in _added(directory, without)]
    found = [(where, path) for where, path in found if path not in prepared]
    return tuple(sorted(file for where, path in found if (file := _file(where, path, namespaces))))


def elsewhere(paths: Collection[str], namespaces: int) -> tuple[File, ...]:
    """Those of the files that are there and are no exchange between tests and plugins."""
    wanted = [path for path in paths if not _EXCHANGED.search(path)]
    return tuple(sorted(file for path in wanted if (file := _file(path, path, namespaces))))


def _added(directory: str, without: Collection[str]) -> Iterator[tuple[str, str]]:
    """As `_walk`: what was written into a directory that had to be rebuilt around a private one. Its entries of before
    are bound in: what is changed below them lies in the layer."""
    before = mounts.entries_before(directory)
    if before is not None:
        yield from _walk(directory, directory, before.union(_PRIVATE, _AROUND, without))


def _walk(root: str, shown: str, without: Collection[str]) -> Iterator[tuple[str, str]]:
    """All below a directory: where it is now, and the path that it is shown as."""
    try:
        entries = list(os.scandir(root))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        path = f"{shown}/{entry.name}"
        if path in without:
            continue
        if path not in _PREPARED:
            yield entry.path, path
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, path, without)


def _file(where: str, path: str, namespaces: int) -> File | None:
    """A file; None where it has gone meanwhile."""
    try:
        status = os.lstat(where)
        kind = "namespace" if status.st_dev == namespaces else _KINDS.get(stat.S_IFMT(status.st_mode), "other")
        if kind == "device" and status.st_rdev == 0:
            kind = "deleted"
        content = _content(where, kind)
    except FileNotFoundError:
        return None
    digest = hashlib.blake2s(content, digest_size=8).hexdigest() if content else ""
    size = 0 if kind == "directory" else status.st_size
    return File(path, kind, stat.S_IMODE(status.st_mode), size, digest, _preview(content))


def _content(where: str, kind: str) -> bytes:
    if kind == "symlink":
        return os.readlink(os.fsencode(where))
    if kind != "file":
        return b""
    with open(where, "rb") as file:
        return file.read(_MOST)


def _preview(content: bytes) -> str:
    """The first characters on one line."""
    return content[:_PREVIEW].decode(errors="replace").replace("\r", "").strip().replace("\n", "|")
