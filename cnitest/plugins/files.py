"""Finds and reads what is known of a plugin: in the shipped files, or in one that a profile names."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from cnitest.plugins.knowledge import Plugin, problems
from cnitest.topology import documents

_HERE = Path(__file__).parent
_EMPTY = "what is known of a plugin needs at least 'family'"


@cache
def names() -> tuple[str, ...]:
    """The plugins that files are shipped of: those of containernetworking/plugins, and flannel."""
    return tuple(sorted(file.stem for file in _HERE.glob("*.yaml")))


def find(name: str, handed: str = "") -> Plugin | None:
    """What is known of a plugin: by the file ``handed`` in where that is about it, else by a shipped one; or None.

    Raises ConfigError for a malformed file.
    """
    if handed and (own := load(handed)).name == name:
        return own
    return load(str(_HERE / f"{name}.yaml")) if name in names() else None


def known(name: str, handed: str = "") -> Plugin:
    """The same, and a plugin of which nothing is known where that is so."""
    return find(name, handed) or Plugin(name=name, family="interface")


def every() -> tuple[Plugin, ...]:
    """All that files are shipped of, by name."""
    return tuple(known(name) for name in names())


@cache
def load(file: str) -> Plugin:
    """What a file knows of the plugin that it names, or is named for.

    Raises ConfigError with every fault, one a line: ``FILE:LINE:COLUMN: PATH: what is wrong. Did you mean …?``.
    """
    plugin: Plugin = documents.table(Path(file), Plugin, _EMPTY, problems)
    return replace(plugin, name=plugin.name or Path(file).stem)
