"""What fuzzing finds in a plugin set, from scratch: python -m benchmarks.findings [--time T] [--seed S] [-n N]
[--only KIND]… [PLUGIN…].

Prints the tables of docs/findings.md: for each plugin what was found, after how long, and the smallest reproducer. The
same seed draws the same examples with as many workers; how many of them fit into the time depends on the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

from cnitest.cni.calls.invoke import search_path
from cnitest.fuzz.search.campaign import Campaign
from cnitest.fuzz.search.searcher import Finding

PLUGINS = ("bridge", "ptp", "macvlan", "host-local", "static", "portmap", "firewall", "bandwidth", "tuning")


def main() -> None:
    """Fuzz each plugin in turn, and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plugins", nargs="*", default=PLUGINS)
    parser.add_argument("--time", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-n", dest="workers", type=int, default=2 * (os.cpu_count() or 1))
    parser.add_argument("--cni-path")
    parser.add_argument("--only", action="append", choices=("configs", "sequences", "requirements"))
    arguments = parser.parse_args()
    path = search_path([arguments.cni_path] if arguments.cni_path else [])
    chosen = tuple(arguments.only or ("configs", "sequences"))
    for plugin in arguments.plugins:
        print("\n".join(table(plugin, path, chosen, arguments.time, arguments.seed, arguments.workers)), flush=True)


def table(
    plugin: str, path: tuple[str, ...], chosen: tuple[str, ...], seconds: float, seed: int, workers: int
) -> list[str]:
    """What a hunt in one plugin finds, as lines of Markdown."""
    with tempfile.TemporaryDirectory() as directory:
        campaign = Campaign.begin(
            plugin,
            path,
            chosen=chosen,
            seed=seed,
            seconds=seconds,
            examples=0,
            workers=workers,
            release="1.1.1",
            next_path=(),
            databases=[f"{directory}/examples"],
            out=Path(directory),
        )
        found = [finding for finding in campaign.run() if finding is not None]
    lines = [f"### {plugin}", "", f"{campaign.progress().strip()}, seed {seed}.", ""]
    lines += ["| rule | what does not hold | after | reproducer |", "|---|---|---:|---|"]
    return [*lines, *(row(finding) for finding in found), ""]


def row(finding: Finding) -> str:
    """One finding as a row of a table."""
    about = f"{finding.violation.plugin}: {finding.violation.words}"
    cells = (finding.violation.rule, _cell(about)[:220], f"{finding.seconds:.0f} s", _cell(reproducer(finding)))
    return f"| {' | '.join(cells)} |"


def reproducer(finding: Finding) -> str:
    """The smallest scenario in one line."""
    scenario = finding.scenario
    parts = [scenario.words]
    if scenario.raw:
        parts += [f"stdin {scenario.raw.stdin[:120]!r}"] if scenario.raw.stdin is not None else []
    if not (scenario.raw and scenario.raw.stdin is not None):
        for example in scenario.networks:
            parts.append(json.dumps(example.plugins))
            parts += [json.dumps(example.capabilities)] if example.capabilities else []
    return "; ".join(parts) + (" (on a used host only)" if finding.depends else "")


def _cell(text: str) -> str:
    return f"`{text}`".replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    main()
