"""Which plugins there are: by name those that files are shipped of, and whether one is in a search path."""

from __future__ import annotations

import os
from collections.abc import Sequence

from cnitest.typos import meant


def find(name: str, path: Sequence[str]) -> str:
    """The file of a plugin: in the first directory of the search path that has it; empty where none has."""
    candidates = (os.path.join(directory, name) for directory in path)
    return next((file for file in candidates if os.path.isfile(file)), "")


def absent(name: str, path: Sequence[str]) -> str:
    """Why a plugin is not there, in one line; empty when it is."""
    return "" if find(name, path) else f"no plugin {name!r} in {':'.join(path)}"


def misspelt(name: str, path: Sequence[str]) -> str | None:
    """The plugin that was meant where ``name`` is not there and looks like a misspelling of one; else None."""
    from cnitest.plugins import files

    if name in files.names() or not absent(name, path):
        return None
    there = {file for directory in path if os.path.isdir(directory) for file in os.listdir(directory)}
    return meant(name, {*files.names(), *there})
