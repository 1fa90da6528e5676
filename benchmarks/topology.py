"""The walkthrough's small network, and larger ones, built, pinged and removed by cnitest and by its peers.

Every run is a fresh network: a bridge br01 with 10.40.80.1/24, sandboxes ns01, ns02, ... on veths with .11,
.12, ... and a default route; the first sandbox pings the last. Peers take turns in random order, in private
namespaces.

    python benchmarks/topology.py                              all peers, 2, 10, 50 and 200 sandboxes: 5 to 15 minutes
    python benchmarks/topology.py --only cnitest c --sizes 2   the two that matter while tuning
    python benchmarks/topology.py --check --json figures.json  exit code 1 when a bar is missed
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import isolate
from measure import Run, Summary, drained, machine, quiet, summary
from peers import NAMES
from worker import TIMEOUT, PeerFailedError, PeerMissingError, Tools, Worker, tools

SMALL = 2
TIMES = ("build", "ping", "down", "total", "min", "p90")
BARS = {
    "ip": ("at least 18x faster than ip commands", 18.0),
    "munet": ("at least 200x faster than munet", 200.0),
    "c": ("within 1.6x of the C floor", 1 / 1.6),
}
"""Each peer's bar in words, and the least ratio of its median over ours that meets it."""
JUDGED_SIZES = (SMALL, 200)
DEFAULT_RUNS = {2: 30, 10: 15, 50: 10, 200: 5}


@dataclass(frozen=True)
class Plan:
    """What to measure: peers, sizes, runs a size (None: by size), the seconds a peer may spend on a size, those to wait
    before a turn until the machine is idle, and the moment (time.monotonic) at which no turn begins any more."""

    peers: tuple[str, ...]
    sizes: tuple[int, ...]
    runs: int | None
    budget: float
    settle: float
    end: float

    @property
    def left(self) -> float:
        """Seconds to the end."""
        return max(self.end - time.monotonic(), 0.0)

    def runs_of(self, size: int) -> int:
        return self.runs or DEFAULT_RUNS.get(size, 10)


@dataclass
class Field:
    """The peers that can run, and why the others cannot."""

    workers: dict[str, Worker] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def give_up(self, name: str, reason: object) -> None:
        self.missing[name] = str(reason)
        self.workers.pop(name, None)


Results = dict[int, dict[str, Summary]]


def main(argv: list[str]) -> int:
    """Measures, prints table and verdict; the exit code is 1 when asked to check and a bar was missed."""
    options = arguments(argv)
    isolate.enter()
    end = time.monotonic() + options.minutes * 60
    plan = Plan(peers_of(options), options.sizes, options.runs, options.budget, options.settle, end)
    out = sys.stderr if options.json == "-" else sys.stdout
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder, ExitStack() as stack:
        field = line_up(plan, tools(Path(folder)), stack)
        print(f"{', '.join(field.workers)} in turns, for {options.minutes:g} minutes at most", file=out, flush=True)
        results = {size: measured(plan, size, field, out) for size in plan.sizes}
    missed = print_verdict(results, field, out)
    if options.json:
        write_json(options.json, as_json(results, field))
    return int(options.check and missed)


