"""The directory of a run's artifacts: a folder for each failure, whole or not there, within bounds, and an index."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnitest import text
from cnitest.errors import ConfigError
from cnitest.report.ci.failures import short

#: The form of index.json.
FORMAT = "cnitest-artifacts/1"
#: The most folders, and the most bytes of all of them.
MOST_FOLDERS, MOST_BYTES = 50, 20_000_000
INDEX, READABLE, _NEW = "index.json", "INDEX.md", ".writing"
_LONGEST = 90
_EXECUTABLE = 0o755


def check(option: str, path: str) -> None:
    """Raise ConfigError where a directory cannot take a run's artifacts, by the ``option`` that was typed."""
    where = Path(path)
    strange = sorted(_shown(where)) if _index(where) is None else []
    if strange:
        raise ConfigError(
            f"{option}: {path} is not empty, and no run of ours filled it: it has {', '.join(strange[:3])}"
            f"{', …' if len(strange) > 3 else ''}; name a directory that is empty, or is not there yet"
        )


def _shown(where: Path) -> list[str]:
    """The names in a directory that are no dotfiles; none where there is no directory, or it cannot be read."""
    try:
        return [entry.name for entry in where.iterdir() if not entry.name.startswith(".")]
    except OSError:
        return []


def _index(where: Path) -> dict[str, Any] | None:
    """What the index of a former run says; None where there is none."""
    try:
        found = json.loads((where / INDEX).read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("format") == FORMAT else None


def name_of(test: str) -> str:
    """A folder's name for a test, and no other: its node ID, without directories, in letters that every file system and
    uploader takes."""
    plain = re.sub(r"[^A-Za-z0-9.-]+", "_", short(test)).strip("._-")[:_LONGEST].strip("._-")
    return f"{plain or 'test'}-{hashlib.sha256(test.encode(errors='surrogateescape')).hexdigest()[:8]}"


class Folders:
    """The directory while a run fills it. What a former run left there is removed; only one run fills it at a time.

    Raises ConfigError where that cannot be, by the ``option`` that was typed.
    """

    def __init__(self, path: str, option: str) -> None:
        self.path = Path(path)
        self.count = self.bytes = 0
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._clear()
            self.write_index({}, "")
        except BlockingIOError:
            raise ConfigError(f"{option}: another run is filling {path}; name a directory for each run") from None
        except OSError as error:
            raise ConfigError(f"{option}: {path} cannot be written: {error.strerror or error}") from None

    def _clear(self) -> None:
        """Remove what a former run left: of what is in this directory, the folders that its index names."""
        former = _index(self.path) or {}
        names = {_NEW, *(str(row.get("folder", "")) for row in former.get("failures", ()))}
        with os.scandir(self.path) as entries:
            folders = [entry for entry in entries if entry.name in names and entry.is_dir(follow_symlinks=False)]
        for folder in folders:
            shutil.rmtree(folder.path, ignore_errors=True)
        for name in (INDEX, READABLE):
            with contextlib.suppress(FileNotFoundError):
                (self.path / name).unlink()

    def add(self, test: str, files: Mapping[str, bytes]) -> tuple[str, str]:
        """Write a folder for a test; its name, or why there is none: one of both is empty."""
        size = sum(map(len, files.values()))
        if self.count >= MOST_FOLDERS:
            return "", f"there are {MOST_FOLDERS} folders already"
        if self.bytes + size > MOST_BYTES:
            return "", f"its {size} bytes are too many: all folders together have at most {MOST_BYTES}"
        try:
            name = self._write(test, files)
        except OSError as error:
            shutil.rmtree(self.path / _NEW, ignore_errors=True)
            return "", error.strerror or str(error)
        self.count, self.bytes = self.count + 1, self.bytes + size
        return name, ""

    def _write(self, test: str, files: Mapping[str, bytes]) -> str:
        fresh = self.path / _NEW
        fresh.mkdir()
        for name, content in files.items():
            (fresh / name).write_bytes(content)
            if name.endswith(".sh"):
                (fresh / name).chmod(_EXECUTABLE)
        wanted = name_of(test)
        name = next(one for one in (wanted, *(f"{wanted}-{n}" for n in range(2, 99))) if not (self.path / one).exists())
        fresh.rename(self.path / name)
        return name

    def write_index(self, index: Mapping[str, Any], readable: str) -> None:
        """Write the index for programs and, where there is one, that for people. Raises OSError."""
        self._replace(INDEX, json.dumps({"format": FORMAT, **index}, indent=1) + "\n")
        if readable:
            self._replace(READABLE, readable)

    def _replace(self, name: str, content: str) -> None:
        fresh = self.path / f".{name}"
        try:
            fresh.write_text(content, encoding="utf-8", errors="backslashreplace")
            fresh.replace(self.path / name)
        except OSError:
            with contextlib.suppress(OSError):
                fresh.unlink()
            raise

    def close(self) -> None:
        """Let another run fill it."""
        with contextlib.suppress(OSError):
            os.close(self._handle)


def encoded(content: str) -> bytes:
    """A text as a file has it: what nobody may print is shown as Python writes it."""
    return text.lines(content, most=1 << 20).encode(errors="backslashreplace")
