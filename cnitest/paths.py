"""Paths as a person types them: resolved from where they stand, and reported clearly when nothing is there."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import select
import stat
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from cnitest.errors import ConfigError
from cnitest.typos import files_like, nearest

_MOST_SHOWN = 8
_MOST_BYTES = 1 << 20
_PIPE_MS = 3000
_TOO_LARGE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
#: What files that are no UTF-8 begin with, and what to do with such a file.
_BEGINNINGS = {
    b"\x1f\x8b": "compressed by gzip: unpack it first (gunzip)",
    b"BZh": "compressed by bzip2: unpack it first (bunzip2)",
    b"\xfd7zXZ": "compressed by xz: unpack it first (unxz)",
    b"\x28\xb5\x2f\xfd": "compressed by zstd: unpack it first (unzstd)",
    b"PK\x03\x04": "an archive of zip: unpack it first (unzip)",
    b"\x7fELF": "a program",
    b"\xff\xfe": "UTF-16; save it as UTF-8",
    b"\xfe\xff": "UTF-16; save it as UTF-8",
}
#: Bytes that are written to see whether there is space.
_TRIED = 1 << 14


def absolute(text: str | os.PathLike[str], base: str | os.PathLike[str] = "") -> str:
    """The absolute path of what was typed in ``base`` (default: the working directory); ``~`` is a home directory.

    ``a/..`` is a's parent even where ``a`` is a symbolic link, as the kernel has it.
    """
    joined = os.path.join(os.path.abspath(base), os.path.expanduser(text))
    plain = os.path.normpath(joined)
    return plain if os.path.realpath(plain) == os.path.realpath(joined) else os.path.realpath(joined)


def read(path: str | os.PathLike[str], most: int = _MOST_BYTES) -> bytes:
    """What is in a file that a person named. Raises OSError, for more than ``most`` bytes, too, and for a pipe into
    which nobody writes."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            _await_writer(descriptor, path)
            os.set_blocking(descriptor, True)
        found = file.read(most + 1)
    if len(found) > most:
        raise OSError(errno.EFBIG, f"it has more than {most >> 20} MiB", path)
    return found


def write(path: str | os.PathLike[str], text: str) -> None:
    """Write a file as a whole: where the disk is full, what was there stays. Raises OSError."""
    target = os.path.realpath(path)
    fresh = f"{target}.{os.getpid()}.new"
    if os.fspath(path).startswith(("/dev/", "/proc/")) or (os.path.exists(target) and not os.path.isfile(target)):
        return _write(target, text)
    try:
        _write(fresh, text)
        if os.path.exists(target):
            os.chmod(fresh, stat.S_IMODE(os.stat(target).st_mode))
        os.replace(fresh, target)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(fresh)
        if error.errno in _TOO_LARGE:
            raise
        _write(target, text)  # one that may be written in a directory that may not, or that is mounted by itself


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)


def place_of(error: UnicodeDecodeError) -> str:
    """``LINE:COLUMN`` of the first byte that is not UTF-8."""
    before = error.object[: error.start]
    line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
    return f"{line}:{column}"


def no_text(error: UnicodeDecodeError) -> str:
    """Why a file is not UTF-8, and what to do: it is an archive, a program, or text in another form."""
    raw = bytes(error.object)
    known = next((words for start, words in _BEGINNINGS.items() if raw.startswith(start)), "")
    return f"the file is {known}" if known else f"byte 0x{raw[error.start]:02x} is not UTF-8; save the file as UTF-8"


def _await_writer(descriptor: int, path: str | os.PathLike[str]) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if not poll.poll(_PIPE_MS):
        raise OSError(errno.ETIMEDOUT, "it is a pipe into which nobody writes", path)


def cache(name: str) -> str:
    """A directory of ours in the user's cache (XDG), whether it is there or not."""
    return os.path.join(absolute(os.environ.get("XDG_CACHE_HOME") or "~/.cache"), "cnitest", name)


def near(path: str | os.PathLike[str]) -> str:
    """An absolute path as one would type it in the working directory; what lies elsewhere stays as it is."""
    beside = os.path.relpath(path)
    return os.fspath(path) if beside.startswith("..") else beside


def relative(words: str) -> str:
    """Words with each path below the working directory as one would type it there."""
    try:
        here = os.getcwd()
    except OSError:
        return words
    return words if here == os.sep else re.sub(rf"(?<![\w./~-]){re.escape(here)}/(?=[^\s/])", "", words)


def directories(
    option: str, entries: Sequence[str], base: str | os.PathLike[str] = "", *, there: bool = True
) -> tuple[str, ...]:
    """The directories of a search path: each entry may hold several, separated by colons.

    Raises ConfigError for a name with a colon, which no search path can hold, and when not one is ``there``; of several
    `lacking` names those that are not.
    """
    found = tuple(part for entry in entries for part in _parts(option, entry, base))
    if not found:
        raise ConfigError(f"{option} is empty: name directories with plugins, separated by colons, or leave it out")
    if there and not any(map(os.path.isdir, found)):
        raise ConfigError(next(lacking(option, entries, base)))
    return found


