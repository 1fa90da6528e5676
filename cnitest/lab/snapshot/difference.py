"""What changed between two states, as data: the rows before and after; words are made when they are shown."""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from cnitest.kernel.rows.records import Vlan
from cnitest.lab import argument_checks, arguments
from cnitest.lab.snapshot import words
from cnitest.lab.snapshot.firewall_line import FirewallLine
from cnitest.lab.snapshot.state import State
from cnitest.lab.snapshot.tables import TABLES, TITLES, Table, counted, fields, telling

_SYSCTL = "sysctl"


class Change(NamedTuple):
    """A field of a row that differs; None where the row was not there. Of a line of text the name is empty."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True, eq=False)
class Difference:
    """One thing that differs: ``before`` is None when it appeared, ``after`` when it vanished.

    Both are rows of ``table`` (see `cnitest.kernel.rows.records`): a `Link` of ``links``, a `File` of ``files``. Of
    ``sysctl`` they are the values, of a firewall's backend its lines (`FirewallLine`), both text. ``key`` is what
    tells a row from the others of its table. Two differences are equal when they read the same.
    """

    table: str
    key: str
    before: Any
    after: Any

    @property
    def row(self) -> Any:
        """The row as it is, else as it was."""
        return self.before if self.after is None else self.after

    @property
    def appeared(self) -> bool:
        """Whether it was not there before."""
        return self.before is None

    @property
    def vanished(self) -> bool:
        """Whether it is not there any more."""
        return self.after is None

    @property
    def changed(self) -> bool:
        """Whether it was there and still is, otherwise."""
        return self.before is not None and self.after is not None

    @property
    def undone(self) -> Difference:
        """The difference the other way: what appeared vanishes."""
        return Difference(self.table, self.key, self.after, self.before)

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """The fields that differ; of a row that appeared or vanished those that say something unusual."""
        table = TABLES.get(self.table)
        if table is None:
            return (Change("", self.before, self.after),)
        if self.changed:
            return tuple(_changed(table, self.before, self.after))
        values = telling(table, self.row)
        return tuple(
            Change(name, None, value) if self.appeared else Change(name, value, None) for name, value in values
        )

    def mentioned(self, name: str) -> Any:
        """The value of a field that is among the changes, as it is, else as it was; None when it is not."""
        found = (change for change in self.changes if change.name == name)
        return next((change.before if change.after is None else change.after for change in found), None)

    @property
    def before_words(self) -> str:
        """What it was, in words; empty when it was not there."""
        return "" if self.appeared else self._words([(each.name, each.before) for each in self.changes], "was there")

    @property
    def after_words(self) -> str:
        """What it is, in words; empty when it is not there."""
        return "" if self.vanished else self._words([(each.name, each.after) for each in self.changes], "is new")

    def _words(self, values: Iterable[tuple[str, Any]], otherwise: str) -> str:
        shown = repr if self.table == _SYSCTL else str
        parts = [
            f"{name}={words.plain(name, '' if value is None else value)}" if name else shown(value)
            for name, value in values
        ]
        return (", " if self.changed else " ").join(parts) or otherwise

    @property
    def old(self) -> Any:
        """The former name of ``before``."""
        warnings.warn("Difference.old is Difference.before now", DeprecationWarning, stacklevel=2)
        return self.before

    @property
    def new(self) -> Any:
        """The former name of ``after``."""
        warnings.warn("Difference.new is Difference.after now", DeprecationWarning, stacklevel=2)
        return self.after

    def _identity(self) -> tuple[object, ...]:
        return self.table, self.key, self.appeared, self.vanished, self.changes

    def __eq__(self, other: object) -> bool:
        return self._identity() == other._identity() if isinstance(other, Difference) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._identity())

    def __repr__(self) -> str:
        return f"<Difference {self}>"

    def __str__(self) -> str:
        title = TITLES.get(self.table, self.table)
        if self.appeared:
            return f"+ {title} {self.key}: {self.after_words}"
        if self.vanished:
            return f"- {title} {self.key}: {self.before_words}"
        return f"~ {title} {self.key}: {self.before_words} -> {self.after_words}"


def matches(pattern: re.Pattern[str], words: str) -> bool:
    """Whether a pattern is found in words about a difference, as they are or as they were: the titles of tables were
    their names before."""
    return bool(pattern.search(words)) or (
        any(f"{title} " in words for title in TITLES.values()) and bool(pattern.search(_former(words)))
    )


def _former(words: str) -> str:
    for name, title in TITLES.items():
        words = re.sub(rf"(?<=[-+~] ){title} ", f"{name} ", words)
    return words


def _changed(table: Table, old: Any, new: Any) -> Iterator[Change]:
    was, now = fields(table, old), fields(table, new)
    for name in dict.fromkeys((*was, *now)):
        if was.get(name) != now.get(name):
            yield Change(name, was.get(name), now.get(name))


def difference(before: State, after: State) -> tuple[Difference, ...]:
    """Everything that is not the same in two states of one place, in a stable order; empty when nothing is.

    Raises UsageError for what is no state.
    """
    arguments.expect("difference", argument_checks.state, before=before, after=after)
    found: list[Difference] = []
    lasting = {link.name for link in before.links} & {link.name for link in after.links}
    for name, table in TABLES.items():
        found += _rows(name, table, *(_counted_rows(getattr(state, name), lasting) for state in (before, after)))
    found += _sysctls(*(_of_lasting(state, lasting) for state in (before, after)))
    for backend in sorted({*before.firewall, *after.firewall}):
        found += _lines(backend, before.firewall.get(backend, ()), after.firewall.get(backend, ()))
    return tuple(found)


def _counted_rows(rows: Sequence[Any], lasting: set[str]) -> Sequence[Any]:
    """The rows less those that a link came or went with: a port's first VLAN."""
    if not rows or not isinstance(rows[0], Vlan):
        return rows
    return [row for row in rows if row.link in lasting or row.flags != ("pvid", "untagged")]


