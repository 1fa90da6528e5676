"""Words with their values, strung together as ip(8) takes them."""

from __future__ import annotations


def pairs(words: dict[str, str | int | None]) -> str:
    """Words with their values, each after a blank; those without one are left out."""
    return "".join(f" {word} {value}" for word, value in words.items() if value is not None)


def flags(**on: bool) -> list[str]:
    """The words whose value is true."""
    return [word for word, value in on.items() if value]
