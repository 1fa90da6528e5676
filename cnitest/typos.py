"""Words that nobody knows: the known one that was meant, and how to say so."""

from __future__ import annotations

import os
from collections.abc import Iterable

_LONG = 8
#: How much like another file's name one is that was mistyped (0 to 1).
_ALIKE = 0.75


def did_you_mean(word: object, known: Iterable[str], *, clause: bool = False) -> str:
    """``. Did you mean 'x'?`` (to put behind a sentence) for the nearest known word, or nothing.

    As a ``clause`` it is ``; did you mean 'x'?``.
    """
    near = nearest(str(word), known)
    return "" if near is None else f"; did you mean {near!r}?" if clause else f". Did you mean {near!r}?"


def nearest(word: str, known: Iterable[str], alike: float = 0.6) -> str | None:
    """The known word most like ``word``, or None when none is alike (0-1); case does not count."""
    return next(iter(nearest_few(word, known, 1, alike)), None)


def nearest_few(word: str, known: Iterable[str], most: int, alike: float = 0.6) -> list[str]:
    """The known words most like ``word``, ``most`` at most, the nearest first; case does not count."""
    from difflib import get_close_matches

    spellings = {each.lower(): each for each in reversed([*known])}
    return [spellings[found] for found in get_close_matches(word.lower(), [*spellings], n=most, cutoff=alike)]


def files_like(name: str, there: Iterable[str]) -> list[str]:
    """The names of files that have more in common with one than what files of a kind end in."""
    stem = os.path.splitext(name)[0]
    stems = {other: os.path.splitext(other)[0] for other in there}
    return [other for other, own in stems.items() if meant(stem, [own]) or nearest(stem, [own], _ALIKE)]


def meant(word: str, known: Iterable[str]) -> str | None:
    """The known word of which ``word`` is a misspelling, or None.

    One letter may be wrong, missing, too many, or have changed places with its neighbour; two in a word of eight
    letters and more; capitals and small ones are the same. A name that merely resembles another, such as ``my-bridge``,
    is no misspelling.
    """
    most = 2 if len(word) >= _LONG else 1
    near = [(_distance(word.lower(), other.lower()), other) for other in known if _may_be(word, other, most)]
    distance, best = min(near, default=(most + 1, ""))
    return best if distance <= most else None


def _may_be(word: str, other: str, most: int) -> bool:
    if word == other or abs(len(word) - len(other)) > most:
        return False
    return most == 1 or not (other in word or word in other) or abs(len(word) - len(other)) == 1


def _distance(one: str, other: str) -> int:
    """How many letters are to be changed, added, left out or swapped (optimal string alignment)."""
    before, above = list[int](), list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        line = [row]
        for column, wanted in enumerate(other, 1):
            cost = min(above[column] + 1, line[-1] + 1, above[column - 1] + (letter != wanted))
            if before and row > 1 and column > 1 and (letter, one[row - 2]) == (other[column - 2], wanted):
                cost = min(cost, before[column - 2] + 1)
            line.append(cost)
        before, above = above, line
    return above[-1]
