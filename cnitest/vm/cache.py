"""Where prepared kernels are kept: one directory, which a person can name, look into and clear."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cnitest import paths
from cnitest.errors import GuestError

#: The variable that names the directory.
VARIABLE = "CNITEST_VM_CACHE"
#: What a directory of ours has in it, so that nothing else is ever cleared.
_MARK, _MARK_TEXT = "CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n# Kernels that cnitest prepared.\n"
_UNFINISHED = ".unfinished-"


def directory(named: str | os.PathLike[str] | None = None) -> Path:
    """The cache: what was ``named``, else the variable's, else ``cnitest/vm`` below the user's own (XDG)."""
    given = named or os.environ.get(VARIABLE)
    return Path(paths.absolute(given) if given else paths.cache("vm"))


@contextmanager
def opened(cache: Path) -> Iterator[Path]:
    """The cache, made when it is not there, to be changed by us alone meanwhile.

    What someone who was killed left unfinished is removed. Raises GuestError where it cannot be written.
    """
    try:
        cache.mkdir(parents=True, exist_ok=True)
        (cache / _MARK).write_text(_MARK_TEXT)
        lock = os.open(cache, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise unwritable(cache, error) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in cache.rglob(f"{_UNFINISHED}*"):
            shutil.rmtree(left, ignore_errors=True)
        yield cache
    finally:
        os.close(lock)


def made(place: Path, make: Callable[[Path], object]) -> Path:
    """A directory of the cache, whole: ``make`` fills an empty one, which then gets its name.

    Raises GuestError where the disk is full or the cache cannot be written.
    """
    if place.is_dir():
        return place
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=place.parent))
    except OSError as error:
        raise unwritable(place, error) from None
    try:
        make(unfinished)
        unfinished.chmod(0o755)
        unfinished.rename(place)
    except OSError as error:
        raise unwritable(place, error) from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return place


def note(file: Path, text: str) -> None:
    """Write a small file of the cache, whole. Raises GuestError where that cannot be."""
    try:
        paths.write(file, text)
    except OSError as error:
        raise unwritable(file, error) from None


def directory_in(place: Path) -> None:
    """Make a directory of the cache where there is none. Raises GuestError where that cannot be."""
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(place, error) from None


def unwritable(path: Path, error: OSError) -> GuestError:
    """What to say when the cache cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return GuestError(f"the disk of {path} is full: make room, or name another cache ({VARIABLE})")
    return GuestError(f"{error.filename or path} cannot be used as a cache of kernels ({error.strerror or error})")


def clear(cache: Path) -> int:
    """Remove everything that was prepared; the bytes that got free. Raises GuestError for a directory not ours."""
    if not cache.exists():
        return 0
    if not (cache / _MARK).is_file() or (cache / _MARK).read_text() != _MARK_TEXT:
        raise GuestError(f"{cache} is no cache of ours: it has no {_MARK} that cnitest wrote; nothing was removed")
    with opened(cache):
        size = sum(_size(path) for path in cache.rglob("*"))
        for path in cache.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        with suppress(OSError):
            cache.rmdir()
    return size


def _size(path: Path) -> int:
    return 0 if path.is_dir() else path.lstat().st_size