def arguments(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--sizes", type=_sizes, default=(2, 10, 50, 200), help="sandboxes, as 2,10,50,200")
    parser.add_argument("--runs", type=int, help="runs of each peer a size (30 for 2 sandboxes)")
    parser.add_argument("--budget", type=float, default=20.0, help="seconds a peer may spend on one size")
    parser.add_argument("--minutes", type=float, default=15.0, help="after which no more is measured")
    parser.add_argument("--settle", type=float, default=10.0, help="seconds to wait before a turn for an idle machine")
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--skip", nargs="+", choices=NAMES, metavar="NAME", default=())
    parser.add_argument("--json", metavar="FILE", help="write the figures there; - is standard output")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar is missed")
    return parser.parse_args(argv)


def _sizes(text: str) -> tuple[int, ...]:
    sizes = tuple(int(part) for part in text.split(","))
    if not all(2 <= size <= 2000 for size in sizes):
        raise argparse.ArgumentTypeError(f"{text}: give numbers of sandboxes from 2 to 2000, as 2,10,50,200")
    return sizes


def peers_of(options: argparse.Namespace) -> tuple[str, ...]:
    """Those asked for, without those skipped."""
    return tuple(name for name in options.only or NAMES if name not in options.skip)


def line_up(plan: Plan, tools: Tools, stack: ExitStack) -> Field:
    """Starts every peer's process."""
    field = Field()
    for name in plan.peers:
        try:
            worker = Worker(name, tools)
        except PeerMissingError as reason:
            field.give_up(name, reason)
        else:
            stack.callback(worker.close)
            field.workers[name] = worker
    return field


def measured(plan: Plan, size: int, field: Field, out: TextIO) -> dict[str, Summary]:
    """Runs everybody in turns and prints the size's part of the table."""
    runs: dict[str, list[Run]] = {name: [] for name in field.workers}
    spent = dict.fromkeys(runs, 0.0)
    rough = 0
    for name in turns(plan, size, field, spent):
        rough += not settle(min(plan.settle, plan.left))
        start = time.monotonic()
        try:
            runs[name].append(field.workers[name].run(size, min(TIMEOUT, plan.left + 1)))
        except PeerFailedError as reason:
            field.give_up(name, f"failed with {size} sandboxes: {reason}")
        spent[name] += time.monotonic() - start
    summaries = {name: summary(done) for name, done in runs.items() if done}
    print_table(size, summaries, rough, out)
    return summaries


def turns(plan: Plan, size: int, field: Field, spent: Mapping[str, float]) -> Iterator[str]:
    """Who runs next: rounds in random order, without those that failed or used up their time; at the end nobody."""
    for _ in range(plan.runs_of(size)):
        names = [name for name in field.workers if spent[name] < plan.budget]
        yield from (name for name in random.sample(names, len(names)) if plan.left)


def settle(at_most: float) -> bool:
    """Waits, not for long, until the run before has left the kernel and the processors are idle."""
    return drained(at_most) & quiet(at_most=min(at_most, 1.5))


def print_table(size: int, summaries: Mapping[str, Summary], rough: int, out: TextIO) -> None:
    """One line a peer: medians of each phase in ms."""
    print(f"\n{size} sandboxes, medians in ms ({rough} runs began on a busy machine)", file=out)
    heads = "".join(f"{head:>10}" for head in TIMES)
    print(f"{'':9}{'runs':>5}{heads}{'lost':>6}{'ratio':>9}", file=out)
    ratio = ratios(summaries)
    for name, line in summaries.items():
        times = "".join(f"{getattr(line, head):10.2f}" for head in TIMES)
        share = f"{ratio[name]:9.2f}" if ratio else ""
        print(f"{name:9}{line.runs:5}{times}{line.lost:6}{share}", file=out, flush=True)


def ratios(summaries: Mapping[str, Summary]) -> dict[str, float]:
    """Each peer's median over ours."""
    ours = summaries.get("cnitest")
    return {name: line.total / ours.total for name, line in summaries.items()} if ours else {}


def print_verdict(results: Results, field: Field, out: TextIO) -> bool:
    """Says of each bar whether it was met; True when one was missed or we were not even measured."""
    for name, reason in field.missing.items():
        print(f"\nnot measured: {name}: {reason}", file=out)
    print(file=out)
    missed = "cnitest" in field.missing
    for size, name, met in against_bars(results):
        print(f"{'met' if met else 'MISSED':7}{size:4} sandboxes: {_found(results[size], name)}", file=out)
        missed |= not met
    return missed


def _found(summaries: Mapping[str, Summary], name: str) -> str:
    """The bar, what we reached, and how far the floor itself would have got."""
    words, _ = BARS[name]
    ratio, floor = ratios(summaries)[name], summaries.get("c")
    if name == "c":
        return f"{words}: {1 / ratio:.2f}x"
    limit = f" (the floor: {summaries[name].total / floor.total:.1f}x)" if floor else ""
    return f"{words}: {ratio:.1f}x{limit}"


def against_bars(results: Results) -> Iterator[tuple[int, str, bool]]:
    """(size, peer, met) of each bar that could be measured."""
    for size in JUDGED_SIZES:
        known = ratios(results.get(size, {}))
        yield from ((size, name, known[name] >= least) for name, (_, least) in BARS.items() if name in known)


def as_json(results: Results, field: Field) -> dict[str, Any]:
    """Figures of the small network at the top, of the others under ``scale``."""
    small = results.get(SMALL, {})
    verdicts = [{"sandboxes": size, "against": name, "met": met} for size, name, met in against_bars(results)]
    return {
        **_figures(small),
        "scale": {str(size): _figures(lines) for size, lines in results.items() if size != SMALL},
        "bars": verdicts,
        "missing": field.missing,
        "machine": machine(),
    }


def _figures(summaries: Mapping[str, Summary]) -> dict[str, Any]:
    others: Iterable[tuple[str, float]] = ratios(summaries).items()
    return {
        "medians_ms": {name: round(line.total, 3) for name, line in summaries.items()},
        "ratios": {name: round(ratio, 3) for name, ratio in others if name != "cnitest"},
        "phases": {name: line.as_dict() for name, line in summaries.items()},
    }


def write_json(target: str, value: dict[str, Any]) -> None:
    """To a file, or to standard output for ``-``."""
    text = json.dumps(value, indent=2) + "\n"
    if target == "-":
        sys.stdout.write(text)
    else:
        Path(target).write_text(text)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
