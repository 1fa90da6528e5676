"""What the command says to a person: one door, at which nothing of what others wrote steers the terminal."""

from __future__ import annotations

import os
import sys
from typing import Literal

from cnitest import text

Colour = Literal["green", "yellow", "red"]
_COLOURS = {"green": "32", "yellow": "33", "red": "1;31"}


def say(words: str) -> None:
    """Lines for the person who asked."""
    for line in words.split("\n"):
        print(text.line(line.replace("\t", "    ")))  # noqa: T201
    sys.stdout.flush()


def say_coloured(before: str, word: str, colour: Colour, after: str) -> None:
    """A line with one coloured word: on a terminal, unless NO_COLOR is set (no-color.org)."""
    painted = text.line(word)
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        painted = f"\x1b[{_COLOURS[colour]}m{painted}\x1b[0m"
    print(text.line(before) + painted + text.line(after), flush=True)  # noqa: T201


def complain(words: str) -> None:
    """Why it could not be done."""
    print(f"cnitest: {text.lines(words)}", file=sys.stderr)  # noqa: T201
