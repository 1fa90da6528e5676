"""What stands in a configuration and is not its to say: what a runtime writes there, what only a file of another ending
may have, and keys without the one that they need."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cnitest.cni import spec
from cnitest.cni.conf import Network
from cnitest.plugins import arguments, files

_SINGLE = (".conf", ".json")


def lines(network: Network, knowledge: str = "", explained: str | None = None) -> Iterator[str]:
    """A line for each. ``knowledge`` is a file of what is known of a plugin; of the plugin that is ``explained``
    arguments were named already."""
    yield from _of_the_file(network)
    for number, conf in enumerate(network.plugins):
        yield from _previous_result(conf, first=number == 0)
        if conf["type"] != explained:
            yield from _of_the_runtime(conf)
        yield from _without_what_they_need(conf, knowledge)


def _of_the_file(network: Network) -> Iterator[str]:
    """What runtimes make of the file that a network was read from."""
    written = _written(Path(network.source))
    if written is None:
        return
    if "plugins" in written:
        ending = Path(network.source).suffix
        yield f"a list in a file that ends in {ending}, in which runtimes read one plugin alone: name it .conflist"
    if not network.versioned:
        yield f'has no \'cniVersion\', which is taken for {spec.UNVERSIONED}; write "cniVersion": "1.0.0", for example'


def _written(file: Path) -> Mapping[str, Any] | None:
    """What stands in a file of one plugin; None where a network has none, or that is of another kind."""
    if file.suffix not in _SINGLE:
        return None
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, Mapping) and "kind" not in found else None


def _previous_result(conf: Mapping[str, Any], *, first: bool) -> Iterator[str]:
    if "prevResult" in conf:
        ending = "gets this one with each call" if first else "never sees this one"
        yield f"{conf['type']}: 'prevResult' is for the runtime to write: a plugin here {ending}; delete it"


def _of_the_runtime(conf: Mapping[str, Any]) -> Iterator[str]:
    """Arguments of capabilities that stand in a configuration, and cannot be read."""
    given = conf.get("runtimeConfig")
    if isinstance(given, Mapping):
        yield from (f"{conf['type']}: in 'runtimeConfig' {fault}" for fault in arguments.faults(given))
    elif given is not None:
        yield f"{conf['type']}: 'runtimeConfig' is no object, {{ … }}, of arguments by their capabilities"


def _without_what_they_need(conf: Mapping[str, Any], knowledge: str) -> Iterator[str]:
    """Keys that are on, and do nothing for want of another."""
    name = str(conf["type"])
    plugin = files.known(name, knowledge)
    for key, value in conf.items():
        known = plugin.all_keys.get(key)
        needs = known.needs if known else ""
        if key in plugin.gateway and plugin.ipam == "optional":
            needs = "ipam"
        if needs and value not in (None, False, "", 0) and not conf.get(needs):
            yield f"{name}: {key!r} does nothing without {needs!r}, which is not given"
