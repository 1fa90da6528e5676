"""What the command says to a person: one door, at which nothing of what others wrote steers the terminal."""

from __future__ import annotations

import sys

from cnitest import text


def say(words: str) -> None:
    """Lines for the person who asked."""
    for line in words.split("\n"):
        print(text.line(line.replace("\t", "    ")))  # noqa: T201
    sys.stdout.flush()


def complain(words: str) -> None:
    """Why it could not be done."""
    print(f"cnitest: {text.lines(words)}", file=sys.stderr)  # noqa: T201
