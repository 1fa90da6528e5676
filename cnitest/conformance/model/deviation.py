"""Known deviations of known plugins, and what every Go plugin inherits: data with reasons, matched by detail."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cnitest.cni import library, releases, spec
from cnitest.conformance.model.subject import Subject
from cnitest.lab.snapshot.difference import matches
from cnitest.topology import documents
from cnitest.topology.problem import Problem

#: The plugin's name in the table for whatever is built on CNI's own Go library.
SKEL = "skel"
#: The newest release of that library whose behaviour the table was compared with.
COMPARED = "v1.3.0"


@dataclass(frozen=True)
class Deviation:
    """One way in which plugins are known not to hold a requirement.

    ``shows`` are patterns; a finding is known when each of its details matches one. ``since`` and ``until`` bound the
    version that is spoken, ``newest`` the highest version that the plugin advertises, which shows its release.
    ``releases`` bound the release of the reference plugins, both included; a plugin that is of none is within every
    bound. ``needs`` are keys that the configuration must have; ``sometimes`` is why it may not show. ``fixed`` is the
    first release of CNI's Go library that does otherwise, empty while none does.
    """

    number: int
    requirement: str
    plugins: tuple[str, ...]
    shows: tuple[re.Pattern[str], ...]
    reason: str
    link: str
    since: str
    until: str
    newest: tuple[str, str]
    releases: tuple[str, str]
    needs: tuple[str, ...]
    sometimes: str
    fixed: str = ""

    @property
    def inherited(self) -> bool:
        """Whether it comes with CNI's Go library, so that a plugin's author cannot fix it."""
        return SKEL in self.plugins

    def concerns(self, requirement: str, subject: Subject, version: str) -> bool:
        """Whether it speaks of a requirement of a subject in a version."""
        if requirement != self.requirement:  # of most rows nothing else has to be asked
            return False
        mine = subject.skel if self.inherited else bool({subject.plugin, nickname(subject)} & set(self.plugins))
        newest = subject.advertised[-1] if subject.advertised else subject.highest
        return (
            mine
            and (not self.fixed or library.is_before(subject.library, self.fixed))
            and spec.between(self.since, version, self.until)
            and (not spec.is_version(newest) or spec.between(self.newest[0], newest, self.newest[1]))
            and _within(subject.release, *self.releases)
            and all(_has(subject, key) for key in self.needs)
        )

    def covers(self, detail: str) -> bool:
        """Whether a detail of a finding is what it says."""
        return any(matches(pattern, detail) for pattern in self.shows)


@dataclass(frozen=True)
class _Row:
    """A deviation as it is written; one plugin or pattern may stand for a list of them."""

    requirement: str
    plugin: str | tuple[str, ...]
    shows: str | tuple[str, ...]
    reason: str
    link: str = ""
    since: str = spec.VERSIONS[0]
    until: str = spec.VERSIONS[-1]
    newest_since: str = spec.VERSIONS[0]
    newest_until: str = spec.VERSIONS[-1]
    release_since: str = ""
    release_until: str = ""
    needs: tuple[str, ...] = ()
    sometimes: str = ""
    fixed: str = ""


def inheritance(subject: Subject, numbers: Sequence[int]) -> str:
    """What a plugin inherits by some rows of the table, from which release, and whether building against a newer one
    fixes it; empty without a row about CNI's Go library."""
    rows = [entry for entry in table() if entry.number in numbers and entry.inherited]
    words = " ".join(dict.fromkeys(f"{entry.reason} {_remedy(entry)}" for entry in rows))
    return f"from {library.MODULE} {_release(subject)}: {words}" if words else ""


def _release(subject: Subject) -> str:
    return subject.library if subject.library.startswith("v") else "(the binary does not say which release)"


def _remedy(entry: Deviation) -> str:
    if entry.fixed:
        return f"{entry.fixed} fixes it: build the plugin against that or a newer release."
    return f"Building against a newer release does not fix it: {COMPARED} does the same."


def nickname(subject: Subject) -> str:
    """The name in a plugin's banner ('CNI bridge plugin v1.9.1'), for one that was renamed."""
    found = re.match(r"CNI (\S+) plugin", subject.banner)
    return found[1] if found else subject.plugin


@cache
def table() -> tuple[Deviation, ...]:
    """All known deviations."""
    return read(Path(__file__).parent / "deviations.yaml")


def read(path: Path) -> tuple[Deviation, ...]:
    """The deviations in a file. Raises ConfigError with every fault's line, column and path."""
    rows = documents.table(path, tuple[_Row, ...], "it is a list of deviations", _problems)
    return tuple(_deviation(number, row) for number, row in enumerate(rows))


def _problems(rows: Sequence[_Row]) -> Iterator[Problem]:
    for number, row in enumerate(rows):
        for pattern in _several(row.shows):
            if why := documents.no_pattern(pattern):
                yield Problem(f"[{number}].shows", why)


def concerning(requirement: str, subject: Subject, version: str) -> tuple[Deviation, ...]:
    """Those that speak of a requirement of a subject in a version."""
    return tuple(entry for entry in table() if entry.concerns(requirement, subject, version))


def unexplained(details: Sequence[str], known: Sequence[Deviation]) -> list[str]:
    """The details that no known deviation covers."""
    return [detail for detail in details if not any(entry.covers(detail) for entry in known)]


def _deviation(number: int, row: _Row) -> Deviation:
    return Deviation(
        number=number,
        requirement=row.requirement,
        plugins=_several(row.plugin),
        shows=tuple(re.compile(pattern) for pattern in _several(row.shows)),
        reason=row.reason,
        link=row.link,
        since=row.since,
        until=row.until,
        newest=(row.newest_since, row.newest_until),
        releases=(row.release_since, row.release_until),
        needs=row.needs,
        sometimes=row.sometimes,
        fixed=row.fixed,
    )


def _within(release: str, since: str, until: str) -> bool:
    order = releases.order
    after = not since or order(release) >= order(since)
    return not release or (after and (not until or order(release) <= order(until)))


def _several(given: str | tuple[str, ...]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else given


def _has(subject: Subject, key: str) -> bool:
    """Whether a configuration, or one before it, says something under a key; ``key=value`` wants that value."""
    name, _, wanted = key.partition("=")
    for conf in (subject.conf, *subject.before):
        value: Any = conf
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value and (not wanted or str(value) == wanted):
            return True
    return False
