"""The keys of each plugin that we know, as data: ``keys/*.yaml``, one file a plugin.

A table says of the plugin where its addresses come from (``ipam``: ``required``, ``optional``, ``none``, ``alone`` for
an IPAM plugin, ``fixed`` where the shipped profile says; ``pool`` names the one plugin it works with), what stands
``before`` it, which ``capabilities`` it takes, and the first version (``from``) it speaks. Of a key it says the
``type``, values that are ``valid``, ``boundary`` or ``invalid``, the release it is there ``since``, and what it goes
``with``, ``without`` or ``not_with``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from cnitest.conformance import data
from cnitest.errors import ConfigError

_DIRECTORY = Path(__file__).parent / "keys"
_TYPES = ("boolean", "number", "text", "object", "list")
_WORDS = {"type", "valid", "boundary", "invalid", "since", "with", "without", "not_with", "needs", "rare"}
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
    row = data.load(file)
    if not isinstance(row, Mapping) or not isinstance(row.get("keys"), Mapping):
        raise ConfigError(f"{file}: wants 'keys': a mapping")
    keys = {name: _key(file, str(name), value) for name, value in row["keys"].items()}
    return Table(
        plugin,
        ipam=str(row.get("ipam", "none")),
        pool=str(row.get("pool", "")),
        before=str(row.get("before", "")),
        ifname=str(row.get("ifname", "eth0")),
        from_=str(row.get("from", "0.1.0")),
        capabilities=tuple(row.get("capabilities", ())),
        always=tuple(row.get("always", ())),
        keys=keys,
    )


def _key(file: Path, name: str, row: Any) -> Key:
    if not isinstance(row, Mapping):
        raise ConfigError(f"{file}: keys.{name} is no mapping")
    kind = row.get("type", "text")
    if kind not in _TYPES:
        raise ConfigError(f"{file}: keys.{name}.type is {kind!r}, none of {', '.join(_TYPES)}")
    unknown = set(row) - {
        "type",
        "valid",
        "boundary",
        "invalid",
        "since",
        "with",
        "without",
        "not_with",
        "needs",
        "rare",
    }
    if unknown:
        raise ConfigError(f"{file}: keys.{name} has {', '.join(sorted(unknown))}, which nobody reads")
    lists = {side: tuple(row.get(side, ())) for side in ("valid", "boundary", "invalid", "without", "not_with")}
    if kind == "boolean" and "valid" not in row:
        lists["valid"] = (True, False)
    since, needs, rare = (str(row.get(word, "")) for word in ("since", "needs", "rare"))
    return Key(name, kind, **lists, since=since, with_=tuple(row.get("with", ())), needs=needs, rare=rare)


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
