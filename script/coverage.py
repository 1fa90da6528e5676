#!/usr/bin/env python3
"""Writes docs/coverage.md from runs of suites/plugins, which docs/coverage/*.json holds. A test compares it.

pytest suites/plugins --cni-coverage docs/coverage/NAME.json    a run; NAME is what the environment is called
script/coverage.py                                              the document
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cnitest.plugins import files
from cnitest.report.marks.covers import WAYS, keys

DOCS = Path(__file__).resolve().parents[1] / "docs"
TARGET, RUNS = DOCS / "coverage.md", DOCS / "coverage"
HEAD = """# Coverage of plugins

What `suites/plugins` shows of each plugin, and where it ran. Written by `script/coverage.py` from runs with
`--cni-coverage`. A row has the number of tests that show a key's effect by the **kernel**'s state, by a **packet**, by
**CHECK**, by **DEL**, or by an ADD that is **refused**. A test says so by the mark `covers`, and fails when it did
nothing of the kind.
"""


class Run(NamedTuple):
    """One run: its name, where it was, and what it found."""

    name: str
    found: Mapping[str, Any]

    @property
    def environment(self) -> str:
        """Kernel, rights and release of the plugins in one line."""
        releases = self.found["releases"]
        release = releases.get("bridge") or next(iter(releases.values()), "of no release")
        rights = "root" if self.found["root"] else "user namespace"
        return f"Linux {self.found['kernel']}, {rights}, plugins {release}"


def runs() -> list[Run]:
    """The runs that are kept, by name."""
    return [Run(file.stem, json.loads(file.read_text(encoding="utf-8"))) for file in sorted(RUNS.glob("*.json"))]


def covered(found: list[Run]) -> dict[str, dict[str, set[str]]]:
    """The tests of all runs by key and way."""
    tests: dict[str, dict[str, set[str]]] = {}
    for run in found:
        for key, ways in run.found["covered"].items():
            for way, names in ways.items():
                tests.setdefault(key, {}).setdefault(way, set()).update(names)
    return tests


def page() -> str:
    """The whole document."""
    found = runs()
    tests = covered(found)
    return HEAD + "\n".join([*_environments(found), *(line for name in files.names() for line in _keys(name, tests))])


def _environments(found: list[Run]) -> Iterator[str]:
    yield "\n## Where tests ran\n"
    yield "Tests that passed, those that a release is known to fail (+) and those that were skipped (−).\n"
    for run in found:
        yield f"- **{run.name}**: {run.environment}"
    yield "\n| plugin | " + " | ".join(run.name for run in found) + " |"
    yield "|---|" + "---|" * len(found)
    for name in files.names():
        yield f"| {name} | " + " | ".join(_counts(run.found["ran"].get(name)) for run in found) + " |"
    yield "\n### Why tests were skipped\n"
    reasons: dict[tuple[str, str], list[str]] = {}
    for run in found:
        for name, counts in run.found["ran"].items():
            for why in {without_paths(why) for why in counts["skipped"]}:
                reasons.setdefault((name, why), []).append(run.name)
    for (name, why), where in sorted(reasons.items()):
        yield f"- {name}: {why} ({', '.join(where)})"


def without_paths(why: str) -> str:
    """A reason without the directories in which something was looked for, and without the advice at its end."""
    return re.sub(r" in /\S+", "", why.partition("; needs ")[0])


def _counts(counts: Mapping[str, Any] | None) -> str:
    if counts is None:
        return ""
    known, skipped = counts["known"], sum(counts["skipped"].values())
    return f"{counts['passed']}" + (f" +{known}" if known else "") + (f" −{skipped}" if skipped else "")


def _keys(plugin: str, tests: Mapping[str, Mapping[str, set[str]]]) -> Iterator[str]:
    names = [*keys(plugin), *(key.partition(".")[2] for key in tests if key.startswith(f"{plugin}."))]
    yield f"\n## {plugin}\n"
    yield "| key | " + " | ".join(WAYS) + " |"
    yield "|---|" + "---|" * len(WAYS)
    for name in ("", *dict.fromkeys(names)):
        ways = tests.get(f"{plugin}.{name}" if name else plugin, {})
        if name or ways:
            shown = (str(len(ways[way])) if way in ways else "" for way in WAYS)
            yield f"| {f'`{name}`' if name else 'in general'} | " + " | ".join(shown) + " |"


if __name__ == "__main__":
    TARGET.write_text(page() + "\n", encoding="utf-8")
