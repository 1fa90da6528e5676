"""A number and what it counts, as a sentence has them."""

from __future__ import annotations


def count(number: int, word: str) -> str:
    """``1 cause``, ``2 causes``."""
    return f"{number} {word}{'' if number == 1 else 's'}"
