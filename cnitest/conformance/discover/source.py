"""Where subjects come from: a configuration, a profile, or a directory with one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnitest.cni import conf, plugins, sources
from cnitest.cni.calls.invoke import missing
from cnitest.cni.conf import Network
from cnitest.conformance.model import profile
from cnitest.conformance.model.profile import Profile
from cnitest.conformance.model.requirement import Kind
from cnitest.conformance.model.subject import Setting
from cnitest.errors import ConfigError, FeatureMissing
from cnitest.kernel import features
from cnitest.kernel.processes import programs


@dataclass(frozen=True)
class Source:
    """Where subjects come from: a network with its setting. ``only`` names the plugin that is meant, if one is,
    ``path`` are directories of its own to search for plugins first, ``versions`` limits those to test."""

    network: Network
    setting: Setting
    where: str
    name: str = ""
    only: str = ""
    kind: Kind | None = None
    path: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()


def source(path: Path, plugins: Sequence[str] = ()) -> Source:
    """What a file says: a configuration, a profile, or a directory with one. Raises ConfigError, FeatureMissing.

    A profile in one of the directories of ``plugins`` or beside a configuration is used for it.
    """
    if path.is_dir():
        profiled = path / profile.NAME
        path = profiled if profiled.is_file() or not sources.has_networks(path) else sources.first_of(path)
    if path.suffix not in (".yaml", ".yml") or sources.is_manifest(path):
        network = conf.network(path)
        for directory in (path.parent, *map(Path, plugins)):
            beside = directory / profile.NAME
            if beside.is_file():
                return _from_profile(profile.load(beside), network)
        return Source(network, Setting(), str(path))
    found = profile.load(path)
    if found.network is None:
        raise ConfigError(f"{path}:1: has no 'conf': name a file or write a configuration")
    return _from_profile(found, found.network)


def _from_profile(found: Profile, network: Network) -> Source:
    lacking = {name: why for name in found.requires if (why := absent(name))}
    if lacking:
        named = [name for name in lacking if name in features.names()]
        raise FeatureMissing(f"{found.source.stem}: {'; '.join(lacking.values())}", named)
    own = found.source.stem if found.source.name != profile.NAME else ""
    name = found.name or own
    return Source(network, found.setting, str(found.source), name, found.plugin, found.kind, found.path, found.versions)


def absent(name: str) -> str:
    """Why a feature of the kernel, or a program, is not there; empty when it is."""
    if name in features.names():
        return features.kernel(name).why
    return programs.absent(name)


def require(each: Source, path: Sequence[str]) -> None:
    """Raise ConfigError for a plugin of a source that is not in the search path."""
    for plugin in each.network.plugins:
        name = str(plugin["type"])
        if not there(plugin, path):
            close = plugins.misspelt(name, path)
            advice = _no_file(name, path) or (
                f"; did you mean {close!r}?" if close else "; name its directory with --cni-path"
            )
            raise ConfigError(
                f"{conf.position(each.network, name) or each.where}: failed to find plugin {name!r} "
                f"in path [{' '.join(path)}]{missing(path)}{advice}"
            )


def _no_file(name: str, path: Sequence[str]) -> str:
    """What stands in a search path in the place of a plugin's file, for the end of a message."""
    for place in (os.path.join(directory, name) for directory in path):
        if os.path.islink(place) and not os.path.exists(place):
            return f"; {place} is a symbolic link to {os.readlink(place)}, where nothing is"
        if os.path.isdir(place):
            return f"; {place} is a directory: name it with --cni-path where the plugin is in there"
        if os.path.exists(place):
            return f"; {place} is no regular file"
    return ""


def there(plugin: Mapping[str, Any], path: Sequence[str]) -> bool:
    """Whether the binary of a plugin's configuration is in a search path."""
    return any(os.path.isfile(os.path.join(directory, plugin["type"])) for directory in path)
