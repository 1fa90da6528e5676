"""What a configuration says that nobody reads, that is not accepted, or that cannot be: a line each, before anything is
called."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from cnitest.cni import plugins, releases
from cnitest.cni.conf import Network
from cnitest.conformance.discover import misplaced, start_addresses
from cnitest.conformance.model import spelling
from cnitest.plugins import arguments, files, values
from cnitest.plugins.values import BadValue


def warnings(
    network: Network,
    path: Sequence[str],
    *,
    given: Collection[str] = (),
    knowledge: str = "",
    explained: str | None = None,
) -> list[str]:
    """The lines for a network. ``path`` is where its plugins are, ``given`` are the capabilities with arguments,
    ``knowledge`` is a file of what is known of a plugin.

    Where the first ADD failed, ``explained`` is the plugin whose values were named as causes of that already.
    """
    lines = [
        *network.repeated,
        *misplaced.lines(network, knowledge, explained),
        *spelling.warnings(network, given, knowledge, path),
    ]
    if isinstance(given, Mapping) and explained is None:
        lines += map(arguments.words, arguments.faults(given))
    for conf in network.plugins:
        name = str(conf["type"])
        lines += (f"{name}: {fault}" for fault in value_faults(conf, path, knowledge) if name != explained)
        lines += start_addresses.faults(conf) if explained is None else ()
    return list(dict.fromkeys(lines))


def placed(file: str, line: str) -> str:
    """A line behind the name of its file; one that begins with its place goes on as ``FILE:LINE:COLUMN``."""
    return f"{file}:{'' if line[:1].isdecimal() else ' '}{line}"


def value_faults(conf: Mapping[str, Any], path: Sequence[str], knowledge: str = "") -> Iterator[BadValue]:
    """The values of one plugin's configuration, and of its IPAM section, that are not accepted."""
    name = str(conf["type"])
    file = plugins.find(name, path)
    release = releases.reference(file) if releases.built(file) else ""
    yield from values.faults(files.known(name, knowledge), conf, release)
    section = conf.get("ipam")
    if isinstance(section, Mapping):
        pool = files.known(str(section.get("type") or ""), knowledge)
        yield from values.faults_of_section(pool, section)
    elif section is not None:
        yield BadValue("ipam", "is not an object, { … }, with the 'type' of an IPAM plugin")
