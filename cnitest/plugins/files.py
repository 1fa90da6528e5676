"""Finds and reads what is known of a plugin: in the shipped files, or in one that a profile names."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from cnitest import paths
from cnitest.errors import ConfigError
from cnitest.plugins.knowledge import Plugin, problems
from cnitest.topology.compose import UnreadableError, line_of, lines_of, read
from cnitest.topology.decode import Decoder

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
    path = Path(file)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: is not UTF-8: {error.reason} at byte {error.start}") from error
    except OSError as error:
        advice = paths.advice(path) if isinstance(error, FileNotFoundError | NotADirectoryError) else ""
        raise ConfigError(f"{file}: cannot be read: {error.strerror}{advice}") from error
    return _loads(text, file)


def _loads(text: str, file: str) -> Plugin:
    decoder = Decoder()
    try:
        plugin: Plugin = read(decoder, text, Plugin, _EMPTY)
    except UnreadableError as fault:
        raise ConfigError(line_of(file, fault.place, str(fault))) from None
    found = [*decoder.problems, *((decoder.place(each.path), each) for each in problems(plugin))]
    if found:
        raise ConfigError("\n".join(lines_of(file, found)))
    return replace(plugin, name=plugin.name or Path(file).stem)
