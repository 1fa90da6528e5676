"""Keys and capabilities of a configuration that nobody reads: mostly words with a letter too many or too few."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from cnitest.cni import plugins, releases, spec
from cnitest.cni.conf import Network
from cnitest.plugins import files
from cnitest.plugins.knowledge import Plugin
from cnitest.text import quoted
from cnitest.typos import did_you_mean

# What every plugin's configuration may have: the specification's own, and what runtimes put there.
_COMMON = ("type", "cniVersion", "name", "ipam", "dns", "args", "capabilities", "runtimeConfig", "prevResult")
_DNS = ("nameservers", "domain", "search", "options")
_OF_LIST = ("cniVersions", "disableCheck", "disableGC", "loadOnlyInlinedPlugins")


def warnings(network: Network, given: Collection[str] = (), knowledge: str = "", path: Sequence[str] = ()) -> list[str]:
    """A line for each key that a known plugin does not know, each capability that nobody provides, and each
    capability argument of ``given`` that no plugin declares. ``knowledge`` is a file of what is known of a plugin;
    ``path`` is where the plugins are, some of which may be too old for a key."""
    found = [line for plugin in network.plugins for line in _of_plugin(plugin, given, knowledge, path)]
    return list(dict.fromkeys([*_of_list(network), *found, *_undeclared(network, given)]))


def _of_list(network: Network) -> Iterator[str]:
    """Keys beside a list's 'plugins' that are of a plugin, or of nobody."""
    known = ("name", "cniVersion", "plugins", *_OF_LIST)
    try:
        whole = json.loads(network.text)
    except ValueError:
        return
    for key in whole:
        if key not in known:
            whose = "; it belongs to one of its plugins" if key in _COMMON else did_you_mean(key, known, clause=True)
            yield f"a list has no key {key!r}, and runtimes ignore it{whose}"
    for version in whole.get("cniVersions") or ():
        if not spec.is_version(version):
            yield f"cniVersions has {version!r}, which is none of {', '.join(spec.VERSIONS)}"


def _of_plugin(plugin: Mapping[str, Any], given: Collection[str], knowledge: str, path: Sequence[str]) -> Iterator[str]:
    name = str(plugin["type"])
    about = files.known(name, knowledge)
    known = _known(about)
    if known:
        yield from (_line(name, key, known) for key in plugin if key not in known)
        file = plugins.find(name, path)
        yield from (_too_new(about, key) for key in plugin if key in about.all_keys and not releases.reads(file, key))
        dns = plugin.get("dns")
        yield from (
            _line(name, key, _DNS, " in dns") for key in (dns if isinstance(dns, Mapping) else ()) if key not in _DNS
        )
    section = plugin.get("ipam")
    if isinstance(section, Mapping):
        yield from _of_ipam(files.known(str(section.get("type") or ""), knowledge), section)
        if not section.get("type") and about.ipam in ("optional", "fixed"):
            yield f"{name}: ipam has no 'type', so no address is given{_whose(section)}"
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


def _whose(section: Mapping[str, Any]) -> str:
    """``; did you mean …`` the IPAM plugin that has most of a section's keys."""
    alike = {each.name: len({*section} & {*each.section.get("keys", ())}) for each in files.every()}
    best = max(alike, key=lambda name: alike[name])
    return f'; did you mean "type": "{best}"?' if alike[best] else ""


def _too_new(plugin: Plugin, key: str) -> str:
    since = plugin.all_keys[key].since
    came = f" (it came with release {since})" if since else ""
    return f"{plugin.name}: the build that is tried has no key {key!r}{came}, and ignores it"


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
    spelled = next((each for each in known if each.lower() == word.lower()), None)
    if spelled:
        return f"{plugin}: the key {word!r}{where} is written {spelled!r}; what is made in Go reads it all the same"
    return f"{plugin} has no key {quoted(word)}{where}, and ignores it{did_you_mean(word, known, clause=True)}"


def _known(plugin: Plugin) -> tuple[str, ...]:
    """The keys of a plugin; none where we know nothing of it."""
    return () if plugin.keys is None else (*plugin.keys, *plugin.also, *_COMMON, *_OF_LIST)
