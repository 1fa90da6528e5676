"""What differs between a matrix and what is expected of it, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from cnitest.errors import UsageError
from cnitest.lab.reach import Reach, Verdict
from cnitest.lab.reachability.grid import Cell, Grid
from cnitest.lab.reachability.truth import TruthTable, truth_table
from cnitest.text import lines

if TYPE_CHECKING:
    from cnitest.lab.explanation import Explanation

# So many cells are told one by one below their cause, and so many are sent once more to find their cause.
_MOST_CELLS = 12
_MOST_EXPLAINED = 48


class Differing(NamedTuple):
    """A cell that is not as expected; ``reach`` is what became of its probe (None: it could not be probed, ``why``)."""

    cell: Cell
    expected: bool
    reach: Reach | None
    why: str = ""

    @property
    def words(self) -> str:
        """What became of it."""
        return self.why if self.reach is None else self.reach.reason

    @property
    def lost(self) -> bool:
        """Whether its probe was dropped and should not have been."""
        return self.expected and self.reach is not None


@dataclass(frozen=True)
class Mismatch:
    """The cells that differ and those of which nothing can be said; true when there are any.

    As text it shows just these cells, those with the same cause together, with the explanation of the first.
    """

    size: int
    differing: tuple[Differing, ...] = ()
    unproven: tuple[Differing, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.differing or self.unproven)

    def __str__(self) -> str:
        return lines("\n".join(self._lines()))

    def _lines(self) -> Iterator[str]:
        if not self:
            yield f"reachability: all {self.size:,} cells are as expected"
        if self.differing:
            yield f"reachability: {len(self.differing):,} of {self.size:,} cells differ from what is expected"
            for head, cells, explanation in self.causes():
                yield f"  {head}: {_cells(len(cells))}"
                yield from (f"    {line}" for line in _some(cells))
                yield from (f"      {line}" for line in str(explanation or "").splitlines())
        if self.unproven:
            yield f"reachability: unproven: {_cells(len(self.unproven))} can neither be called delivered nor dropped"
            yield from (f"    {each.cell}: {each.words}" for each in self.unproven[:_MOST_CELLS])
            yield from _more(self.unproven)

    def causes(self) -> list[tuple[str, tuple[Differing, ...], Explanation | None]]:
        """The cells that differ by cause, the most frequent first: a headline, the cells, an explanation of one.

        Finds the causes out, which sends each of those probes once more, a few dozen at most; of more cells than these
        the others are told by where they were lost.
        """
        groups: dict[str, list[Differing]] = {}
        explained: dict[str, Explanation] = {}
        chosen = {each.cell for each in _spread([each for each in self.differing if each.lost])}
        for each in self.differing:
            head = _headline(each, asked=each.cell in chosen)
            groups.setdefault(head, []).append(each)
            if each.cell in chosen and each.reach is not None:
                explained.setdefault(head, each.reach.explanation)
        ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
        return [(head, tuple(cells), explained.get(head)) for head, cells in ordered]


def mismatch(matrix: Grid, expected: TruthTable | Mapping[str, Any] | Grid) -> Mismatch:
    """What differs. Raises UsageError for a matrix of other cells."""
    wanted = _outcomes(expected, matrix) if isinstance(expected, Grid) else truth_table(expected).outcomes(matrix)
    differing, unproven = [], []
    for cell, outcome in wanted.items():
        if outcome is None:
            continue
        reach = matrix.cells.get(cell)
        if reach is None:
            differing.append(Differing(cell, outcome, None, matrix.absent[cell]))
        elif reach.verdict is Verdict.UNPROVEN:
            unproven.append(Differing(cell, outcome, reach))
        elif (reach.verdict is Verdict.DELIVERED) != outcome:
            differing.append(Differing(cell, outcome, reach))
    return Mismatch(matrix.size, tuple(differing), tuple(unproven))


def _outcomes(other: Grid, matrix: Grid) -> dict[Cell, bool | None]:
    if {*other.cells, *other.absent} != {*matrix.cells, *matrix.absent}:
        raise UsageError(f"{matrix!r} and {other!r} are not of the same places and probes")
    known = {Verdict.DELIVERED: True, Verdict.DROPPED: False, Verdict.UNPROVEN: None}
    return {
        cell: known[other.cells[cell].verdict] if cell in other.cells else None
        for cell in (*matrix.cells, *matrix.absent)
    }


def _headline(each: Differing, *, asked: bool) -> str:
    """What is wrong with a cell, the same for all with the same cause; ``asked`` when the cause may be found out."""
    if each.reach is None:
        return f"expected {'delivered' if each.expected else 'dropped'}, but not probed: {each.why}"
    if not each.expected:
        return "expected dropped, but delivered"
    if not asked:
        return f"expected delivered, but dropped, cause not sought: {_loss(each.reach)}"
    cause = each.reach.cause
    if cause is None:
        return f"expected delivered, but dropped, cause not found: {_loss(each.reach)}"
    return f"expected delivered, but dropped by {cause.dropped_by} on {cause.place}".removesuffix(" on ")


def _loss(reach: Reach) -> str:
    """Where or how a probe was lost, without what tells it from others."""
    return f"last seen at {reach.path[-1]}" if reach.path else reach.reason


def _spread(cells: Sequence[Differing]) -> list[Differing]:
    """So many of the cells as are explained, from as many different losses as there are."""
    if len(cells) <= _MOST_EXPLAINED:
        return [*cells]
    groups: dict[str, list[Differing]] = {}
    for each in cells:
        groups.setdefault("" if each.reach is None else _loss(each.reach), []).append(each)
    found: list[Differing] = []
    for turn in range(_MOST_EXPLAINED):
        found += [group[turn] for group in groups.values() if turn < len(group)]
    return found[:_MOST_EXPLAINED]


def _cells(count: int) -> str:
    return f"{count:,} cell{'' if count == 1 else 's'}"


def _some(cells: Sequence[Differing]) -> Iterator[str]:
    yield from (str(each.cell) if each.lost else f"{each.cell}: {each.words}" for each in cells[:_MOST_CELLS])
    yield from _more(cells)


def _more(cells: Sequence[Differing]) -> Iterator[str]:
    if len(cells) > _MOST_CELLS:
        yield f"… and {_cells(len(cells) - _MOST_CELLS)} more"