def _rows(name: str, table: Table, before: Sequence[Any], after: Sequence[Any]) -> Iterable[Difference]:
    if before == after:
        return
    old, new = _by_key(table, before), _by_key(table, after)
    for key in sorted({*old, *new}):
        gone, come = _unequal(table, old.get(key, []), new.get(key, []))
        pairs = 0 if table.whole else min(len(gone), len(come))
        for was, now in zip(gone[:pairs], come[:pairs], strict=True):
            yield Difference(name, key, was, now)
        for row in gone[pairs:]:
            yield Difference(name, key, row, None)
        for row in come[pairs:]:
            yield Difference(name, key, None, row)


def _by_key(table: Table, rows: Iterable[Any]) -> dict[str, list[Any]]:
    """The rows that count; two of one key, such as rules of one priority, are two."""
    found: dict[str, list[Any]] = {}
    for row in rows:
        if not table.ignored(row):
            found.setdefault(table.key(row), []).append(table.view(row))
    return found


def _unequal(table: Table, before: list[Any], after: list[Any]) -> tuple[list[Any], list[Any]]:
    """The rows of one key that have no equal on the other side."""
    gone, come = [], list(after)
    for row in before:
        equal = next((other for other in come if counted(table, row) == counted(table, other)), None)
        if equal is None:
            gone.append(row)
        else:
            come.remove(equal)
    return gone, come


def _of_lasting(state: State, lasting: set[str]) -> Mapping[str, str]:
    """The sysctls less those of links that came or went: the links themselves say so."""
    others = [f".{link.name}." for link in state.links if link.name not in lasting]
    return {name: value for name, value in state.sysctls.items() if not any(each in name for each in others)}


def _sysctls(before: Mapping[str, str], after: Mapping[str, str]) -> Iterable[Difference]:
    for key in sorted({*before, *after}):
        if before.get(key) != after.get(key):
            yield Difference(_SYSCTL, key, before.get(key), after.get(key))


def _lines(backend: str, before: tuple[str, ...], after: tuple[str, ...]) -> Iterable[Difference]:
    for line in difflib.ndiff(before, after):
        if line.startswith("- "):
            yield Difference(backend, "rule", FirewallLine(line[2:]), None)
        elif line.startswith("+ "):
            yield Difference(backend, "rule", None, FirewallLine(line[2:]))
