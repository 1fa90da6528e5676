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

# So many cells are listed one by one below their cause, so many causes with their cells, and so many in a line each.
_MOST_CELLS, _MOST_CAUSES, _MOST_LINES = 12, 12, 24
# So many probes are sent once more to find their cause.
_MOST_EXPLAINED = 32


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


class Group(NamedTuple):
    """Cells that differ for the same cause; ``what`` says it, ``explanation`` is that of the first. ``likely`` are
    cells that were lost at the same point, whose own cause was not sought."""

    what: str
    cells: tuple[Differing, ...]
    explanation: Explanation | None = None
    likely: tuple[Differing, ...] = ()


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
            groups = self.causes()
            for at, group in enumerate(groups[:_MOST_LINES]):
                yield from (f"  {line}" for line in _group_lines(group, whole=at < _MOST_CAUSES))
            if len(groups) > _MOST_LINES:
                rest = sum(len(each.cells) + len(each.likely) for each in groups[_MOST_LINES:])
                yield f"  … and {len(groups) - _MOST_LINES:,} more such groups: {_cells(rest)}"
        if self.unproven:
            yield f"reachability: unproven: {_cells(len(self.unproven))} can neither be called delivered nor dropped"
            yield from (f"    {each.cell}: {each.words}" for each in self.unproven[:_MOST_CELLS])
            yield from (f"    {line}" for line in _more(self.unproven))

    def causes(self) -> list[Group]:
        """The cells that differ by cause, the most frequent first.

        Finds the causes out, which sends each of those probes once more, a few dozen at most, of as many different
        losses as there are: of more cells than these the others are listed with those that were lost at the same point.
        """
        lost = [each for each in self.differing if each.lost]
        sought = {each.cell for each in _spread(lost)}
        cells: dict[str, list[Differing]] = {}
        at: dict[str, list[str]] = {}
        for each in self.differing:
            if each.cell in sought or not each.lost:
                head = _headline(each)
                cells.setdefault(head, []).append(each)
                at.setdefault(_loss(each), []).append(head)
        likely: dict[str, list[Differing]] = {}
        for each in lost:
            if each.cell not in sought:
                heads = {*at.get(_loss(each), ())}
                likely.setdefault(heads.pop() if len(heads) == 1 else _NOT_SOUGHT, []).append(each)
        found = [
            Group(head, tuple(cells.get(head, ())), _explanation(cells.get(head, ())), tuple(likely.get(head, ())))
            for head in dict.fromkeys((*cells, *likely))
        ]
        return sorted(found, key=lambda group: -len(group.cells) - len(group.likely))


_NOT_SOUGHT = "expected delivered, but dropped, cause not sought"


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


def _headline(each: Differing) -> str:
    """What is wrong with a cell, the same for all with the same cause, which is found out."""
    if each.reach is None:
        return f"expected {'delivered' if each.expected else 'dropped'}, but not probed: {each.why}"
    if not each.expected:
        return "expected dropped, but delivered"
    cause = each.reach.cause
    if cause is None:
        return f"expected delivered, but dropped, cause not found: {_loss(each)}"
    return f"expected delivered, but dropped by {cause.dropped_by} on {cause.place}".removesuffix(" on ")


def _explanation(cells: Sequence[Differing]) -> Explanation | None:
    lost = [each.reach for each in cells if each.lost and each.reach is not None]
    return lost[0].explanation if lost else None


def _loss(each: Differing) -> str:
    """Where or how a probe was lost, without what tells it from others."""
    if each.reach is None:
        return each.why
    if each.reach.return_path:
        return f"the reply was last seen at {each.reach.return_path[-1]}"
    return f"last seen at {each.reach.path[-1]}" if each.reach.path else each.reach.reason


def _spread(cells: Sequence[Differing]) -> list[Differing]:
    """So many of the cells as are explained, from as many different losses as there are."""
    if len(cells) <= _MOST_EXPLAINED:
        return [*cells]
    groups: dict[str, list[Differing]] = {}
    for each in cells:
        groups.setdefault(_loss(each), []).append(each)
    found: list[Differing] = []
    for turn in range(_MOST_EXPLAINED):
        found += [group[turn] for group in groups.values() if turn < len(group)]
    return found[:_MOST_EXPLAINED]


def _cells(count: int) -> str:
    return f"{count:,} cell{'' if count == 1 else 's'}"


def _group_lines(group: Group, *, whole: bool) -> Iterator[str]:
    """A group in lines: its cells and the explanation, or just how many there are."""
    count = len(group.cells) + len(group.likely)
    yield f"{group.what}: {_cells(count)}"
    if not whole:
        return
    for each in group.cells[:_MOST_CELLS]:
        yield f"  {each.cell}" if each.lost else f"  {each.cell}: {each.words}"
    yield from (f"  {line}" for line in _more(group.cells))
    if group.likely:
        yield f"  {_cells(len(group.likely))} lost at the same point, causes not sought, such as {group.likely[0].cell}"
    yield from (f"    {line}" for line in str(group.explanation or "").splitlines())


def _more(cells: Sequence[Differing]) -> Iterator[str]:
    if len(cells) > _MOST_CELLS:
        yield f"… and {_cells(len(cells) - _MOST_CELLS)} more"
