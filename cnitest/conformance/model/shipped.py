"""What is shipped for plugins that are well known: their profiles, and plugins of our own that stand before others."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path


def helpers() -> tuple[str, ...]:
    """The directories of our own plugins, for what needs one before it and finds none."""
    return tuple(f"{directory}/honest" for directory in _fixtures())


def profiles() -> dict[str, Path]:
    """The shipped profiles by name."""
    files = (file for directory in _fixtures() for file in Path(directory, "plugins").glob("*.yaml"))
    return {file.stem: file for file in sorted(files)}


def is_profile(file: str) -> bool:
    """Whether a file is a shipped profile, by whatever path."""
    return os.path.realpath(file) in {os.path.realpath(profile) for profile in profiles().values()}


def _fixtures() -> list[str]:
    """Where what is shipped for tests lies."""
    found = importlib.util.find_spec("cnitest.fixtures")
    return list(found.submodule_search_locations or ()) if found else []


def plugin_meant(word: str) -> str:
    """The plugin with a shipped profile that was named where a file was asked for; empty where there is such a file."""
    name = word.removesuffix(".exe")
    return name if name in profiles() and not os.path.exists(word) else ""
