"""Network configurations: what a .conf, a .conflist or a dictionary says, checked as a runtime checks it."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from cnitest import paths
from cnitest.cni import sources, spec
from cnitest.cni.calls import golang
from cnitest.cni.calls.mode import SPEC, Mode
from cnitest.errors import ConfigError, is_ours

__tracebackhide__ = is_ours

#: Container IDs and names of networks, SPEC section 2.
IDENTIFIER = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
Plugins = Mapping[str, Mapping[str, Any]]

_ENDINGS = (".conf", ".conflist", ".json")
#: What belongs to a network as a whole; a single plugin's .conf has it beside the plugin's own keys.
_LIST_KEYS = ("cniVersions", "disableCheck", "disableGC", "loadOnlyInlinedPlugins")


@dataclass(frozen=True)
class Network:
    """One network: its name, its version, its plugins in order. ``source`` says where it was read.

    ``text`` is the list as it was given (a single plugin made into one), for the runtime's cache. ``appended`` of
    the plugins, the last ones, came from the folder beside the file (RT-26). ``versioned`` tells whether the
    configuration said its version.
    """

    name: str
    cni_version: str
    plugins: tuple[Mapping[str, Any], ...]
    disable_check: bool = False
    source: str = "a dictionary"
    text: str = ""
    disable_gc: bool = False
    only_inlined: bool = False
    appended: int = 0
    versioned: bool = True

    def plugin(self, position: int) -> dict[str, Any]:
        """A copy of one plugin's configuration, free to be changed."""
        return copy.deepcopy(dict(self.plugins[position]))


def network(source: Network | Mapping[str, Any] | str | Path, mode: Mode = SPEC) -> Network:
    """A network from a dictionary, the path of a file or directory, or itself.

    A file is a .conf, a .conflist, a .json, or a NetworkAttachmentDefinition (.yaml, .yml, .json); of a directory such
    as /etc/cni/net.d the first file by name is taken that is a configuration, as runtimes do. Raises ConfigError
    with every fault, one a line.
    """
    if isinstance(source, Network):
        return source
    return _network(_from_dictionary(source) if isinstance(source, Mapping) else _from_file(Path(source), mode), mode)


def position(network: Network, plugin: str) -> str:
    """Where a plugin is named in the file that its network was read from, as ``FILE:LINE:COLUMN``; without line where
    it is not found there, and empty when there is no file."""
    if network.source == "a dictionary":
        return ""
    try:  # the network's own text is that of a list, even where the file is none
        whole = Path(network.source).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return network.source
    found = re.search(rf'"type"\s*:\s*(?={re.escape(json.dumps(plugin))})', whole)
    if not found:
        return network.source
    before = whole[: found.end()]
    return f"{network.source}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


def cached(text: str, source: str, today: Network, mode: Mode = SPEC) -> Network:
    """The network that a cache holds; like ``today``, it takes plugins from the folder beside its file.

    Raises ConfigError.
    """
    if text == today.text:
        return today
    appended = today.plugins[len(today.plugins) - today.appended :]
    folder = {f"{today.source}, the folder beside it [{number}]": plugin for number, plugin in enumerate(appended)}
    value = _parsed(text, source)
    found = _network(_Given(value, text, source, "plugins" in value or "type" not in value, lambda _: folder), mode)
    if found.name != today.name:
        raise ConfigError(f"{source}: the cached configuration is that of network {found.name!r}, not {today.name!r}")
    return found


class _Given(NamedTuple):
    """What a configuration says, its text and where it stands; ``beside`` finds what a folder of a network's name adds
    to a list."""

    value: dict[str, Any]
    text: str
    source: str
    is_list: bool
    beside: Callable[[str], Plugins]


def _from_dictionary(source: Mapping[str, Any]) -> _Given:
    try:
        text = json.dumps(dict(source), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"a dictionary: cannot be written as JSON: {error}") from error
    return _Given(json.loads(text), text, "a dictionary", "plugins" in source, lambda _: {})


