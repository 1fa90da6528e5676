"""Network configurations: what a .conf, a .conflist or a dictionary says, checked as a runtime checks it."""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from cnitest import paths
from cnitest.cni import sources, spec
from cnitest.cni.calls import golang
from cnitest.cni.calls.mode import SPEC, Mode
from cnitest.cni.json_text import Repeated, kind, parsed, repeated
from cnitest.errors import ConfigError, is_ours
from cnitest.text import placeholder, quoted
from cnitest.topology.words import lookalikes
from cnitest.typos import meant

__tracebackhide__ = is_ours

#: The most bytes that a file's name can have: a network's name becomes one, of its own and in others.
LONGEST_FILE_NAME = 255
#: Container IDs and names of networks, SPEC section 2.
IDENTIFIER = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
Plugins = Mapping[str, Mapping[str, Any]]

_DICTIONARY = "a dictionary"
_ENDINGS = (".conf", ".conflist", ".json")
#: What belongs to a network as a whole; a single plugin's .conf has it beside the plugin's own keys.
_KEYS = ("name", "type", "cniVersion", "plugins", "ipam", "capabilities")
_LIST_KEYS = ("cniVersions", "disableCheck", "disableGC", "loadOnlyInlinedPlugins")


@dataclass(frozen=True)
class Network:
    """One network: its name, its version, its plugins in order. ``source`` says where it was read.

    ``text`` is the list as it was given (a single plugin made into one), for the runtime's cache. ``appended`` of
    the plugins, the last ones, came from the folder beside the file (RT-26). ``versioned`` says whether the
    configuration said its version, ``repeated`` are sentences about keys that it has twice.
    """

    name: str
    cni_version: str
    plugins: tuple[Mapping[str, Any], ...]
    disable_check: bool = False
    source: str = _DICTIONARY
    text: str = ""
    disable_gc: bool = False
    only_inlined: bool = False
    appended: int = 0
    versioned: bool = True
    repeated: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """Where it stands, for the beginning of a line about it: its file, or the network where it has none."""
        return f"network {self.name}" if self.source == _DICTIONARY else paths.near(self.source)

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
    if network.source == _DICTIONARY:
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
    value = parsed(text, source)
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
    repeated: tuple[Repeated, ...] = ()


def _from_dictionary(source: Mapping[str, Any]) -> _Given:
    try:
        text = json.dumps(dict(source), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"a dictionary: cannot be written as JSON: {error}") from error
    return _Given(json.loads(text), text, _DICTIONARY, "plugins" in source, lambda _: {})


def _from_file(path: Path, mode: Mode) -> _Given:
    if path.is_dir():
        return _from_file(sources.first_of(path), mode)
    if path.suffix in sources.MANIFESTS or (path.suffix == ".json" and sources.is_attachment_definition(_read(path))):
        text = sources.config_of(_read(path), str(path))
        value = parsed(text, str(path))
        is_list = "plugins" in value or "type" not in value
        twice = tuple(each._replace(place=f"spec.config:{each.place}") for each in repeated(text))
        return _Given(value, text, str(path), is_list, lambda name: _folder(path, name), twice)
    if path.suffix not in _ENDINGS and (path.exists() or not paths.advice(path).startswith("; did you mean")):
        raise ConfigError(f"{path}: a network configuration ends in {', '.join(_ENDINGS)}")
    text = _read(path)
    value = parsed(text, str(path))
    is_list = path.suffix == ".conflist" or (mode.takes_lists_anywhere and "plugins" in value)
    return _Given(value, text, str(path), is_list, lambda name: _folder(path, name), (*repeated(text),))


def _folder(file: Path, name: str) -> Plugins:
    """The plugins of a network that are files of their own beside its list, by the names of their files (RT-26)."""
    folder = file.parent / name
    if len(os.fsencode(name)) > LONGEST_FILE_NAME:
        raise ConfigError(
            f"{file}: 'name' has {len(name)} letters, and runtimes look for a folder of that name beside the file: "
            f"{LONGEST_FILE_NAME} at most"
        )
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix == ".conf" and not path.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be read: {error.strerror}") from error
    return {str(path): parsed(_read(path), str(path)) for path in files}


def _read(path: Path) -> str:
    try:
        return paths.read(path).decode().replace("\r\n", "\n")
    except OSError as error:
        advice = paths.advice(path) if isinstance(error, FileNotFoundError | NotADirectoryError) else ""
        raise ConfigError(f"{path}: cannot be read: {error.strerror}{advice}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}:{paths.place_of(error)}: {paths.no_text(error)}") from error


def _network(given: _Given, mode: Mode) -> Network:
    """The network that is declared. Raises ConfigError with every fault."""
    value, text, source, is_list, beside, _ = given
    faults: list[str] = []
    whole = value if is_list or mode.reads_list_keys_of_single else _without_list_keys(value)
    name = _checked_name(value, faults)
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
        own = f"; did you mean it by {close!r}?" if (close := _near("plugins", value)) else "; one alone is a .conf"
        faults.append(f"has no 'plugins', and there are none in the folder {name}/ beside it{own}")
    if faults and source != _DICTIONARY and (other := lookalikes.said(text, "configuration")):
        raise ConfigError(f"{source}: {other}")
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
        tuple(map(str, given.repeated)),
    )


def _without_list_keys(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: item for key, item in value.items() if key not in _LIST_KEYS}


def _as_list(value: Mapping[str, Any], whole: Mapping[str, Any], plugin: Mapping[str, Any], mode: Mode) -> str:
    """A single plugin's configuration made into a list, as libcni caches it (RT-27)."""
    flags = {key: whole[key] for key in _LIST_KEYS if key in whole}
    made = {"name": value["name"], "cniVersion": value.get("cniVersion", ""), "plugins": [plugin], **flags}
    return golang.written(dict(sorted((golang.rounded(made) if mode.rounds_integers else made).items())))


