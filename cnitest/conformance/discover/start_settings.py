"""Why a network's first ADD failed, where it is a route that is asked for twice, a sysctl, a capability's argument, or
a key that a plugin cannot do without.

They are asked after those of `start_causes`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from cnitest.conformance.discover.preflight import StartFailure
from cnitest.conformance.discover.start_causes import cause
from cnitest.plugins import arguments
from cnitest.text import quoted
from cnitest.topology.rules.settings import nearest_sysctl

_SYSCTLS = "/proc/sys/"
_FOREIGN = re.compile(r'invalid net sysctl key: "([^"]+)"')


@cause
def default_route_twice(failure: StartFailure) -> Iterator[str]:
    """isDefaultGateway makes a default route, and the IPAM section names one as well."""
    routes = failure.ipam.get("routes") or ()
    given = [str(route.get("dst")) for route in routes if isinstance(route, Mapping)]
    both = [dst for dst in given if dst in ("0.0.0.0/0", "::/0", "default")]
    if failure.conf.get("isDefaultGateway") and both and "file exists" in failure.text:
        yield (
            f"isDefaultGateway adds a default route, and ipam.routes has one, too ({', '.join(both)}): "
            "the kernel refuses the second; drop one of them"
        )


@cause
def route_twice(failure: StartFailure) -> Iterator[str]:
    """The same route is asked for twice."""
    routes = failure.ipam.get("routes") or ()
    given = [str(route.get("dst")) for route in routes if isinstance(route, Mapping)]
    if (twice := sorted({dst for dst in given if given.count(dst) > 1})) and "file exists" in failure.text:
        yield f"ipam.routes has {', '.join(twice)} more than once: the kernel refuses the second; drop one"


@cause
def sysctl_is_wrong(failure: StartFailure) -> Iterator[str]:
    """A sysctl that the kernel does not have, or that does not take the value."""
    for path, why in failure.named_files:
        if path.startswith(_SYSCTLS):
            words = path.removeprefix(_SYSCTLS).split("/")
            yield f"sysctl {'.'.join(words)}: {why}{_what_to_write(failure, words, why)}"


def _what_to_write(failure: StartFailure, words: list[str], why: str) -> str:
    """What was meant of a sysctl's name, or which value was not taken."""
    if why.startswith("no such file"):
        near = nearest_sysctl(".".join(words), words)
        return f"; did you mean {near!r}?" if near else ": `sysctl -a` lists those that there are"
    given = failure.conf.get("sysctl")
    value = given.get(".".join(words), given.get("/".join(words))) if isinstance(given, dict) else None
    return f": the kernel does not take the value {quoted(value)}" if isinstance(value, str) else ""


@cause
def sysctl_of_the_machine(failure: StartFailure) -> Iterator[str]:
    """A sysctl that is not one of the container's network."""
    for name in dict.fromkeys(_FOREIGN.findall(failure.text)):
        dotted = name.removeprefix(_SYSCTLS).replace("/", ".")
        if dotted.startswith("net."):
            yield f"sysctl {quoted(name)} is a path: its name is {dotted!r}"
            continue
        yield f"sysctl {dotted} is the whole machine's: {failure.plugin} sets none but those of a container, net.…"


@cause
def argument_not_accepted(failure: StartFailure) -> Iterator[str]:
    """An argument of a well-known capability that no plugin can read."""
    yield from map(arguments.words, arguments.faults(_handed_in(failure)))


def _handed_in(failure: StartFailure) -> Mapping[str, Any]:
    """The capabilities' arguments that the plugin got: those of the runtime, or of its own configuration."""
    try:
        given = json.loads(failure.call.stdin).get("runtimeConfig") if failure.call else None
    except (ValueError, AttributeError):
        return {}
    return given if isinstance(given, Mapping) else {}


def missing_keys(failure: StartFailure) -> Iterator[str]:
    """A key that the plugin cannot do without, or one of several of which its error lists those that it knows."""
    known = failure.subject.known(failure.plugin)
    keys = (*known.all_keys, *known.also)
    lacking = [key for key in known.always if not failure.conf.get(key)]
    named = [key for key in dict.fromkeys(re.findall(r'"(\w+)"', failure.text)) if key in keys]
    if len(named) > 1 and not any(failure.conf.get(key) for key in named):
        yield f"{failure.plugin} wants one of the keys {', '.join(named)}, and none is given"
    elif len(lacking) == 1 and _is_about(lacking[0], failure.text):
        yield f"{failure.plugin} wants the key {lacking[0]!r}"


def _is_about(key: str, text: str) -> bool:
    """Whether an error speaks of a key, however it writes that: "vrf name" of ``vrfname``."""
    return key.lower() in re.sub(r"[^a-z0-9]", "", text.lower())