def _from_file(path: Path, mode: Mode) -> _Given:
    if path.is_dir():
        return _from_file(sources.first_of(path), mode)
    if path.suffix in sources.MANIFESTS or (path.suffix == ".json" and sources.is_attachment_definition(_read(path))):
        text = sources.config_of(_read(path), str(path))
        value = _parsed(text, str(path))
        is_list = "plugins" in value or "type" not in value
        return _Given(value, text, str(path), is_list, lambda name: _folder(path.parent / name))
    if path.suffix not in _ENDINGS and (path.exists() or not paths.advice(path).startswith("; did you mean")):
        raise ConfigError(f"{path}: a network configuration ends in {', '.join(_ENDINGS)}")
    text = _read(path)
    value = _parsed(text, str(path))
    is_list = path.suffix == ".conflist" or (mode.takes_lists_anywhere and "plugins" in value)
    return _Given(value, text, str(path), is_list, lambda name: _folder(path.parent / name))


def _folder(folder: Path) -> Plugins:
    """The plugins of a network that are files of their own, by the names of their files (RT-26)."""
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix == ".conf" and not path.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be read: {error.strerror}") from error
    return {str(path): _parsed(_read(path), str(path)) for path in files}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        advice = paths.advice(path) if isinstance(error, FileNotFoundError | NotADirectoryError) else ""
        raise ConfigError(f"{path}: cannot be read: {error.strerror}{advice}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8: {error.reason} at byte {error.start}") from error


def _parsed(text: str, source: str) -> dict[str, Any]:
    try:
        value = json.loads(text, parse_constant=_no_number)
        json.dumps(value, allow_nan=False)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{source}:{error.lineno}:{error.colno}: is not JSON: {error.msg}") from error
    except RecursionError:
        raise ConfigError(f"{source}: is nested too deeply to be a network configuration") from None
    except ValueError as error:  # a number of thousands of digits, or one beyond all floats
        raise ConfigError(f"{source}: is no network configuration: {error}") from None
    if not isinstance(value, dict):
        raise ConfigError(f"{source}:1:1: a network configuration is a JSON object, this is {_kind(value)}")
    return value


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number in JSON")


def _network(given: _Given, mode: Mode) -> Network:
    """The network that is declared. Raises ConfigError with every fault."""
    value, text, source, is_list, beside = given
    faults: list[str] = []
    whole = value if is_list or mode.reads_list_keys_of_single else _without_list_keys(value)
    name = _checked_name(value.get("name"), faults)
    version = _version(whole, mode, faults)
    disable_check, disable_gc, only_inlined = (_boolean(whole, key, faults) for key in _LIST_KEYS[1:])
    inlined = _listed(value, faults) if is_list else [_single(value, mode, faults)]
    if only_inlined and "plugins" not in value:
        faults.append("'loadOnlyInlinedPlugins' is true, but there are no 'plugins' (SPEC section 1)")
    appended = beside(name) if is_list and not only_inlined and not faults else {}
    for file, plugin in appended.items():
        faults += _faults_of_plugin(plugin, f"{file}:")
    if mode.rounds_integers:
        faults += golang.oversized([value, *appended.values()])
    if not inlined and not appended and not faults:
        faults.append(f"has no 'plugins', and there are none in the folder {name}/ beside it; one alone is a .conf")
    if faults:
        raise ConfigError("\n".join(f"{source}: {fault}" for fault in faults))
    return Network(
        name,
        version,
        (*inlined, *appended.values()),
        disable_check,
        source,
        text if is_list else _as_list(value, whole, inlined[0], mode),
        disable_gc,
        only_inlined,
        len(appended),
        "cniVersions" in whole or bool(value.get("cniVersion")),
    )


def _without_list_keys(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: item for key, item in value.items() if key not in _LIST_KEYS}


def _as_list(value: Mapping[str, Any], whole: Mapping[str, Any], plugin: Mapping[str, Any], mode: Mode) -> str:
    """A single plugin's configuration made into a list, as libcni caches it (RT-27)."""
    flags = {key: whole[key] for key in _LIST_KEYS if key in whole}
    made = {"name": value["name"], "cniVersion": value.get("cniVersion", ""), "plugins": [plugin], **flags}
    return golang.written(dict(sorted((golang.rounded(made) if mode.rounds_integers else made).items())))