def _checked_name(value: Mapping[str, Any], faults: list[str]) -> str:
    name = value.get("name")
    if name is not None and not isinstance(name, str):
        faults.append(f"'name' is {_shown(name)}, not a string")
    elif not name:
        faults.append(f"has no 'name' (SPEC section 1 demands one){_meant('name', value)}")
    elif not IDENTIFIER.fullmatch(name):
        said = f"'name' {quoted(name)} must begin with a letter or digit and go on with those, '_', '.' or '-'"
        faults.append(said + placeholder(name))
    return str(name)


def _shown(value: object) -> str:
    """A value of the wrong type: what it is, and itself where it is short."""
    return f"{kind(value)} ({json.dumps(value)})" if isinstance(value, int | float) else kind(value)


def _meant(key: str, value: Mapping[str, Any]) -> str:
    """``; did you mean it by 'Type'?`` where a key is missing and another one looks like it."""
    close = "" if key in value else _near(key, value)
    return f"; did you mean it by {close!r}?" if close else ""


def _near(key: str, value: Mapping[str, Any]) -> str:
    alike = [each for each in value if each.lower() == key.lower()]
    return alike[0] if alike else meant(key, [each for each in value if each not in _KEYS]) or ""


def _version(value: Mapping[str, Any], mode: Mode, faults: list[str]) -> str:
    """The version to speak: ``cniVersion`` or, since 1.1.0, the highest of ``cniVersions`` too (RT-18)."""
    others = value.get("cniVersions", [])
    if not isinstance(others, list):
        faults.append(f"'cniVersions' is {kind(others)}, not a list of strings")
        others = []
    wrong = [number for number, version in enumerate(others) if not isinstance(version, str)]
    if wrong:
        faults += (f"cniVersions[{number}] is {_shown(others[number])}, not a string" for number in wrong)
        others = []
    asked = [value.get("cniVersion", spec.UNVERSIONED), *others]
    if not mode.picks_published_versions:
        return _libcni_version(asked, faults, chosen="cniVersions" in value)
    known = [version for version in spec.VERSIONS if version in asked]
    if not known:
        faults.append(_no_version(asked[0]))
        return spec.UNVERSIONED
    return known[-1]


def _no_version(given: object) -> str:
    """Why something is no version of the specification, and which was meant: 'v1.0.0', '1.0', 1.0."""
    said = f"'cniVersion' {quoted(given)}" if isinstance(given, str) else f"'cniVersion' is {_shown(given)}, and"
    parts = str(given).strip().lstrip("vV").split(".")
    meant_one = ".".join([*parts, "0", "0"][:3] if len(parts) < 3 else parts)
    advice = f"; did you mean {meant_one!r}?" if spec.is_version(meant_one) else ""
    return f"{said} is none of {', '.join(spec.VERSIONS)}{advice}{placeholder(given)}"


def _libcni_version(asked: list[Any], faults: list[str], *, chosen: bool) -> str:
    """As libcni chooses: what looks like a version is one; those beyond its own only count where nothing else is."""
    asked[0] = asked[0] or spec.UNVERSIONED
    wrong = [version for version in asked if not spec.looks_like_version(version)]
    if wrong:
        faults.append(f"'cniVersion' {quoted(wrong[0])} is no version: libcni takes up to three numbers with dots")
        return spec.UNVERSIONED
    known = [version for version in asked if spec.at_least(spec.VERSIONS[-1], version)] if chosen else []
    return str(max(known, key=spec.order, default=asked[0]))


def _listed(value: Mapping[str, Any], faults: list[str]) -> list[dict[str, Any]]:
    """The plugins that are written in a list; there may be none where a folder can add some."""
    if "plugins" not in value:
        return []
    plugins = value["plugins"]
    if not isinstance(plugins, list) or not plugins:
        given = "" if isinstance(plugins, list) else f", not {kind(plugins)}"
        faults.append(f"'plugins' must be a list with at least one plugin{given}")
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
        return [f"{where} is {kind(plugin)}, not an object"]
    faults = []
    name = plugin.get("type")
    if name is not None and not isinstance(name, str):
        faults.append(f"{where} 'type' is {_shown(name)}, not a string: the name of the plugin's binary".lstrip())
    elif not name:
        faults.append(f"{where or 'it'} has no 'type': the name of the plugin's binary{_meant('type', plugin)}")
    elif "/" in name or "\0" in name:
        faults.append(
            f"{where} 'type' {quoted(name)} must be the name of a binary, not a path (SPEC section 4)"
            f"{f'; did you mean {base!r}?' if (base := os.path.basename(name)) else ''}".lstrip()
        )
    capabilities = plugin.get("capabilities")
    if capabilities is not None and not isinstance(capabilities, dict):
        faults.append(f"{where or 'its'} 'capabilities' is {kind(capabilities)}, not an object (SPEC section 1)")
    for name, declared in (capabilities if isinstance(capabilities, dict) else {}).items():
        if not isinstance(declared, bool | None):
            faults.append(f"{where or 'its'} 'capabilities' has {quoted(name)} as {kind(declared)}, not a boolean")
    return faults


def _boolean(value: Mapping[str, Any], key: str, faults: list[str]) -> bool:
    """A JSON boolean, or "true" and "false" as strings, which libcni takes too (RT-25)."""
    found = value.get(key, False)
    if isinstance(found, str):
        found = {"true": True, "false": False}.get(found.lower(), found)
    if not isinstance(found, bool):
        faults.append(f"'{key}' is {quoted(found)}, not a boolean")
        return False
    return found