def lacking(option: str, entries: Sequence[str], base: str | os.PathLike[str] = "") -> Iterator[str]:
    """What to say of each directory of a search path that is not there."""
    for part in (part for entry in entries for part in entry.split(":") if part):
        path = absolute(part, base)
        if not os.path.isdir(path):
            yield f"{option} {part!r}: {_no_directory(path)}"


def _parts(option: str, entry: str, base: str | os.PathLike[str]) -> Iterator[str]:
    parts = [part for part in entry.split(":") if part]
    whole = len(parts) > 1 and not all(os.path.isdir(absolute(part, base)) for part in parts)
    if whole and os.path.isdir(absolute(entry, base)):
        raise ConfigError(
            f"{option} {entry!r}: the directory's name has a colon, which separates directories in CNI_PATH, so no "
            "plugin can be found there; rename it, or name a symbolic link to it"
        )
    yield from (absolute(part, base) for part in parts)


def _no_directory(path: str) -> str:
    if os.path.exists(path):
        return f"{path} is no directory; name the directory that it is in: {os.path.dirname(path)}"
    return f"there is no directory {path}{_mistyped(path) or advice(path, only_directories=True)}"


def _mistyped(path: str) -> str:
    """What is no part of a directory's name, likely: another separator than a colon, quotes, a shell's variable."""
    parts = [part for part in re.split(r"[,;]\s*|\s+", path) if part]
    if len(parts) > 1 and all(part.startswith("/") for part in parts):
        return f"; colons separate directories: {':'.join(parts)}"
    if any(quote in path for quote in "\"'"):
        return "; the quotes are a part of its name here: leave them out"
    if found := re.search(r"\$\{?\w+\}?", path):
        return f"; {found[0]} stands there as it is: a shell replaces it, but not between single quotes"
    return ""


def advice(path: str | os.PathLike[str], *, only_directories: bool = False) -> str:
    """What to write instead of a path that is not there: a similar name, else what there is; begins with ``; ``."""
    parent, name = os.path.split(os.path.abspath(path))
    if not os.path.isdir(parent):
        while not os.path.isdir(os.path.dirname(parent)):
            parent = os.path.dirname(parent)
        return f"; there is no directory {parent}{advice(parent, only_directories=True)}"
    there = _names(parent, only_directories)
    close = nearest(name, files_like(name, there))
    if close:
        return f"; did you mean {os.path.join(parent, close)!r}?"
    if not there:
        return f"; {parent} has {'no directories' if only_directories else 'nothing'} in it"
    return f"; {parent} has {', '.join(there[:_MOST_SHOWN])}{', …' if len(there) > _MOST_SHOWN else ''}"


def _names(directory: str, only_directories: bool) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            return sorted(
                entry.name
                for entry in entries
                if not entry.name.startswith(".") and (entry.is_dir() or not only_directories)
            )
    except OSError:
        return []


def file_to_write(option: str, text: str, base: str | os.PathLike[str] = "") -> str:
    """The absolute path of a file that will be written. Raises ConfigError where that cannot be."""
    path = absolute(text, base)
    parent = os.path.dirname(path)
    if os.path.isdir(path):
        raise ConfigError(f"{option} {text!r}: {path} is a directory; name a file in it")
    if not os.path.isdir(parent):
        raise ConfigError(f"{option} {text!r}: there is no such directory: {parent}{advice(parent)}")
    there = os.path.exists(path) and os.access(path, os.W_OK)
    if why := _refusal(parent, there=there):
        raise ConfigError(f"{option} {text!r}: {path} cannot be written: {why}")
    return path


class Used(NamedTuple):
    """A file that a run reads or writes: the option that names it, its path, and what files of its kind have in common,
    where one may be read and written again."""

    option: str
    path: str
    is_written: bool
    kind: str = ""


def apart(files: Sequence[Used]) -> None:
    """Raise ConfigError where something is written over what is read, or over what else is written."""
    for one, other in combinations(files, 2):
        same = os.path.realpath(one.path) == os.path.realpath(other.path)
        device = os.path.exists(one.path) and not os.path.isfile(one.path)
        if same and (one.is_written or other.is_written) and not device and not (one.kind and one.kind == other.kind):
            both = f"{one.option} and {other.option} name the same file"
            raise ConfigError(f"{both}, of which only one would be left: {one.path}")


def directory_to_fill(option: str, text: str, base: str | os.PathLike[str] = "") -> str:
    """The absolute path of a directory that is made when something is written. Raises ConfigError, as above."""
    path = absolute(text, base)
    there = next(place for place in (Path(path), *Path(path).parents) if os.path.lexists(place))
    if not there.is_dir():
        raise ConfigError(f"{option} {text!r}: {there} is no directory that can be written to: it is a file")
    if why := _refusal(there):
        raise ConfigError(f"{option} {text!r}: {there} is no directory that can be written to: {why}")
    return path


def _refusal(directory: str | os.PathLike[str], *, there: bool = False) -> str:
    """Why nothing can be written into a directory, or only into a file that is ``there``; empty where something can.

    It is tried, with a file that has no name.
    """
    import tempfile

    try:
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(bytes(_TRIED))
            file.flush()
    except PermissionError:
        return "" if there else "permission denied"
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return ""
