"""What differs in verdicts between two runs of the conformance suite: python -m benchmarks.verdicts BEFORE AFTER.

Both are files of `cnitest run --json`. Cases are distinguished by plugin, version, requirement and test; each change is
one line with the versions it was seen in and what the run after says of it. Exit code 1 when any verdict changed.
With --failing first it is which requirements of a plugin have a failed case, whatever their tests are called.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

_WIDTH = 160


class Key(NamedTuple):
    """What one case is about."""

    subject: str
    version: str
    requirement: str
    test: str


class Change(NamedTuple):
    """How the verdict of one test changed, whatever the version."""

    subject: str
    requirement: str
    test: str
    before: str
    after: str


def cases(report: Mapping[str, Any]) -> dict[Key, Mapping[str, Any]]:
    """Each case of a report."""
    return {
        Key(case["subject"], case["version"], case["requirement"], case["test"]): case
        for requirement in report["requirements"]
        for case in requirement["cases"]
    }


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[Change, list[Key]]:
    """The changes, each with the cases that it was seen in."""
    old, new = cases(before), cases(after)
    found: dict[Change, list[Key]] = {}
    for key in sorted({*old, *new}):
        was, became = (there[key]["verdict"] if key in there else "absent" for there in (old, new))
        if was != became:
            found.setdefault(Change(key.subject, key.requirement, key.test, was, became), []).append(key)
    return found


def lines(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """The changes in words."""
    new = cases(after)
    for change, keys in changes(before, after).items():
        case = new.get(keys[0], {})
        why = next(iter([*case.get("details", ()), case.get("reason", "")]), "")
        versions = ",".join(dict.fromkeys(key.version for key in keys))
        reported = (
            f"{change.subject} {change.requirement} {change.test} [{versions}]: {change.before} -> {change.after}"
        )
        yield f"{reported}: {why}"[:_WIDTH] if why else reported


def failing(report: Mapping[str, Any]) -> dict[str, set[str]]:
    """The requirements with a failed case, by the plugin of the cases."""
    found: dict[str, set[str]] = {}
    for key, case in cases(report).items():
        names = found.setdefault(key.subject, set())
        if case["verdict"] == "failed":
            names.add(key.requirement)
    return found


def lines_of_failing(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """The plugins of which other requirements fail, or that are in one of the reports alone."""
    old, new = failing(before), failing(after)
    for subject in sorted({*old, *new}):
        was, became = (", ".join(sorted(there[subject])) if subject in there else "absent" for there in (old, new))
        if was != became:
            yield f"{subject}: {was or 'none'} -> {became or 'none'}"


def main(*arguments: str) -> int:
    """Print what changed; 1 when anything did."""
    compared = lines_of_failing if arguments[0] == "--failing" else lines
    found = list(compared(*(json.loads(Path(name).read_text()) for name in arguments[-2:])))
    print("\n".join(found) or "no verdict changed")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
