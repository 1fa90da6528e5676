"""The registry of requirements: one sentence of the specification each, with its place and its reach.

The sentences are data, ``requirements/*.yaml``, one file a topic; what decides them is in the registry of checks,
``conformance/checks``.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from cnitest.cni import spec
from cnitest.errors import CnitestError
from cnitest.topology import documents
from cnitest.topology.problem import Problem
from cnitest.typos import nearest, nearest_few

_HERE = Path(__file__).parent / "requirements"


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
    """One sentence a plugin is checked against. ``section`` is of the specification (SPEC.md), ``since`` and
    ``until`` the first and last version it applies to, ``says`` the sentence, ``why`` what it is good for."""

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
    found: dict[str, Requirement] = {}
    for topic in TOPICS:
        found |= {key: _requirement(key, topic, row) for key, row in read(_HERE / f"{topic}.yaml").items()}
    return MappingProxyType(found)


@dataclass(frozen=True)
class Row:
    """A requirement as it is written, below its ID."""

    level: Literal["MUST", "SHOULD", "MAY"]
    section: str
    says: str
    why: str
    kinds: tuple[Literal["interface", "meta", "ipam"], ...] = ("interface", "meta", "ipam")
    since: str = spec.VERSIONS[0]
    until: str = spec.VERSIONS[-1]


def read(path: Path) -> Mapping[str, Row]:
    """The requirements of a file by ID. Raises ConfigError with every fault's line, column and path."""
    found: Mapping[str, Row] = documents.table(path, Mapping[str, Row], "it is a mapping of requirements", _problems)
    return found


def _problems(rows: Mapping[str, Row]) -> Iterator[Problem]:
    for identifier, row in rows.items():
        for name in ("since", "until"):
            if not spec.is_version(version := getattr(row, name)):
                close = nearest(version, spec.VERSIONS)
                yield Problem(f"{identifier}.{name}", f"{version!r} is no version. Did you mean {close!r}?")


#: The files of requirements, in the order in which they are listed.
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
    found = _by_upper_case().get(identifier.upper())
    if found:
        return found
    topic, dash, number = identifier.upper().partition("-")
    padded = f"{topic}-{number.zfill(2)}" if dash else ""
    close = [padded] if padded in registry() else nearest_few(identifier, registry(), 3)
    advice = f"; did you mean {', '.join(close)}?" if close else ""
    raise CnitestError(f"there is no requirement {identifier!r}{advice} (`cnitest requirements` lists them)")


@cache
def _by_upper_case() -> Mapping[str, Requirement]:
    return {identifier.upper(): found for identifier, found in registry().items()}


def _requirement(identifier: str, topic: str, row: Row) -> Requirement:
    return Requirement(
        id=identifier,
        topic=topic,
        level=Level(row.level),
        section=row.section,
        says=row.says,
        why=row.why,
        kinds=frozenset(Kind(kind) for kind in row.kinds),
        since=row.since,
        until=row.until,
    )
