"""Truth tables: what is expected of a matrix, in Python or YAML.

default: delivered
expect:
  node/*:                 # from
    node/db: dropped      # to: all probes
    node/web: {icmp: delivered, "tcp:80": dropped}
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from cnitest.errors import ConfigError, UsageError, is_ours
from cnitest.lab.reach import Verdict
from cnitest.lab.reachability.grid import Cell, Grid
from cnitest.topology.compose import lines_of
from cnitest.topology.decode import Decoder
from cnitest.topology.documents import read_file
from cnitest.topology.problem import Problem, child, listed
from cnitest.typos import did_you_mean

__tracebackhide__ = is_ours

#: What may be expected of a cell; of ``any`` nothing is.
OUTCOMES: Mapping[str, bool | None] = {"delivered": True, "dropped": False, "any": None}
_EMPTY = "a truth table needs 'expect': from: {to: delivered}, or 'default'"


class _Rule(NamedTuple):
    """What one line says, of whom and of what; ``path`` is where it stands."""

    path: str
    sender: str
    receiver: str
    probe: str
    outcome: bool | None


@dataclass(frozen=True)
class _Written:
    """What a file of a truth table holds."""

    default: str = "delivered"
    expect: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class TruthTable:
    """``{from: {to: outcome}}`` or ``{from: {to: {probe: outcome}}}``, ``default`` for what no line names.

    An outcome is ``"delivered"`` (or True), ``"dropped"`` (False) or ``"any"`` (None). From, to and probe are names or
    patterns as in a shell: ``*`` is everything, ``node/*`` all sandboxes of a host. Of two lines about a cell the later
    one holds, so general lines come first; a line that later ones overrule altogether is an error, as is a name that
    the matrix does not have.
    """

    expect: Mapping[str, Any] = field(default_factory=dict)
    default: str | bool | None = "delivered"
    source: str = field(default="", compare=False)
    _decoder: Decoder | None = field(default=None, compare=False, repr=False)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> TruthTable:
        """The truth table in a file of YAML. Raises ConfigError with every fault, ``FILE:LINE:COLUMN`` first."""
        written, decoder = read_file(Path(path), _Written, _EMPTY)
        found = cls(written.expect, written.default, str(path), decoder)
        found._raise([])
        return found

    def outcomes(self, matrix: Grid) -> dict[Cell, bool | None]:
        """What is expected of each cell of a matrix. Raises UsageError, of a file ConfigError, with every fault."""
        problems: list[Problem] = []
        rules = list(_rules(self.expect, problems))
        default = _outcome(self.default, "default", problems)
        places = dict.fromkeys((*matrix.senders, *matrix.receivers))
        for rule in rules:
            problems += _unknown(rule, matrix, tuple(places))
        decided: dict[Cell, int] = {}
        for at, rule in enumerate(rules):
            decided.update(dict.fromkeys(_named(rule, matrix), at))
        if not problems:
            problems += _overruled(rules, set(decided.values()), matrix)
        self._raise(problems)
        cells = (*matrix.cells, *matrix.absent)
        return {cell: rules[decided[cell]].outcome if cell in decided else default for cell in cells}

    def _raise(self, problems: Sequence[Problem]) -> None:
        if self._decoder is None:
            if problems:
                raise UsageError("\n".join(f"expected: {problem}" for problem in problems))
            return
        found = [*self._decoder.problems, *((self._decoder.place(each.path), each) for each in problems)]
        if found:
            raise ConfigError("\n".join(lines_of(self.source, found)))


def truth_table(given: TruthTable | Mapping[str, Any]) -> TruthTable:
    """The truth table that somebody means."""
    return given if isinstance(given, TruthTable) else TruthTable(given)


def _rules(table: Any, problems: list[Problem]) -> Iterator[_Rule]:
    if not isinstance(table, Mapping):
        problems.append(Problem("expect", f"expected a mapping from: {{to: outcome}}, not {table!r}"))
        return
    for sender, row in table.items():
        path = child("expect", str(sender))
        if not isinstance(row, Mapping):
            problems.append(
                Problem(path, f"expected a mapping to: outcome, not {row!r}; write {{'*': {row!r}}} for all")
            )
            continue
        for receiver, value in row.items():
            inner = child(path, str(receiver))
            probes = value if isinstance(value, Mapping) else {"*": value}
            for probe, outcome in probes.items():
                at = child(inner, str(probe)) if isinstance(value, Mapping) else inner
                yield _Rule(at, str(sender), str(receiver), str(probe), _outcome(outcome, at, problems))


def _outcome(given: Any, path: str, problems: list[Problem]) -> bool | None:
    if given is None or isinstance(given, bool):
        return given
    if isinstance(given, Verdict):
        given = given.value
    if isinstance(given, str) and given in OUTCOMES:
        return OUTCOMES[given]
    hint = did_you_mean(given, OUTCOMES) if isinstance(given, str) else ""
    problems.append(Problem(path, f"{given!r} is not one of {listed(OUTCOMES)}{hint}"))
    return None


def matching(pattern: str, names: Sequence[str]) -> list[str]:
    """The names that a pattern means: those it matches, or the one sandbox that is called so."""
    found = [name for name in names if fnmatchcase(name, pattern)]
    if not found and "/" not in pattern:
        found = [name for name in names if name.rpartition("/")[2] == pattern]
        return found if len(found) == 1 else []
    return found


def _named(rule: _Rule, matrix: Grid) -> Iterator[Cell]:
    """The cells that a rule is about."""
    probes = matching(rule.probe, matrix.probes)
    receivers = matching(rule.receiver, matrix.receivers)
    for sender in matching(rule.sender, matrix.senders):
        for receiver in receivers:
            if sender != receiver:
                yield from (Cell(sender, receiver, probe) for probe in probes)


def _unknown(rule: _Rule, matrix: Grid, places: Sequence[str]) -> Iterator[Problem]:
    """What a rule names that the matrix does not have."""
    parts = (("sender", rule.sender, matrix.senders), ("receiver", rule.receiver, matrix.receivers))
    missing = False
    for what, pattern, known in parts:
        if not matching(pattern, known):
            missing = True
            shorts = [name.rpartition("/")[2] for name in places]
            near = did_you_mean(pattern, [*known, *(short for short in shorts if shorts.count(short) == 1)])
            yield Problem(rule.path, f"the matrix has no {what} {pattern!r}{near or f'. It has {_few(known)}'}")
    if not matching(rule.probe, matrix.probes):
        missing = True
        near = did_you_mean(rule.probe, matrix.probes)
        yield Problem(rule.path, f"the matrix has no probe {rule.probe!r}{near or f'. It has {_few(matrix.probes)}'}")
    if not missing and not any(True for _ in _named(rule, matrix)):
        yield Problem(rule.path, f"names only {rule.sender} itself, which is not probed from there")


def _few(names: Sequence[str], most: int = 12) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def _overruled(rules: Sequence[_Rule], deciding: set[int], matrix: Grid) -> Iterator[Problem]:
    """The rules that decide nothing."""
    for at, rule in enumerate(rules):
        if at not in deciding and any(True for _ in _named(rule, matrix)):
            yield Problem(rule.path, "decides nothing: later lines name all of it again; put general lines first")
