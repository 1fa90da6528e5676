"""The cells of a matrix: from whom, to whom, by which probe, and what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from cnitest.errors import UnknownName, is_ours
from cnitest.lab.reach import Reach, Verdict
from cnitest.typos import did_you_mean

__tracebackhide__ = is_ours


class Cell(NamedTuple):
    """From whom, to whom, by which probe."""

    sender: str
    receiver: str
    probe: str

    def __str__(self) -> str:
        return f"{self.sender} → {self.receiver} {self.probe}"

    def data(self) -> dict[str, str]:
        """As JSON has it."""
        return {"from": self.sender, "to": self.receiver, "probe": self.probe}


@dataclass(frozen=True, eq=False, repr=False)
class Grid:
    """The reach of each cell, in reading order: ``matrix["node/a", "node/b", "tcp:80"]``, without a probe those of all.

    ``absent`` are the cells that could not be probed, each with the reason: one end has no address of the family. No
    place is probed from itself.
    """

    senders: tuple[str, ...]
    receivers: tuple[str, ...]
    probes: tuple[str, ...]
    cells: Mapping[Cell, Reach]
    absent: Mapping[Cell, str] = field(default_factory=dict)

    def __getitem__(self, key: tuple[str, ...]) -> Reach | dict[str, Reach]:
        if not isinstance(key, tuple) or len(key) not in (2, 3):
            raise UnknownName(f"a cell is written matrix['from', 'to'] or matrix['from', 'to', 'probe'], not {key!r}")
        names = (("sender", self.senders), ("receiver", self.receivers), ("probe", self.probes))
        for name, (what, known) in zip(key, names, strict=False):
            if name not in known:
                raise UnknownName(f"the matrix has no {what} {name!r}{did_you_mean(name, known)}")
        if len(key) == len(names):
            return self._reach(Cell(key[0], key[1], key[2]))
        found = (Cell(key[0], key[1], probe) for probe in self.probes)
        return {cell.probe: self.cells[cell] for cell in found if cell in self.cells}

    def _reach(self, cell: Cell) -> Reach:
        if cell not in self.cells:
            raise UnknownName(f"{cell} was not probed: {self.absent.get(cell, 'no place is probed from itself')}")
        return self.cells[cell]

    def __len__(self) -> int:
        return len(self.cells)

    def __iter__(self) -> Iterator[Cell]:
        return iter(self.cells)

    def of(self, verdict: Verdict) -> dict[Cell, Reach]:
        """The cells with a verdict."""
        return {cell: reach for cell, reach in self.cells.items() if reach.verdict is verdict}

    @property
    def delivered(self) -> dict[Cell, Reach]:
        """The cells whose probe was delivered and answered."""
        return self.of(Verdict.DELIVERED)

    @property
    def dropped(self) -> dict[Cell, Reach]:
        """The cells whose probe was proved dropped; `Reach.explanation` says why."""
        return self.of(Verdict.DROPPED)

    @property
    def unproven(self) -> dict[Cell, Reach]:
        """The cells of which neither can be said."""
        return self.of(Verdict.UNPROVEN)

    @property
    def size(self) -> int:
        """How many cells there are, absent ones included."""
        return len(self.cells) + len(self.absent)

    @property
    def counts(self) -> str:
        """How many cells had which verdict, in words."""
        counted = Counter(reach.verdict.value for reach in self.cells.values())
        counted["no address"] = len(self.absent)
        return ", ".join(f"{count:,} {name}" for name, count in counted.items() if count) or "nothing was probed"
