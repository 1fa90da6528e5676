"""Wrappers around the plugins of a real runtime, which record each call and change nothing about it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cnitest.errors import ConfigError
from cnitest.testing import install

_FOLDER = ".trace"
_LOG = ".trace.jsonl"
_LARGEST_WRAPPER = 4096


@dataclass(frozen=True)
class Traced:
    """What was wrapped: names in order, each with the path of the real plugin; and where calls are recorded."""

    plugins: Mapping[str, Path]
    log: Path


def trace(directory: Path, path: Sequence[str], log: Path | None = None) -> Traced:
    """Write a wrapper into ``directory`` for each plugin of a search path. Raises ConfigError.

    A second run renews the wrappers; a file there that is none is never replaced.
    """
    place = directory.absolute()
    file = log.absolute() if log else place / _LOG
    try:
        plugins = _plugins(place, path)
        install.furnish(place / _FOLDER, "shim")
        file.open("ab").close()
        for name, real in plugins.items():
            install.launch(place / name, _FOLDER, "shim", f"{str(real)!r}, {str(file)!r}")
    except OSError as error:
        raise ConfigError(f"cannot trace plugins into {place}: {error.filename}: {error.strerror}") from error
    return Traced(plugins, file)


def _plugins(place: Path, path: Sequence[str]) -> dict[str, Path]:
    """The plugins of a search path by name, the first of each name as a runtime finds it."""
    elsewhere = [Path(directory) for directory in path if not _same(Path(directory), place)]
    found: dict[str, Path] = {}
    for file in (file for directory in elsewhere if directory.is_dir() for file in directory.iterdir()):
        if file.is_file() and os.access(file, os.X_OK) and not file.name.startswith("."):
            found.setdefault(file.name, file.absolute())
    if not found:
        where = ":".join(map(str, elsewhere)) or f"a directory other than {place}"
        raise ConfigError(f"there are no plugins in {where}: name their directories with --cni-path")
    foreign = sorted(name for name in found if (place / name).exists() and not _is_wrapper(place / name))
    if foreign:
        raise ConfigError(f"{place} holds files that are no wrappers ({', '.join(foreign)}): give an empty directory")
    return dict(sorted(found.items()))


def _same(one: Path, other: Path) -> bool:
    return other.exists() and one.samefile(other)


def _is_wrapper(file: Path) -> bool:
    with file.open("rb") as content:
        return b"import shim" in content.read(_LARGEST_WRAPPER)