def _checked_name(name: object, faults: list[str]) -> str:
    if not isinstance(name, str) or not name:
        faults.append("has no 'name' (SPEC section 1 demands one)")
    elif not IDENTIFIER.fullmatch(name):
        faults.append(f"'name' {name!r} must begin with a letter or digit and go on with those, '_', '.' or '-'")
    return str(name)


def _version(value: Mapping[str, Any], mode: Mode, faults: list[str]) -> str:
    """The version to speak: ``cniVersion`` or, since 1.1.0, the highest of ``cniVersions`` too (RT-18)."""
    others = value.get("cniVersions", [])
    if not isinstance(others, list) or not all(isinstance(version, str) for version in others):
        faults.append(f"'cniVersions' is {_kind(others)}, not a list of strings")
        others = []
    asked = [value.get("cniVersion", spec.UNVERSIONED), *others]
    if not mode.picks_published_versions:
        return _libcni_version(asked, faults, chosen="cniVersions" in value)
    known = [version for version in spec.VERSIONS if version in asked]
    if not known:
        faults.append(f"'cniVersion' {asked[0]!r} is none of {', '.join(spec.VERSIONS)}")
        return spec.UNVERSIONED
    return known[-1]


def _libcni_version(asked: list[Any], faults: list[str], *, chosen: bool) -> str:
    """As libcni chooses: what looks like a version is one; those beyond its own only count where nothing else is."""
    asked[0] = asked[0] or spec.UNVERSIONED
    wrong = [version for version in asked if not spec.looks_like_version(version)]
    if wrong:
        faults.append(f"'cniVersion' {wrong[0]!r} is no version: libcni takes up to three numbers with dots")
        return spec.UNVERSIONED
    known = [version for version in asked if spec.at_least(spec.VERSIONS[-1], version)] if chosen else []
    return str(max(known, key=spec.order, default=asked[0]))


def _listed(value: Mapping[str, Any], faults: list[str]) -> list[dict[str, Any]]:
    """The plugins that are written in a list; there may be none where a folder can add some."""
    if "plugins" not in value:
        return []
    plugins = value["plugins"]
    if not isinstance(plugins, list) or not plugins:
        faults.append("'plugins' must be a list with at least one plugin")
        return []
    for position, plugin in enumerate(plugins):
        faults += _faults_of_plugin(plugin, f"plugins[{position}]")
    return plugins


def _single(value: dict[str, Any], mode: Mode, faults: list[str]) -> dict[str, Any]:
    """The one plugin of a .conf, without what belongs to the network."""
    faults += _faults_of_plugin(value, "")
    if "plugins" in value:
        faults.append("has 'plugins', but libcni looks for lists in .conflist files only")
    return _without_list_keys(value) if mode.reads_list_keys_of_single else value


def _faults_of_plugin(plugin: object, where: str) -> list[str]:
    if not isinstance(plugin, dict):
        return [f"{where} is {_kind(plugin)}, not an object"]
    faults = []
    kind = plugin.get("type")
    if not isinstance(kind, str) or not kind:
        faults.append(f"{where or 'it'} has no 'type': the name of the plugin's binary")
    elif "/" in kind:
        faults.append(f"{where} 'type' {kind!r} must be the name of a binary, not a path (SPEC section 4)".lstrip())
    capabilities = plugin.get("capabilities")
    if capabilities is not None and not isinstance(capabilities, dict):
        faults.append(f"{where or 'its'} 'capabilities' is {_kind(capabilities)}, not an object (SPEC section 1)")
    for name, declared in (capabilities if isinstance(capabilities, dict) else {}).items():
        if not isinstance(declared, bool | None):
            faults.append(f"{where or 'its'} 'capabilities' has {name!r} as {_kind(declared)}, not a boolean")
    return faults


def _boolean(value: Mapping[str, Any], key: str, faults: list[str]) -> bool:
    """A JSON boolean, or "true" and "false" as strings, which libcni takes too (RT-25)."""
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
