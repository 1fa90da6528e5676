"""A matrix as a table in characters: places that are alike share a row, probes that are alike a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from cnitest.lab.reach import Verdict
from cnitest.lab.reachability.grid import Cell, Grid
from cnitest.text import lines

_SYMBOLS = {Verdict.DELIVERED: "✓", Verdict.DROPPED: "✗", Verdict.UNPROVEN: "?"}
_ABSENT, _ITSELF = "-", "·"
_WORDS = {"✓": "delivered", "✗": "dropped", "?": "unproven", _ABSENT: "no address"}
_LEGEND = "✓ delivered  ✗ dropped  ? unproven  - no address"
# So many places have a row each.
_FEW = 12
# More rows than that no one reads; what is rarer is then listed instead.
_MOST_ROWS = 24
_WIDEST = 110
_MOST_LISTED, _MOST_NAMES = 20, 6


class _Row(NamedTuple):
    """Places that are alike, by their numbers among the senders or receivers."""

    name: str
    members: tuple[int, ...]


def table(matrix: Grid) -> str:
    """The whole matrix as text of bounded size."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for probe in matrix.probes:
        groups.setdefault(_rows(matrix, probe), []).append(probe)
    found = [f"reachability, from row to column: {matrix.counts}"]
    drawn = [line for rows, probes in groups.items() for line in _one(matrix, rows, probes)]
    if any(line.startswith("  ") for line in drawn):
        drawn.append(_LEGEND)
    return lines("\n".join([*found, *drawn]))


def _rows(matrix: Grid, probe: str) -> tuple[str, ...]:
    """A text of symbols for each sender."""
    return tuple(
        "".join(_symbol(matrix, Cell(sender, receiver, probe)) for receiver in matrix.receivers)
        for sender in matrix.senders
    )


def _symbol(matrix: Grid, cell: Cell) -> str:
    reach = matrix.cells.get(cell)
    if reach is None:
        return _ABSENT if cell in matrix.absent else _ITSELF
    return _SYMBOLS[reach.verdict]


def _one(matrix: Grid, rows: tuple[str, ...], probes: Sequence[str]) -> Iterator[str]:
    """The table of probes that are alike."""
    head = ", ".join(probes)
    symbols = {symbol for row in rows for symbol in row} - {_ITSELF}
    if len(symbols) == 1:
        yield f"{head}: all {_WORDS[symbols.pop()]}"
        return
    yield f"{head}:"
    if max(len(matrix.senders), len(matrix.receivers)) <= _FEW:
        senders, receivers = _each(matrix.senders), _each(matrix.receivers)
        alike = senders
    elif matrix.senders == matrix.receivers:
        alike = senders = receivers = _classes(matrix.senders, rows)
    else:
        senders = _same(matrix.senders, rows)
        receivers = _same(matrix.receivers, ["".join(column) for column in zip(*rows, strict=True)])
        alike = max(senders, receivers, key=len)
    if len(alike) > _MOST_ROWS:
        yield from _listed(matrix, rows)
        return
    yield from _drawn(rows, senders, receivers)
    yield from _members(matrix.senders, senders)
    yield from _members(matrix.receivers, [row for row in receivers if row not in senders])


def _classes(names: Sequence[str], rows: Sequence[str]) -> list[_Row]:
    """The places of which each could be swapped for another of its row, the rest of the table staying as it is."""
    columns = ["".join(column) for column in zip(*rows, strict=True)]
    found: list[list[int]] = []
    for at in range(len(names)):
        for members in found:
            first = members[0]
            inside = rows[first][members[-1]] if len(members) > 1 else rows[first][at]
            if {rows[first][at], rows[at][first]} == {inside} and all(
                _without(lines[first], first, at) == _without(lines[at], first, at) for lines in (rows, columns)
            ):
                members.append(at)
                break
        else:
            found.append([at])
    return _named(names, found)


def _without(line: str, first: int, second: int) -> str:
    return line[:first] + line[first + 1 : second] + line[second + 1 :]


def _each(names: Sequence[str]) -> list[_Row]:
    return [_Row(name, (at,)) for at, name in enumerate(names)]


def _same(names: Sequence[str], rows: Sequence[str]) -> list[_Row]:
    found: dict[str, list[int]] = {}
    for at, row in enumerate(rows):
        found.setdefault(row, []).append(at)
    return _named(names, [*found.values()])


def _named(names: Sequence[str], groups: Sequence[Sequence[int]]) -> list[_Row]:
    return [_Row(_together([names[at] for at in group], run=_is_run(group)), tuple(group)) for group in groups]


def _is_run(group: Sequence[int]) -> bool:
    return group[-1] - group[0] == len(group) - 1


def _together(names: Sequence[str], *, run: bool) -> str:
    if len(names) == 1:
        return names[0]
    return f"{names[0]} … {names[-1]} ({len(names)})" if run else f"{names[0]} and {len(names) - 1} more"


def _members(names: Sequence[str], rows: Sequence[_Row]) -> Iterator[str]:
    """Who shares a row, where its name does not say it."""
    for row in dict.fromkeys(rows):
        if not _is_run(row.members):
            yield f"  {row.name}: {_few([names[at] for at in row.members], 2 * _MOST_NAMES)}"


def _few(names: Sequence[str], most: int = _MOST_NAMES) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def _drawn(rows: Sequence[str], senders: Sequence[_Row], receivers: Sequence[_Row]) -> Iterator[str]:
    """A row for each class of senders; columns have names where these fit, else the numbers of a list."""
    width = max(len(row.name) for row in senders)
    heads = [row.name for row in receivers]
    if width + sum(len(head) + 2 for head in heads) > _WIDEST:
        numbered = {row.name: str(at) for at, row in enumerate(receivers, 1)}
        names = [f"{numbered[row.name]} {row.name}" if row.name in numbered else row.name for row in senders]
        width, heads = max(map(len, names)), [*numbered.values()]
        yield from (f"  column {at}: {row.name}" for at, row in enumerate(receivers, 1) if row not in senders)
    else:
        names = [row.name for row in senders]
    yield f"  {'':{width}}  {'  '.join(heads)}".rstrip()
    for name, row in zip(names, senders, strict=True):
        symbols = [_between(rows, row, column) for column in receivers]
        cells = "  ".join(f"{symbol:^{len(head)}}" for symbol, head in zip(symbols, heads, strict=True))
        yield f"  {name:{width}}  {cells}".rstrip()


def _between(rows: Sequence[str], row: _Row, column: _Row) -> str:
    """What holds from each of a class to each of another: from one to itself nothing does."""
    return next((rows[a][b] for a in row.members for b in column.members if rows[a][b] != _ITSELF), _ITSELF)


def _listed(matrix: Grid, rows: Sequence[str]) -> Iterator[str]:
    """The rarer cells of each sender, where there are too many rows to draw."""
    counted = {symbol: sum(row.count(symbol) for row in rows) for symbol in _WORDS}
    usual = max(counted, key=lambda symbol: counted[symbol])
    found = []
    for sender, row in zip(matrix.senders, rows, strict=True):
        for symbol in _WORDS:
            to = [name for name, one in zip(matrix.receivers, row, strict=True) if one == symbol != usual]
            if to:
                found.append(f"  {symbol} {sender} → {_few(to)}")
    yield f"  {_WORDS[usual]}, but for:"
    yield from found[:_MOST_LISTED]
    if len(found) > _MOST_LISTED:
        yield f"  … and {len(found) - _MOST_LISTED:,} more rows"
