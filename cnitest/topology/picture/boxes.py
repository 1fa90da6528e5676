"""Boxes in rows and the straight wires between neighbouring rows, in characters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from textwrap import wrap
from typing import NamedTuple

_GAP = 2
_FRAME = 4  # "│ " and " │"


@dataclass(frozen=True)
class Box:
    """Text in a frame, with its title in the upper border; ``key`` is what wires call it."""

    key: str
    title: str
    lines: tuple[str, ...]
    least: int = 8

    @property
    def width(self) -> int:
        """How many columns it takes at least."""
        return max(len(self.title) + 6, self.least, *(len(line) + _FRAME for line in self.lines or ("",)))

    def render(self, width: int, height: int) -> list[str]:
        """The box as ``height`` lines of ``width`` columns."""
        top = f"┌─ {self.title} ".ljust(width - 1, "─") + "┐"
        blank = [""] * (height - 2 - len(self.lines))
        body = [f"│ {line.ljust(width - _FRAME)} │" for line in (*self.lines, *blank)]
        return [top, *body, "└" + "─" * (width - 2) + "┘"]


class Wire(NamedTuple):
    """A wire between two boxes, and what each of its ends is called."""

    one: str
    other: str
    one_label: str
    other_label: str

    def turned(self) -> Wire:
        """The same wire seen from its other end."""
        return Wire(self.other, self.one, self.other_label, self.one_label)


class _Put(NamedTuple):
    """A box with its first and last column."""

    box: Box
    left: int
    right: int


def fold(text: str, width: int) -> list[str]:
    """``text`` in lines of at most ``width``, as far in as it is; all but the first further in."""
    body = text.lstrip(" ")
    lead = " " * min(len(text) - len(body), width // 2)
    return wrap(body, width, initial_indent=lead, subsequent_indent=lead + "  ", break_on_hyphens=False) or [""]


def in_rows(boxes: Iterable[Box], width: int) -> list[list[Box]]:
    """The boxes in rows of at most ``width`` columns, in order."""
    rows: list[list[Box]] = []
    used = width
    for box in boxes:
        used += _GAP + box.width
        if used > width or not rows:
            rows.append([])
            used = box.width
        rows[-1].append(box)
    return rows


def stack(rows: Sequence[Sequence[Box]], wires: Sequence[Wire], width: int) -> list[str]:
    """The rows from top to bottom; a wire between neighbours is drawn where a straight line finds room."""
    rows = [_beside_title(row, below, width) for row, below in zip_longest(rows, rows[1:], fillvalue=())]
    widest = max(map(_width, rows), default=0)
    lines: list[str] = []
    above: list[_Put] = []
    for row in rows:
        puts = _put(row, widest)
        drawn = _render(puts)
        if above:
            lines, drawn = _join(lines, above, drawn, puts, wires, width)
        lines += drawn
        above = puts
    return lines


def _width(row: Sequence[Box]) -> int:
    return sum(box.width + _GAP for box in row) - _GAP


def _beside_title(row: Sequence[Box], below: Sequence[Box], width: int) -> list[Box]:
    """The row, its first box widened where that lets its wire pass the title of a wide box below."""
    first, *rest = row
    wanted = len(below[0].title) + 8 if len(below) == 1 else 0
    wider = replace(first, least=max(first.least, wanted))
    return [wider, *rest] if _width([wider, *rest]) <= width else [*row]


def _put(row: Sequence[Box], widest: int) -> list[_Put]:
    """Where the boxes of a row stand; one alone is as wide as the widest row, for straight wires."""
    puts, left = [], 0
    for box in row:
        columns = max(box.width, widest) if len(row) == 1 else box.width
        puts.append(_Put(box, left, left + columns - 1))
        left += columns + _GAP
    return puts


def _render(puts: Sequence[_Put]) -> list[str]:
    height = max(len(put.box.lines) for put in puts) + 2
    drawn = [put.box.render(put.right - put.left + 1, height) for put in puts]
    return [(" " * _GAP).join(parts) for parts in zip(*drawn, strict=True)]


def _join(
    lines: list[str], above: list[_Put], drawn: list[str], below: list[_Put], wires: Sequence[Wire], width: int
) -> tuple[list[str], list[str]]:
    """The upper lines with their wires hanging down, and the lower ones with the wires arriving."""
    routed = list(_route(above, below, drawn[0], wires, width))
    if not routed:
        return lines, drawn
    columns = [column for column, _ in routed]
    bottom, top = _replace(lines[-1], columns, "┬"), _replace(drawn[0], columns, "┴")
    labels = [[wire.one_label for _, wire in routed], [wire.other_label for _, wire in routed]]
    channel = [_channel(columns, each) for each in labels if any(each)]
    return [*lines[:-1], bottom, *(channel or [_channel(columns, [""] * len(columns))])], [top, *drawn[1:]]


def _route(
    above: Sequence[_Put], below: Sequence[_Put], border: str, wires: Sequence[Wire], width: int
) -> Iterator[tuple[int, Wire]]:
    taken: set[int] = set()
    for upper in above:
        for lower in below:
            for wire in _between(upper.box.key, lower.box.key, wires):
                room = 2 + max(len(wire.one_label), len(wire.other_label))
                column = _column(upper, lower, border, room, taken, width)
                if column is not None:
                    taken |= set(range(column - 1, column + room + 1))
                    yield column, wire


def _between(upper: str, lower: str, wires: Sequence[Wire]) -> Iterator[Wire]:
    for wire in wires:
        if {wire.one, wire.other} == {upper, lower}:
            yield wire if wire.one == upper else wire.turned()


def _column(upper: _Put, lower: _Put, border: str, room: int, taken: set[int], width: int) -> int | None:
    """The free column nearest to the middle where a wire with its labels fits, or None."""
    first, last = max(upper.left, lower.left) + 2, min(upper.right, lower.right) - 2
    middle = (first + last) // 2
    for column in sorted(range(first, last + 1), key=lambda each: (abs(each - middle), each)):
        free = taken.isdisjoint(range(column, column + room)) and column + room <= width
        if free and border[column] == "─":
            return column
    return None


def _replace(line: str, columns: Iterable[int], mark: str) -> str:
    characters = list(line)
    for column in columns:
        characters[column] = mark
    return "".join(characters)


def _channel(columns: Sequence[int], labels: Sequence[str]) -> str:
    line = ""
    for column, label in sorted(zip(columns, labels, strict=True)):
        line = f"{line.ljust(column)}│ {label}"
    return line.rstrip()
