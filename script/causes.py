#!/usr/bin/env python3
"""Writes the table of causes at the end of docs/explain.md from their docstrings. A test compares it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from cnitest.explain.causes.registry import Recogniser, causes

TARGET = Path(__file__).resolve().parents[1] / "docs" / "explain.md"
MARK = "<!-- What follows is written by script/causes.py from the docstrings of the causes: change those. -->\n"


def page() -> str:
    """The whole document: the part that is written by hand as it is, the table anew.

    Raises ValueError where the document lacks the line between the two.
    """
    by_hand, mark, _ = TARGET.read_text(encoding="utf-8").partition(MARK)
    if not mark:
        raise ValueError(f"{TARGET.name} has no line {MARK.strip()!r}")
    return by_hand + MARK + "\n".join(_tables())


def _tables() -> Iterator[str]:
    for family, known in groupby(causes().values(), key=lambda one: one.family):
        yield f"\n### {family}\n"
        yield "| cause | what it is |"
        yield "|---|---|"
        yield from map(_row, known)
    yield ""


def _row(known: Recogniser) -> str:
    return f"| `{known.id}` | {known.says.replace('|', chr(92) + '|')} |"


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
