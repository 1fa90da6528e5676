"""Words of a shell script: whatever is in them stays one word, and is seen by who reads the script."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable


def quoted(text: str) -> str:
    """One word of bash. What a person cannot see is written as bytes (``$'\\x1b'``); NUL, which no word can hold, is
    left out."""
    if all(character.isprintable() or character == "\n" for character in text):
        return shlex.quote(text)
    plain = text.replace("\0", "").replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\t", "\\t")
    return f"$'{''.join(_seen(character) for character in plain)}'"


def joined(words: Iterable[str]) -> str:
    """A command line of bash."""
    return " ".join(map(quoted, words))


def document(text: str) -> str:
    """A here-document of a text, from ``<<`` on, whose end is nowhere in it."""
    end = "END"
    while re.search(rf"^{end}$", text, re.M):
        end += "_"
    return f"<<'{end}'\n{text}\n{end}"


def _seen(character: str) -> str:
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))
