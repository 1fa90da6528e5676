"""A plugin whose behaviour is data: install it, program it, let a runtime call it, ask it what it saw."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnitest.cni import spec
from cnitest.errors import ConfigError, is_ours
from cnitest.testing import install, records
from cnitest.testing.records import Record
from cnitest.testing.reply import normalised

__tracebackhide__ = is_ours


@dataclass(frozen=True)
class ScriptedPlugin:
    """A plugin called ``name`` in a directory that serves as CNI_PATH.

    Its script and its record are in ``.NAME/`` beside it. Hosts of a lab see the machine's /tmp and /home; of /etc,
    /opt, /srv, /usr and /var each has a copy of its own, in which a record would stay.
    """

    directory: Path
    name: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "directory", _directory(self.directory))
        if not isinstance(self.name, str) or not self.name or {"/", "\0"} & {*self.name} or self.name.startswith("."):
            raise ConfigError(f"{self.name!r} cannot be a plugin's name: it must be that of a file in CNI_PATH")

    @classmethod
    def install(cls, directory: Path, name: str, script: Mapping[str, Any] | None = None) -> ScriptedPlugin:
        """Write the plugin, with no script a well-behaved one that does nothing. Raises ConfigError.

        ``directory`` is made when it is not there; a plugin of that name is replaced and its record emptied.
        """
        plugin = cls(directory, name)
        document = _document({} if script is None else script)
        try:
            install.furnish(plugin._home, "scripted")
            install.replace_file(plugin._home / "script.json", document)
            plugin.forget()
            install.launch(plugin.path, f".{name}", "scripted", "home")
        except OSError as error:
            raise ConfigError(f"{plugin.path}: the plugin cannot be written there: {error}") from error
        return plugin

    @property
    def path(self) -> Path:
        """The executable."""
        return self.directory / self.name

    @property
    def _home(self) -> Path:
        return self.directory / f".{self.name}"

    def program(self, script: Mapping[str, Any]) -> None:
        """Replace the script, for the calls that begin from now on. Raises ConfigError with every fault of it."""
        self._must_be_there()
        install.replace_file(self._home / "script.json", _document(script))

    def records(self) -> tuple[Record, ...]:
        """Every call so far, in the order they came; one that has not ended has no exit code."""
        self._must_be_there()
        return records.read(self._home / "records.jsonl")

    def forget(self) -> None:
        """Empty the record."""
        self._must_be_there()
        records.empty(self._home / "records.jsonl")

    def _must_be_there(self) -> None:
        if not self._home.is_dir():
            where = f"{str(self.directory)!r}, {self.name!r}"
            raise ConfigError(f"{self.path}: no plugin was installed there: write ScriptedPlugin.install({where})")


def _directory(given: Any) -> Path:
    """A directory, absolute."""
    if not isinstance(given, str | os.PathLike) or not str(given):
        raise ConfigError(f"directory is the path of a directory that serves as CNI_PATH, not {given!r}")
    return Path(given).absolute()


def _document(script: Mapping[str, Any]) -> bytes:
    """The data file; a new edition begins its lists of replies anew."""
    document = {"edition": uuid.uuid4().hex, "versions": spec.VERSIONS, "replies": normalised(script)}
    return json.dumps(document).encode()
