"""Keys and capabilities of a configuration that nobody reads: mostly words with a letter too many or too few."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from cnitest.cni import spec
from cnitest.cni.conf import Network
from cnitest.plugins import files
from cnitest.plugins.knowledge import Plugin
from cnitest.typos import did_you_mean

# What every plugin's configuration may have: the specification's own, and what runtimes put there.
_COMMON = ("type", "cniVersion", "name", "ipam", "dns", "args", "capabilities", "runtimeConfig", "prevResult")
_OF_LIST = ("cniVersions", "disableCheck", "disableGC", "loadOnlyInlinedPlugins")


def warnings(network: Network, given: Collection[str] = (), knowledge: str = "") -> list[str]:
    """A line for each key that a known plugin does not know, each capability that nobody provides, and each
    capability argument of ``given`` that no plugin declares. ``knowledge`` is a file of what is known of a plugin."""
    found = [line for plugin in network.plugins for line in _of_plugin(plugin, given, knowledge)]
    return list(dict.fromkeys([*found, *_undeclared(network, given)]))


def _of_plugin(plugin: Mapping[str, Any], given: Collection[str], knowledge: str) -> Iterator[str]:
    name = str(plugin["type"])
    known = _known(files.known(name, knowledge))
    if known:
        yield from (_line(name, key, known) for key in plugin if key not in known)
    section = plugin.get("ipam")
    if isinstance(section, Mapping):
        yield from _of_ipam(files.known(str(section.get("type", "")), knowledge), section)
    capabilities = plugin.get("capabilities")
    usual = (*spec.CAPABILITIES, *given)
    for capability in capabilities if isinstance(capabilities, Mapping) else ():
        if capability not in usual:
            yield f"{name}: nobody provides the capability {capability!r}{did_you_mean(capability, usual, clause=True)}"


def _of_ipam(plugin: Plugin, section: Mapping[str, Any]) -> Iterator[str]:
    if not plugin.section:
        return
    words = ("type", *plugin.section.get("keys", ()))
    yield from (_line(plugin.name, key, words, " in ipam") for key in section if key not in words)
    for part, inside in plugin.section.items():
        if part != "keys":
            for entry in _mappings(section.get(part)):
                yield from (_line(plugin.name, key, inside, f" in ipam.{part}") for key in entry if key not in inside)


def _mappings(value: Any) -> Iterator[Mapping[str, Any]]:
    """The objects in lists of lists."""
    if isinstance(value, Mapping):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _mappings(item)


def _undeclared(network: Network, given: Collection[str]) -> Iterator[str]:
    """Arguments that are given and that no plugin declares a capability for, which no runtime would pass."""
    declared = {name for plugin in network.plugins for name in plugin.get("capabilities") or ()}
    for name in given:
        if name not in declared:
            advice = did_you_mean(name, declared, clause=True)
            yield f"{network.name}: no plugin declares the capability {name!r} that is given{advice}"


def _line(plugin: str, word: str, known: Collection[str], where: str = "") -> str:
    return f"{plugin} has no key {word!r}{where}, and ignores it{did_you_mean(word, known, clause=True)}"


def _known(plugin: Plugin) -> tuple[str, ...]:
    """The keys of a plugin; none where we know nothing of it."""
    return () if plugin.keys is None else (*plugin.keys, *plugin.also, *_COMMON, *_OF_LIST)
