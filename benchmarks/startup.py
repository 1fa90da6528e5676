"""Times what pytest pays to start with the plugin installed but unused; the bar is 30 ms.

python benchmarks/startup.py [--runs 30] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from measure import compiled, end_within, machine, milliseconds, quiet, verdict

BAR = 30.0
COLLECT = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
VARIANTS: dict[str, list[str]] = {"with": [], "without": ["-p", "no:cnitest"]}
NO_TESTS = 5


def main(argv: list[str]) -> None:
    """Starts pytest both ways in turns and says what the plugin costs."""
    options = arguments(argv)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        prepare(Path(folder))
        times = start_times(Path(folder), options.runs)
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    cost = medians["with"] - medians["without"]
    if options.json:
        figures = {"medians_ms": medians, "cost_ms": cost, "machine": machine()}
        Path(options.json).write_text(json.dumps(figures, indent=2) + "\n")
    both = f"{medians['with']:.0f} against {medians['without']:.0f} ms"
    verdict(f"the unused plugin costs pytest at most {BAR:.0f} ms: {cost:.1f} ms ({both})", cost <= BAR)


def arguments(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--json", metavar="FILE")
    return parser.parse_args(argv)


def prepare(folder: Path) -> None:
    """A project of a user's: no options of ours, one empty test file; and proof that the plugin is there."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_nothing.py").touch()
    said = subprocess.run([*COLLECT, "--help"], cwd=folder, capture_output=True, text=True).stdout
    if "--cni-path" not in said:
        raise SystemExit("benchmarks: this Python's pytest has no cnitest plugin: pip install -e . first")


def start_times(folder: Path, runs: int) -> dict[str, list[float]]:
    """ms of each start, both variants in random order in each round, after one of each to warm the caches."""
    times: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for name in VARIANTS:
        start(folder, VARIANTS[name])
    for _ in range(runs):
        for name in random.sample(list(VARIANTS), len(VARIANTS)):
            quiet()
            times[name].append(milliseconds(partial(start, folder, VARIANTS[name])))
    return times


def start(folder: Path, extra: list[str]) -> None:
    """One start to the end of collection."""
    environment = compiled(folder / "bytecode")
    done = subprocess.run([*COLLECT, *extra], cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode not in (0, NO_TESTS):
        raise SystemExit(f"benchmarks: pytest ended with {done.returncode}: {done.stdout}{done.stderr}")


if __name__ == "__main__":
    end_within(15)
    main(sys.argv[1:])
