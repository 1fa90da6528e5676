"""Whether a word that nobody knows is a known one, mistyped."""

from __future__ import annotations

from collections.abc import Iterable

_LONG = 8


def meant(word: str, known: Iterable[str]) -> str | None:
    """The known word of which ``word`` is a misspelling, or None.

    One letter may be wrong, missing, too many, or have changed places with its neighbour; two in a word of eight
    letters and more. A name that merely resembles another, such as ``my-bridge``, is no misspelling.
    """
    most = 2 if len(word) >= _LONG else 1
    near = [(_distance(word.lower(), other.lower()), other) for other in known if _may_be(word, other, most)]
    distance, best = min(near, default=(most + 1, ""))
    return best if 0 < distance <= most else None


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
