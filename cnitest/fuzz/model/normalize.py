"""Words instead of values, so that two texts about the same thing read the same."""

from __future__ import annotations

import re

#: Patterns, and the word that stands for what each matches; in order.
Table = tuple[tuple[re.Pattern[str], str], ...]


def table(*rows: tuple[str, str]) -> Table:
    """A table of patterns that come in this order."""
    return tuple((re.compile(pattern), word) for pattern, word in rows)


#: What a plugin or the kernel chooses by chance, whatever the configuration says.
CHANCE = table(
    (r"\b(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}\b", "MAC"),
    (r"\bveth[0-9a-f]{4,}\b", "VETH"),
    (r"\bCNI-(?:DN-)?[0-9a-f]{10,}\b", "CHAIN"),
)


def worded(text: str, rows: Table) -> str:
    """A text with words instead of what a table matches."""
    for pattern, word in rows:
        text = pattern.sub(word, text)
    return text
