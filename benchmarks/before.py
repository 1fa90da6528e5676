"""Times this checkout against another one, both in one run and in turns; the bar is 1.05 of the other.

Processor time is compared (user and system, the least of all runs), so that others on the machine count little; the
least of twenty runs of a plugin's call is still off by a fifth, hence a hundred. The other checkout needs an
environment of its own: git worktree add ../before COMMIT, and script/setup there.

python benchmarks/before.py CHECKOUT [--rounds 10] [--runs 100] [--only WORD …] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from measure import compiled, end_within, machine, verdict

BAR = 1.05
HERE = Path(__file__).resolve().parent
#: What is started anew for each time, by name: a program of the environment and its arguments.
STARTS: Mapping[str, tuple[str, ...]] = {
    "from cnitest import Lab": ("python", "-c", "from cnitest import Lab"),
    "from cnitest import Runtime": ("python", "-c", "from cnitest import Runtime"),
    "cnitest --help": ("cnitest", "--help"),
    "cnitest run --help": ("cnitest", "run", "--help"),
    "pytest's start": ("pytest", "--collect-only", "-q", "-p", "no:cacheprovider"),
}
#: What `tasks.py` times in one process.
TASKS = ("loading", "planning", "life", "probing", "calling")
Times = dict[str, float]


def main(argv: list[str]) -> None:
    """Times both and says what became slower."""
    options = arguments(argv)
    trees = {"before": options.checkout.resolve(), "now": HERE.parent}
    best: dict[str, Times] = {name: {} for name in trees}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        (Path(folder) / "pytest.ini").write_text("[pytest]\n")
        for number in range(options.rounds):
            for name in sorted(trees, reverse=number % 2 == 0):
                for task, taken in round_of(trees[name], Path(folder), options.only, options.runs):
                    best[name][task] = min(taken, best[name].get(task, taken))
    ratios = {task: best["now"][task] / before for task, before in best["before"].items() if task in best["now"]}
    for task, ratio in ratios.items():
        print(f"{task:28} before {best['before'][task]:9.3f} ms, now {best['now'][task]:9.3f} ms: {ratio:.3f}")
    if options.json:
        figures = {"least_ms": best, "ratios": ratios, "machine": machine()}
        Path(options.json).write_text(json.dumps(figures, indent=2) + "\n")
    worst = max(ratios, key=lambda task: ratios[task])
    verdict(f"nothing takes more than {BAR} of before: {worst} {ratios[worst]:.3f}", ratios[worst] <= BAR)


def arguments(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--only", nargs="*", metavar="WORD", default=[])
    parser.add_argument("--json", metavar="FILE")
    return parser.parse_args(argv)


def round_of(tree: Path, folder: Path, only: list[str], runs: int) -> Iterator[tuple[str, float]]:
    """One round of a checkout: ms of what is wanted, by name."""
    programs = tree / ".venv/bin"
    for name, (program, *words) in STARTS.items():
        if wanted(name, only):
            yield name, started([str(programs / program), *words], folder, compiled(folder / tree.name))
    for task in TASKS:
        if wanted(task, only):
            argv = [str(programs / "python"), str(HERE / "tasks.py"), task, str(runs)]
            done = subprocess.run(argv, cwd=tree, env=compiled(folder / tree.name), capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"benchmarks: {task} of {tree} ended with {done.returncode}: {done.stderr}")
            yield from json.loads(done.stdout).items()


def wanted(name: str, only: list[str]) -> bool:
    """Whether a task is asked for."""
    return not only or any(word in name for word in only)


def started(argv: list[str], folder: Path, environment: Mapping[str, str]) -> float:
    """ms of processor time of a program from start to end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, cwd=folder, stdout=subprocess.DEVNULL, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3


if __name__ == "__main__":
    end_within(60)
    main(sys.argv[1:])
