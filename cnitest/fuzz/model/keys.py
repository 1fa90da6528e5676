"""The keys of each plugin that we know, as data: ``keys/*.yaml``, one file a plugin.

A table says of the plugin where its addresses come from (``ipam``: ``required``, ``optional``, ``none``, ``alone`` for
an IPAM plugin, ``fixed`` where the shipped profile says; ``pool`` names the one plugin it works with), what stands
``before`` it, which ``capabilities`` it takes, and the first version (``from``) it speaks. Of a key it says the
``type``, values that are ``valid``, ``boundary`` or ``invalid``, the release it is there ``since``, and what it goes
``with``, ``without`` or ``not_with``.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from cnitest.conformance.model import data
from cnitest.errors import ConfigError

_DIRECTORY = Path(__file__).parent / "keys"
_TYPES = ("boolean", "number", "text", "object", "list")
_SOURCES = ("required", "optional", "none", "alone", "fixed")
_TOP = ("about", "ipam", "pool", "before", "ifname", "from", "capabilities", "always", "keys")
_LISTS = ("valid", "boundary", "invalid", "with", "without", "not_with")
_WORDS = ("type", "since", "needs", "rare", *_LISTS)
#: What is no value of a type: a plugin that reads JSON into typed fields has to refuse it.
WRONG: Mapping[str, tuple[Any, ...]] = {
    "boolean": ("yes", 1),
    "number": ("1500", 1.5),
    "text": (7, True),
    "object": (["a"], "a"),
    "list": ({"a": 1}, "a"),
}


@dataclass(frozen=True)
class Key:
    """One key of a plugin's configuration, and its values by what is known of them."""

    name: str
    type: str
    valid: tuple[Any, ...] = ()
    boundary: tuple[Any, ...] = ()
    invalid: tuple[Any, ...] = ()
    since: str = ""
    with_: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    not_with: tuple[str, ...] = ()
    needs: str = ""
    rare: str = ""

    @property
    def wrong(self) -> tuple[Any, ...]:
        """Values that have to be refused: those that are named, and those of another type."""
        return self.invalid + WRONG[self.type]


@dataclass(frozen=True)
class Table:
    """The keys of one plugin, and what its configurations need besides."""

    plugin: str
    ipam: str
    pool: str = ""
    before: str = ""
    ifname: str = "eth0"
    from_: str = "0.1.0"
    capabilities: tuple[str, ...] = ()
    always: tuple[str, ...] = ()
    keys: Mapping[str, Key] = field(default_factory=dict)

    def of(self, release: str) -> list[Key]:
        """The keys that a release of the plugins has."""
        return [key for key in self.keys.values() if _order(key.since) <= _order(release)]


def _order(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.lstrip("v").split(".") if part.isdecimal())


def plugins() -> tuple[str, ...]:
    """The plugins that there are tables of."""
    return tuple(sorted(file.stem for file in _DIRECTORY.glob("*.yaml")))


@cache
def table(plugin: str) -> Table:
    """The table of a plugin. Raises ConfigError for one that there is none of, or that is malformed."""
    file = _DIRECTORY / f"{plugin}.yaml"
    if not file.is_file():
        raise ConfigError(f"no keys are known of plugin {plugin!r}; they are of {', '.join(plugins())}")
    return read(file)


def read(file: Path) -> Table:
    """The table of the plugin that a file is named for. Raises ConfigError with file and key for a malformed one."""
    row = data.load(file)
    if not isinstance(row, Mapping) or not isinstance(row.get("keys"), Mapping):
        raise ConfigError(f"{file}: wants 'keys': a mapping")
    _only(str(file), row, _TOP)
    if row.get("ipam", "none") not in _SOURCES:
        raise ConfigError(f"{file}: ipam is {row['ipam']!r}, none of {', '.join(_SOURCES)}")
    keys = {str(name): _key(file, str(name), value) for name, value in row["keys"].items()}
    for key in keys.values():
        _refers(file, key, keys)
    return Table(
        file.stem,
        ipam=str(row.get("ipam", "none")),
        pool=str(row.get("pool", "")),
        before=str(row.get("before", "")),
        ifname=str(row.get("ifname", "eth0")),
        from_=str(row.get("from", "0.1.0")),
        capabilities=_list(f"{file}: capabilities", row.get("capabilities", [])),
        always=_list(f"{file}: always", row.get("always", [])),
        keys=keys,
    )


