"""Times matrices of many places against one probe after the other, and counts verdicts that differ.

python benchmarks/reachability.py [--half 30] [--all 200] [--alone 40] [--json FILE]

Half of the pairs of ``--half`` sandboxes are dropped by the receivers' own firewalls; all pairs of ``--all`` sandboxes
are delivered. ``--alone`` pairs of each are then probed one by one, from which the whole is reckoned.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import isolate
from measure import end_within, machine, verdict

from cnitest import Lab, Reachability, Topology
from cnitest.topology import loads

_BRIDGE = "name: many\nhosts:\n  node:\n    bridges: {br0: {}}\n    sandboxes: {%s}\nveths:\n%s"
_VETH = "  - ends: [{at: node, name: v%d, bridge: br0}, {at: node/c%d, name: eth0, addresses: [%s/16]}]\n"
_DROP = "table ip f { chain c { type filter hook input priority 0; ip saddr { %s } drop; }; }"
_SECONDS = {"half": 30.0, "all": 20.0}
_TIMES_FASTER = 1.5


class Figures(NamedTuple):
    """What a matrix took in seconds, and what its pairs would have taken alone."""

    pairs: int
    seconds: float
    alone: float
    differing: int

    @property
    def ratio(self) -> float:
        """How many times faster it was."""
        return self.alone / self.seconds


def main(argv: list[str]) -> None:
    """Measures both matrices, prints a line for each, and holds them to their bars."""
    options = arguments(argv)
    isolate.enter()
    figures = {"half": measured(options.half, options.alone, half=True), "all": measured(options.all, options.alone)}
    for name, found in figures.items():
        print(
            f"{name:>5}: {found.pairs:,} pairs in {found.seconds:.1f} s, alone {found.alone:.1f} s: {found.ratio:.1f}×"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if options.json:
        reported: dict[str, Any] = {name: {**found._asdict(), "ratio": found.ratio} for name, found in figures.items()}
        Path(options.json).write_text(json.dumps({**reported, "peak_MiB": peak, "machine": machine()}, indent=2) + "\n")
    slow = [name for name, found in figures.items() if found.seconds > _SECONDS[name] or found.ratio < _TIMES_FASTER]
    wrong = sum(found.differing for found in figures.values())
    verdict(
        f"within {_SECONDS} s, faster than alone, no verdict differs: {wrong} do, {slow or 'none'} slow",
        not (slow or wrong),
    )


def arguments(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--half", type=int, default=30)
    parser.add_argument("--all", type=int, default=200)
    parser.add_argument("--alone", type=int, default=40)
    parser.add_argument("--json", metavar="FILE")
    return parser.parse_args(argv)


def address(at: int) -> str:
    """The address of a sandbox by number."""
    return f"10.1.{(at + 1) >> 8}.{(at + 1) & 255}"


def declared(count: int) -> Topology:
    """So many sandboxes on a bridge."""
    names = ", ".join(f"c{at}: {{}}" for at in range(count))
    return loads(_BRIDGE % (names, "".join(_VETH % (at, at, address(at)) for at in range(count))))


def is_dropped(sender: int, receiver: int) -> bool:
    """Whether a pair is one of the half that is dropped one way and therefore answered neither way."""
    return bool((sender + receiver) % 2)


def measured(count: int, alone: int, *, half: bool = False) -> Figures:
    """The matrix of ICMP between so many sandboxes, and some of its pairs alone."""
    with Lab(declared(count)) as lab:
        for at in range(count) if half else ():
            sources = ", ".join(address(other) for other in range(count) if other != at and is_dropped(other, at))
            lab.sandbox(f"c{at}").load_rules("nft", _DROP % sources)
        began = time.perf_counter()
        matrix = lab.reachability("node/*", "icmp")
        took = time.perf_counter() - began
        each, differing = one_by_one(lab, matrix, alone)
    return Figures(len(matrix), took, each * len(matrix), differing)


def one_by_one(lab: Lab, matrix: Reachability, count: int) -> tuple[float, int]:
    """Seconds for a pair that is probed alone, and how many pairs have another verdict than in the matrix."""
    cells = random.Random(0).sample([*matrix], min(count, len(matrix)))
    began = time.perf_counter()
    reaches = [lab.place(cell.sender).ping(matrix.cells[cell].destination) for cell in cells]
    took = (time.perf_counter() - began) / len(cells)
    return took, sum(
        reach.verdict is not matrix.cells[cell].verdict for reach, cell in zip(reaches, cells, strict=True)
    )


if __name__ == "__main__":
    end_within(15)
    main(sys.argv[1:])
