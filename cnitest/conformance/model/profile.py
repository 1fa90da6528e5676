"""A plugin's own profile, ``cnitest.yaml``: how it wants to be called, where, and what to expect of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnitest import paths
from cnitest.cni import conf
from cnitest.cni.conf import Network
from cnitest.conformance.model import data, requirement
from cnitest.conformance.model.requirement import Kind
from cnitest.conformance.model.subject import Argv, Expectation, Setting
from cnitest.errors import CnitestError, ConfigError
from cnitest.kernel import features
from cnitest.kernel.processes import programs
from cnitest.plugins import files
from cnitest.typos import did_you_mean, meant

#: What a profile beside a plugin or a configuration is called.
NAME = "cnitest.yaml"
_KEYS = {
    "name": "what the plugin is called in reports",
    "about": "a sentence for people",
    "conf": "a file, or a configuration",
    "path": "directories with plugins to search before all others",
    "plugin": "the plugin that it is about, where the configuration lists several",
    "kind": "interface, meta or ipam",
    "versions": "versions to test it in, of those that it speaks",
    "topology": "a topology's name or file",
    "host": "the host of the topology that the plugin runs on",
    "ifname": "the interface name to ask for",
    "capabilities": "capability arguments to pass",
    "args": "CNI_ARGS",
    "environment": "more variables",
    "mounts": "directories of the machine to be seen on the host: PLACE: SOURCE",
    "host_setup": "commands to run on the host first",
    "container_setup": "commands to run on the host for each container",
    "daemon": "{command: […], socket: PATH}, started first",
    "leftover": "patterns of what may stay after DEL",
    "second": "a configuration of another network",
    "expect": "{gateway, peer, internet, inbound, neighbours}: whether packets flow",
    "requires": "features of the kernel and programs that must be there",
    "skip": "ID: REASON",
    "knowledge": "the file of what is known of the plugin: its keys, what it makes, what it needs",
    "schema": "a JSON Schema of its configurations, or the file of one, for fuzzing",
}
_EXPECTATIONS = ("gateway", "peer", "internet", "inbound", "neighbours")


@dataclass(frozen=True)
class Profile:
    """What a profile file says. ``requires`` are features of the kernel and programs, ``path`` places of plugins."""

    source: Path
    network: Network | None
    setting: Setting
    name: str = ""
    plugin: str = ""
    kind: Kind | None = None
    requires: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    about: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


def load(path: Path) -> Profile:
    """Read a profile. Raises ConfigError that names the file, the line and every fault."""
    value = data.load(path)
    if not isinstance(value, Mapping):
        raise ConfigError(f"{path}:1: a profile is a mapping with the keys {', '.join(_KEYS)}")
    reader = _Reader(path, value)
    profile = reader.profile()
    if reader.faults:
        raise ConfigError("\n".join(reader.faults))
    return profile


class _Reader:
    """Reads the keys of one profile and collects what is wrong with them."""

    def __init__(self, path: Path, value: Mapping[Any, Any]) -> None:
        self.faults: list[str] = []
        self._path = path
        self._value = value
        self._lines = {str(key): getattr(key, "line", 1) for key in value}

    def profile(self) -> Profile:
        for key in self._value:
            if key not in _KEYS:
                self._fault(key, f"there is no such key{did_you_mean(key, _KEYS, clause=True)}")
        kind = self._text("kind")
        if kind and kind not in [known.value for known in Kind]:
            self._fault("kind", f"{kind!r} is none of {', '.join(known.value for known in Kind)}")
            kind = ""
        return Profile(
            source=self._path,
            network=self._network(),
            setting=self._setting(),
            name=self._text("name"),
            plugin=self._text("plugin"),
            kind=Kind(kind) if kind else None,
            requires=self._requires(),
            path=self._directories(),
            versions=tuple(self._list("versions")),
            about=self._text("about"),
        )

    def _requires(self) -> tuple[str, ...]:
        """Features and programs; a name that is a misspelt one would leave the plugin out for good."""
        names = tuple(self._list("requires"))
        for name in names:
            if name in features.names() or programs.find(name):
                continue
            close = meant(name, features.names()) or programs.misspelt(name)
            if close:
                self._fault("requires", f"there is no feature or program {name!r}; did you mean {close!r}?")
        return names

    def _setting(self) -> Setting:
        daemon = self._mapping("daemon")
        plain = Setting()
        return Setting(
            topology=self._topology() or plain.topology,
            host=self._text("host") or plain.host,
            ifname=self._text("ifname") or plain.ifname,
            capabilities=self._mapping("capabilities"),
            args={key: str(value) for key, value in self._mapping("args").items()},
            environment={key: str(value) for key, value in self._mapping("environment").items()},
            host_setup=(*self._mounts(), *self._commands("host_setup")),
            container_setup=self._commands("container_setup"),
            daemon=tuple(map(str, daemon.get("command") or ())),
            socket=str(daemon.get("socket") or ""),
            leftover=tuple(self._list("leftover")),
            second=self._mapping("second") or None,
            expect=self._expectation(),
            skip=self._skipped(),
            schema=self._schema(),
            knowledge=self._knowledge(),
        )

    def _knowledge(self) -> str:
        """The file, read once for its faults."""
        given = self._text("knowledge")
        file = str(self._beside(given)) if given else ""
        if file:
            try:
                files.load(file)
            except ConfigError as error:
                self.faults += str(error).splitlines()
        return file

    def _schema(self) -> dict[str, Any]:
        given = self._value.get("schema")
        if not isinstance(given, str):
            return self._mapping("schema")
        try:
            found = json.loads(self._beside(given).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            self._fault("schema", f"{given}: {error}")
            return {}
        return found if isinstance(found, dict) else {}

    def _fault(self, key: object, words: str) -> None:
        self.faults.append(f"{self._path}:{self._lines.get(str(key), 1)}: {key}: {words}")

    def _get(self, key: str, kind: type, empty: Callable[[], Any], words: str) -> Any:
        value = self._value.get(key)
        if value is None:
            return empty()
        if not isinstance(value, kind):
            self._fault(key, f"must be {words} ({_KEYS[key]})")
            return empty()
        return value

    def _text(self, key: str) -> str:
        return str(self._get(key, str, str, "text"))

    def _mapping(self, key: str) -> dict[str, Any]:
        return {str(name): value for name, value in self._get(key, dict, dict, "a mapping").items()}

    def _list(self, key: str) -> list[str]:
        return [str(item) for item in self._get(key, list, list, "a list")]

    def _commands(self, key: str) -> tuple[Argv, ...]:
        found = []
        for item in self._get(key, list, list, "a list of commands"):
            if not isinstance(item, (list, str)) or not item:
                self._fault(key, f"{item!r} is no command: a list of words, or words in one text")
                continue
            found.append(tuple(item.split()) if isinstance(item, str) else tuple(map(str, item)))
        return tuple(found)

    def _mounts(self) -> tuple[Argv, ...]:
        found: list[Argv] = []
        for place, source in self._mapping("mounts").items():
            found += [("mkdir", "-p", place), ("mount", "--bind", str(self._beside(str(source))), place)]
        return tuple(found)

    def _beside(self, name: str) -> Path:
        """A path of the profile, which counts from its own directory."""
        return Path(paths.absolute(name, self._path.parent))

    def _directories(self) -> tuple[str, ...]:
        """The directories with plugins, given as a list, or as in CNI_PATH."""
        given = self._value.get("path")
        entries = [given] if isinstance(given, str) else self._list("path")
        try:
            return paths.directories("path", entries, self._path.parent) if entries else ()
        except ConfigError as error:
            self._fault("path", str(error).removeprefix("path "))
            return ()

    def _topology(self) -> str:
        name = self._text("topology")
        return str(self._beside(name)) if name and self._beside(name).is_file() else name

    def _network(self) -> Network | None:
        given = self._value.get("conf")
        try:
            if isinstance(given, str):
                return conf.network(self._beside(given))
            if isinstance(given, dict):
                return conf.network(json.loads(json.dumps(given)))
        except CnitestError as error:
            self._fault("conf", str(error).replace("a dictionary: ", ""))
            return None
        if given is not None:
            self._fault("conf", f"must be {_KEYS['conf']}")
        return None

    def _expectation(self) -> Expectation:
        found = self._mapping("expect")
        for key, value in found.items():
            if key not in _EXPECTATIONS or not isinstance(value, bool):
                self._fault("expect", f"{key}: {value!r} is not one of {', '.join(_EXPECTATIONS)}, true or false")
        return Expectation(**{key: value for key, value in found.items() if key in _EXPECTATIONS})

    def _skipped(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for identifier, reason in self._mapping("skip").items():
            try:
                known = requirement.find(identifier).id
            except CnitestError as error:
                self._fault("skip", str(error))
                continue
            if not isinstance(reason, str) or not reason:
                self._fault("skip", f"{identifier} needs a reason")
            found[known] = str(reason)
        return found
