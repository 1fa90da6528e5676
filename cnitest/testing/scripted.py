"""A plugin whose behaviour is data: install it, program it, let a runtime call it, ask it what it saw."""

from __future__ import annotations

import json
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

    @classmethod
    def install(cls, directory: Path, name: str, script: Mapping[str, Any] | None = None) -> ScriptedPlugin:
        """Write the plugin, with no script a well-behaved one that does nothing. Raises ConfigError.

        ``directory`` is made when it is not there; a plugin of that name is replaced and its record emptied.
        """
        if not name or "/" in name or name.startswith("."):
            raise ConfigError(f"{name!r} cannot be a plugin's name: it must be that of a file in CNI_PATH")
        plugin = cls(Path(directory).absolute(), name)
        document = _document(script or {})
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
        install.replace_file(self._home / "script.json", _document(script))

    def records(self) -> tuple[Record, ...]:
        """Every call so far, in the order they came; one that has not ended has no exit code."""
        return records.read(self._home / "records.jsonl")

    def forget(self) -> None:
        """Empty the record."""
        records.empty(self._home / "records.jsonl")


def _document(script: Mapping[str, Any]) -> bytes:
    """The data file; a new edition begins its lists of replies anew."""
    document = {"edition": uuid.uuid4().hex, "versions": spec.VERSIONS, "replies": normalised(script)}
    return json.dumps(document).encode()
