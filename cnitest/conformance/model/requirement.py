"""The registry of requirements: one sentence of the specification each, with its place and its reach.

The sentences are data, ``requirements/*.yaml``, one file a topic; what decides them is in the registry of checks,
``conformance/checks``.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from cnitest.cni import spec
from cnitest.conformance.model import data
from cnitest.errors import CnitestError
from cnitest.typos import nearest_few


class Level(enum.Enum):
    """How binding a sentence is, RFC 2119."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    MAY = "MAY"


class Kind(enum.Enum):
    """What a plugin is: it makes an interface, works on one that is there, or manages addresses."""

    INTERFACE = "interface"
    META = "meta"
    IPAM = "ipam"


@dataclass(frozen=True)
class Requirement:
    """One sentence a plugin is held to. ``section`` is of the specification (SPEC.md), ``since`` and ``until`` the
    first and last version it applies to, ``says`` the sentence, ``why`` what it is good for."""

    id: str
    topic: str
    level: Level
    section: str
    says: str
    why: str
    kinds: frozenset[Kind]
    since: str
    until: str

    def gap(self, kind: Kind, version: str) -> str:
        """Why it does not apply to a kind of plugin in a version; empty when it does."""
        if kind not in self.kinds:
            return f"it speaks of {' and '.join(_PLURAL[k] for k in Kind if k in self.kinds)}, not of {_PLURAL[kind]}"
        if not spec.between(self.since, version, self.until):
            return f"it holds {self._span()}"
        return ""

    def _span(self) -> str:
        if self.until == spec.VERSIONS[-1]:
            return f"from version {self.since} on"
        return f"up to version {self.until}" if self.since == spec.VERSIONS[0] else f"from {self.since} to {self.until}"


_PLURAL = {Kind.INTERFACE: "plugins that make an interface", Kind.META: "chained plugins", Kind.IPAM: "IPAM plugins"}


@cache
def registry() -> Mapping[str, Requirement]:
    """All requirements by ID, in the order of the specification's topics."""
    found = {}
    for topic in TOPICS:
        for key, entry in data.load(data.HERE / "requirements" / f"{topic}.yaml").items():
            found[str(key)] = _requirement(str(key), topic, entry)
    return MappingProxyType(found)


#: The files of requirements, in the order in which they are told.
TOPICS = (
    "protocol",
    "version",
    "add",
    "addfailure",
    "prevresult",
    "del",
    "check",
    "status",
    "gc",
    "delegation",
    "arguments",
    "concurrency",
    "traffic",
)


def find(identifier: str) -> Requirement:
    """The requirement of an ID. Raises CnitestError that names the nearest ones."""
    known = registry()
    by_case = {key.upper(): key for key in known}
    if identifier.upper() in by_case:
        return known[by_case[identifier.upper()]]
    close = nearest_few(identifier, known, 3)
    advice = f"; did you mean {', '.join(close)}?" if close else ""
    raise CnitestError(f"there is no requirement {identifier!r}{advice} (`cnitest requirements` lists them)")


def _requirement(identifier: str, topic: str, entry: Mapping[str, str]) -> Requirement:
    kinds = entry.get("kinds") or [kind.value for kind in Kind]
    return Requirement(
        id=identifier,
        topic=topic,
        level=Level(entry["level"]),
        section=entry["section"],
        says=entry["says"],
        why=entry["why"],
        kinds=frozenset(Kind(kind) for kind in kinds),
        since=entry.get("since", spec.VERSIONS[0]),
        until=entry.get("until", spec.VERSIONS[-1]),
    )
