"""pytest's temporary directory for a user whom no variable names: in a user namespace it would be called after root."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from itertools import count
from pathlib import Path

_KEPT = 3
_PREFIX = "pytest-"


def _outside() -> int:
    """Who this process is outside of its user namespace (user_namespaces(7), uid_map)."""
    user = os.getuid()
    for line in Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines():
        first, outside, length = map(int, line.split())
        if first <= user < first + length:
            return outside + user - first
    return user


def directory() -> str:
    """A new directory for one run, as pytest would name it; of earlier ones the last stay, and those that are in use.

    Raises OSError.
    """
    root = Path(tempfile.gettempdir(), f"pytest-of-{_outside()}")
    root.mkdir(mode=0o700, exist_ok=True)
    if root.lstat().st_uid != os.getuid():  # somebody else's, who could lead us anywhere
        root = Path(tempfile.mkdtemp(prefix=f"{root.name}-"))
    before = _numbers(root)
    made = _make(root, max(before, default=-1) + 1)
    _hold(made)
    for number in sorted(before)[: 1 - _KEPT]:
        _remove(root / f"{_PREFIX}{number}")
    return str(made / "tests")  # pytest empties what it is given


def _numbers(root: Path) -> set[int]:
    names = (path.name.removeprefix(_PREFIX) for path in root.iterdir() if path.name.startswith(_PREFIX))
    return {int(name) for name in names if name.isdecimal()}


def _make(root: Path, first: int) -> Path:
    for number in count(first):
        try:
            (root / f"{_PREFIX}{number}").mkdir(mode=0o700)
        except FileExistsError:  # of a run that began just now
            continue
        return root / f"{_PREFIX}{number}"
    raise AssertionError  # numbers do not end


def _hold(made: Path) -> None:
    """Keep others from removing it, until this process ends."""
    fcntl.flock(os.open(made, os.O_RDONLY | os.O_DIRECTORY), fcntl.LOCK_SH)


def _remove(old: Path) -> None:
    try:
        fd = os.open(old, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(old, ignore_errors=True)
    except BlockingIOError:  # in use
        pass
    finally:
        os.close(fd)
