"""Network configurations: what a .conf, a .conflist or a dictionary says, checked as a runtime checks it."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnitest.cni import spec
from cnitest.errors import ConfigError, is_ours

__tracebackhide__ = is_ours

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_ENDINGS = (".conf", ".conflist", ".json")


@dataclass(frozen=True)
class Network:
    """One network: its name, its version, its plugins in order. ``source`` says where it was read.

    ``text`` is the configuration as it was given, for the runtime's cache.
    """

    name: str
    cni_version: str
    plugins: tuple[Mapping[str, Any], ...]
    disable_check: bool = False
    source: str = "a dictionary"
    text: str = ""

    def plugin(self, position: int) -> dict[str, Any]:
        """A copy of one plugin's configuration, free to be changed."""
        return copy.deepcopy(dict(self.plugins[position]))


def network(source: Network | Mapping[str, Any] | str | Path) -> Network:
    """A network from a dictionary, the path of a file, or itself. Raises ConfigError."""
    if isinstance(source, Network):
        return source
    if isinstance(source, Mapping):
        try:
            text = json.dumps(dict(source))
        except (TypeError, ValueError, RecursionError) as error:
            raise ConfigError(f"a dictionary: cannot be written as JSON: {error}") from error
        return _network(json.loads(text), "a dictionary", text)
    return _from_file(Path(source))


def position(network: Network, text: str) -> str:
    """Where a text stands in the file that a network was read from, as ``:LINE:COLUMN``; empty when it does not."""
    if network.source == "a dictionary":
        return ""
    at = network.text.find(json.dumps(text))
    if at < 0:
        return ""
    before = network.text[:at]
    return f":{before.count(chr(10)) + 1}:{at - before.rfind(chr(10))}"


def _from_file(path: Path) -> Network:
    if path.suffix not in _ENDINGS:
        raise ConfigError(f"{path}: a network configuration ends in {', '.join(_ENDINGS)}")
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8: {error.reason} at byte {error.start}") from error
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}:{error.lineno}:{error.colno}: is not JSON: {error.msg}") from error
    except RecursionError:
        raise ConfigError(f"{path}: is nested too deeply to be a network configuration") from None
    except ValueError as error:  # a number of thousands of digits
        raise ConfigError(f"{path}: is no network configuration: {error}") from None
    if not isinstance(value, dict):
        raise ConfigError(f"{path}:1:1: a network configuration is a JSON object, this is {_kind(value)}")
    return _network(value, str(path), text)


def _network(value: dict[str, Any], source: str, text: str) -> Network:
    faults: list[str] = []
    is_list = "plugins" in value
    plugins = value["plugins"] if is_list else [value]
    name = _checked_name(value.get("name"), faults)
    version = _version(value, faults)
    if not isinstance(plugins, list) or not plugins:
        faults.append("'plugins' must be a list with at least one plugin")
        plugins = []
    for position, plugin in enumerate(plugins):
        _check_plugin(plugin, f"plugins[{position}]" if is_list else "", faults)
    disable_check = _boolean(value, "disableCheck", faults)
    if faults:
        raise ConfigError("\n".join(f"{source}: {fault}" for fault in faults))
    return Network(name, version, tuple(plugins), disable_check, source, text)


def _checked_name(name: object, faults: list[str]) -> str:
    if not isinstance(name, str) or not name:
        faults.append("has no 'name' (SPEC section 1 demands one)")
    elif not _NAME.fullmatch(name):
        faults.append(f"'name' {name!r} must begin with a letter or digit and go on with those, '_', '.' or '-'")
    return str(name)


def _version(value: Mapping[str, Any], faults: list[str]) -> str:
    """The highest version that is asked for and known: ``cniVersion`` and, since 1.1.0, ``cniVersions``."""
    others = value.get("cniVersions", [])
    if not isinstance(others, list) or not all(isinstance(version, str) for version in others):
        faults.append(f"'cniVersions' is {_kind(others)}, not a list of strings")
        others = []
    asked = [value.get("cniVersion", spec.UNVERSIONED), *others]
    known = [version for version in spec.VERSIONS if version in asked]
    if not known:
        faults.append(f"'cniVersion' {asked[0]!r} is none of {', '.join(spec.VERSIONS)}")
        return spec.UNVERSIONED
    return known[-1]


def _check_plugin(plugin: object, where: str, faults: list[str]) -> None:
    if not isinstance(plugin, dict):
        faults.append(f"{where} is {_kind(plugin)}, not an object")
        return
    kind = plugin.get("type")
    if not isinstance(kind, str) or not kind:
        faults.append(f"{where or 'it'} has no 'type': the name of the plugin's binary")
    elif "/" in kind:
        faults.append(f"'type' {kind!r} must be the name of a binary, not a path (SPEC section 4)")
    capabilities = plugin.get("capabilities")
    if capabilities is not None and not isinstance(capabilities, dict):
        faults.append(f"{where or 'its'} 'capabilities' is {_kind(capabilities)}, not an object (SPEC section 1)")


def _boolean(value: Mapping[str, Any], key: str, faults: list[str]) -> bool:
    """A JSON boolean, or "true" and "false" as strings, which libcni takes too."""
    found = value.get(key, False)
    if isinstance(found, str):
        found = {"true": True, "false": False}.get(found.lower(), found)
    if not isinstance(found, bool):
        faults.append(f"'{key}' is {found!r}, not a boolean")
        return False
    return found


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", int: "a number", float: "a number", bool: "a boolean"}
    return names.get(type(value), "null")