def _key(file: Path, name: str, row: Any) -> Key:
    where = f"{file}: keys.{name}"
    if not isinstance(row, Mapping):
        raise ConfigError(f"{where} is no mapping")
    kind = row.get("type", "text")
    if kind not in _TYPES:
        raise ConfigError(f"{where}.type is {kind!r}, none of {', '.join(_TYPES)}")
    _only(where, row, _WORDS)
    lists = {word: _list(f"{where}.{word}", row.get(word, [])) for word in _LISTS}
    if kind == "boolean" and "valid" not in row:
        lists["valid"] = (True, False)
    since, needs, rare = (str(row.get(word, "")) for word in ("since", "needs", "rare"))
    key = Key(name, kind, with_=lists.pop("with"), **lists, since=since, needs=needs, rare=rare)
    _one_side(where, key)
    return key


def _only(where: str, row: Mapping[str, Any], words: Collection[str]) -> None:
    unknown = sorted({str(word) for word in row} - set(words))
    if unknown:
        raise ConfigError(f"{where} has {', '.join(unknown)}, which nobody reads")


def _list(where: str, value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise ConfigError(f"{where} is {value!r}, no list")
    return tuple(value)


def _one_side(where: str, key: Key) -> None:
    """A value is valid, at an edge or to be refused, and only one of them."""
    sides: dict[str, str] = {}
    for side, values in (("valid", key.valid), ("boundary", key.boundary), ("invalid", key.wrong)):
        for value in values:
            other = sides.setdefault(json.dumps(value), side)
            if other != side:
                raise ConfigError(f"{where}: {value!r} is both {other} and {side}")


def _refers(file: Path, key: Key, keys: Collection[str]) -> None:
    """What a key goes with is a key, too."""
    for word, names in (("with", key.with_), ("without", key.without), ("not_with", key.not_with)):
        for name in names:
            if name not in keys and name != "ipam":
                raise ConfigError(f"{file}: keys.{key.name}.{word} names {name!r}, which is no key")
    if key.needs and key.needs not in keys and key.needs != "ipam":
        raise ConfigError(f"{file}: keys.{key.name}.needs names {key.needs!r}, which is no key")


def has(plugin: str, release: str, names: Mapping[str, str]) -> bool:
    """Whether a release of a plugin has the key that ``names`` gives by the plugin's name."""
    if plugin not in names or plugin not in plugins():
        return False
    return any(key.name == names[plugin] for key in table(plugin).of(release))


def known(plugin: str) -> frozenset[str]:
    """The keys of a plugin, with those of an IPAM section where it takes one: what coverage is counted of."""
    found = table(plugin)
    own = {f"{plugin}.{name}" for name in found.keys}
    if found.ipam in ("required", "optional", "alone"):
        own |= {f"ipam.{name}" for name in ("subnet", "ranges", "rangeStart", "rangeEnd", "gateway", "routes")}
    return frozenset(own)


def used(conf: Mapping[str, Any]) -> Iterator[str]:
    """The keys that one plugin's configuration uses, dotted."""
    for name, value in conf.items():
        if name == "ipam" and isinstance(value, Mapping):
            yield from (f"ipam.{key}" for key in _within(value))
        elif name != "type":
            yield f"{conf.get('type')}.{name}"


def _within(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            if key == "ranges":
                yield from _within(item)
    elif isinstance(value, list):
        for item in value:
            yield from _within(item)
