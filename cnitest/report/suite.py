"""Whether a run of pytest was asked for the conformance suite: by its path, or by its module with --pyargs."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable
from pathlib import Path

SUITE = "cnitest.suites.conformance"


def is_named(arguments: Iterable[str], base: Path, *, modules: bool = False) -> bool:
    """Whether one of pytest's arguments is the conformance suite or lies in it, seen from ``base``; with ``modules`` an
    argument may be a dotted name. One that merely resembles it is another's."""
    places = [argument.partition("::")[0] for argument in arguments]
    if modules and any(f"{place}.".startswith(f"{SUITE}.") for place in places):
        return True
    roots = _roots()
    return any(root in (path, *path.parents) for place in places if (path := _real(base / place)) for root in roots)


def _roots() -> list[Path]:
    found = importlib.util.find_spec(SUITE)
    return [_real(Path(root)) for root in (found.submodule_search_locations if found else None) or ()]


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def directory() -> str:
    """Where the shipped suites are; the working directory where there are none."""
    found = importlib.util.find_spec("cnitest.suites")
    return next(iter(found.submodule_search_locations or ())) if found else os.getcwd()
