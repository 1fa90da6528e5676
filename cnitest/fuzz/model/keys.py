"""The keys of the plugins that we know, as fuzzing asks for them: which there are, and which a configuration uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cnitest.errors import ConfigError
from cnitest.plugins import files
from cnitest.plugins.knowledge import Plugin


def plugins() -> tuple[str, ...]:
    """The shipped plugins whose keys are known."""
    return tuple(plugin.name for plugin in files.every() if plugin.keys is not None)


def is_known(plugin: str, handed: str = "") -> bool:
    """Whether the keys of a plugin are known, from the file ``handed`` in or a shipped one."""
    return files.known(plugin, handed).keys is not None


def table(plugin: str, handed: str = "") -> Plugin:
    """What is known of a plugin. Raises ConfigError for one whose keys are not, and for a malformed file."""
    if not is_known(plugin, handed):
        raise ConfigError(f"no keys are known of plugin {plugin!r}; they are of {', '.join(plugins())}")
    return files.known(plugin, handed)


def has_backend(plugin: Plugin, release: str) -> bool:
    """Whether a release of a plugin has the key that chooses a backend."""
    return any(key.name == plugin.backend for key in plugin.of(release))


def all_of(plugin: Plugin) -> frozenset[str]:
    """The keys of a plugin, with those of an IPAM section where it takes one: what coverage is counted of."""
    own = {f"{plugin.name}.{name}" for name in plugin.all_keys}
    if plugin.ipam in ("required", "optional", "alone"):
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
