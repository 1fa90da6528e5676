"""What the command says to a person: nothing of what others wrote steers the terminal."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Literal

from cnitest import outputs, paths, text

Colour = Literal["green", "yellow", "red"]
_COLOURS = {"green": "32", "yellow": "33", "red": "1;31"}
#: What is drawn, in plain characters.
_ASCII = {
    **dict.fromkeys(map(ord, "┌┐└┘├┤┬┴┼"), "+"),
    ord("─"): "-",
    ord("│"): "|",
    ord("✗"): "x",
    ord("×"): "x",
    ord("→"): ">",
    ord("…"): "...",
    ord("·"): "-",
}


#: What is said before anything else, unless it turns out that there is nothing to say it of.
_first: list[str] = []


def say_first(words: str) -> None:
    """Hold back a line of how this runs until something else is said: a mistyped word is answered by one line."""
    _first.append(words)


def say_held_back() -> None:
    """Say what was held back, once."""
    while _first:
        complain(_first.pop(0))


def forget_held_back() -> None:
    """Say nothing of it: nothing ran."""
    _first.clear()


def say(words: str) -> None:
    """Lines for the person who asked."""
    say_held_back()
    for line in words.split("\n"):
        _print(_showable(text.line(line.replace("\t", "    "))))
    sys.stdout.flush()


def say_coloured(before: str, word: str, colour: Colour, after: str) -> None:
    """A line with one coloured word: on a terminal, unless NO_COLOR is set (no-color.org)."""
    say_held_back()
    painted = text.line(word)
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        painted = f"\x1b[{_COLOURS[colour]}m{painted}\x1b[0m"
    _print(_showable(text.line(before) + painted + text.line(after)))
    sys.stdout.flush()


def _print(words: str) -> None:
    """Raises OSError that names stdout."""
    try:
        print(words)  # noqa: T201
    except OSError as error:
        error.filename = outputs.STDOUT
        raise


def complain(words: str) -> None:
    """Why it could not be done, with paths as they are typed here."""
    with contextlib.suppress(OSError):  # nobody reads it
        print(f"cnitest: {text.lines(text.first(paths.relative(words)))}", file=sys.stderr)  # noqa: T201
    outputs.written(sys.stderr)


def _showable(words: str) -> str:
    """Words as the terminal can show them: in plain ASCII where it has no other characters."""
    encoding = sys.stdout.encoding or "ascii"
    try:
        words.encode(encoding)
    except UnicodeEncodeError:
        return words.translate(_ASCII).encode(encoding, "replace").decode(encoding)
    return words
