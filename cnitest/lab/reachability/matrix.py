"""Who reaches whom, by which probe: a matrix of reaches that prints as a table and compares with a truth table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cnitest.errors import ProbeUnproven, is_ours
from cnitest.lab.reachability.grid import Grid
from cnitest.lab.reachability.mismatch import Mismatch, mismatch
from cnitest.lab.reachability.table import table
from cnitest.lab.reachability.truth import TruthTable

__tracebackhide__ = is_ours


@dataclass(frozen=True, eq=False, repr=False)
class Reachability(Grid):
    """What became of the probes between many places, each `Reach` by its cell: ``matrix["node/a", "node/b", "icmp"]``.

    True when everything was delivered, false when something was dropped; where anything is unproven or could not be
    probed, and nothing was dropped, it is neither and asking raises ProbeUnproven. ``==`` compares it with a truth
    table (a mapping, see `TruthTable`) or another matrix, verdict by verdict; `difference` says what differs, and why.
    """

    #: Keeps what differs for the report of a test that fails.
    note: Callable[[Mismatch], object] = lambda _: None

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        if not self.dropped and (doubt := [*_doubts(self)]):
            raise ProbeUnproven(f"reachability: {len(doubt)} of {self.size} cells are unproven: {'; '.join(doubt[:3])}")
        return not self.dropped

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Grid | TruthTable | Mapping):
            return NotImplemented
        found = self.difference(other)
        if not found.differing and found.unproven:
            raise ProbeUnproven(str(found))
        return not found.differing

    def difference(self, expected: TruthTable | Mapping[str, Any] | Grid) -> Mismatch:
        """The cells that differ from what is expected, and those that cannot be compared; false when there are none.

        Raises UsageError (ConfigError of a file) for a truth table that names what the matrix does not have.
        """
        found = mismatch(self, expected)
        if found:
            self.note(found)
        return found

    def __repr__(self) -> str:
        return f"<Reachability of {len({*self.senders, *self.receivers})} places: {self.counts}>"

    def __str__(self) -> str:
        return table(self)

    def data(self) -> dict[str, Any]:
        """All of it for JSON."""
        rows = [
            {**cell.data(), "verdict": reach.verdict.value, "reason": reach.reason}
            for cell, reach in self.cells.items()
        ]
        rows += [{**cell.data(), "verdict": "no address", "reason": why} for cell, why in self.absent.items()]
        return {"from": [*self.senders], "to": [*self.receivers], "probes": [*self.probes], "cells": rows}


def _doubts(matrix: Grid) -> Iterator[str]:
    yield from (f"{cell}: {reach.reason}" for cell, reach in matrix.unproven.items())
    yield from (f"{cell}: {why}" for cell, why in matrix.absent.items())
