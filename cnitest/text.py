"""Text that others wrote, as a person may see it: nothing in it steers a terminal, hides, or goes on for ever.

Control characters, escape sequences, marks that change the direction of reading, and what cannot be written as UTF-8
are shown as Python writes them (``\\x1b``, ``\\u202e``); what is too long is cut, with its length.
"""

from __future__ import annotations

import re
import unicodedata

#: The most characters of one line, and of a whole text, that are shown.
MOST_OF_LINE, MOST = 4000, 60_000
#: The most lines of an error that are shown.
MOST_OF_ERROR = 35
#: The most characters of a value, or of one word of a sentence, that are repeated to who wrote it.
MOST_OF_VALUE, _MOST_OF_WORD = 80, 150
#: What copying from pages and word processors leaves in the place of a character that means something.
_TYPED = {
    "“": '"',
    "”": '"',
    "„": '"',
    "‘": "'",
    "’": "'",
    "：": ":",
    "，": ",",
    "–": "-",
    "—": "-",
    "−": "-",
    "／": "/",
}
_PLACEHOLDER = re.compile(r"\{\{.*?\}\}|\$\{?\w+\}?|%[sdqv]|__[A-Z]\w*?__|<[A-Z][A-Z_ -]*>|@[A-Z]\w*@")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


_LONG_WORD = re.compile(rf"[^\s/,:;=()\[\]{{}}\"']{{{_MOST_OF_WORD},}}")


def line(text: str, most: int = MOST_OF_LINE) -> str:
    """The text on one line, at most about ``most`` characters long."""
    shown = text[:most]
    if not shown.isprintable():
        shown = "".join(map(_visible, shown))[:most]
    return shown if len(text) <= most else f"{shown} … ({len(text)} characters)"


def lines(text: str, most: int = MOST) -> str:
    """The text with its line ends; each line, and the whole, is cut where it is too long.

    Tabs that indent are blanks. A tab between words is shown as one, since blanks would hide how two texts differ.
    """
    whole = text[:most]
    if not whole.isprintable() or len(whole) > MOST_OF_LINE:
        whole = "\n".join(line(_untabbed(one)) for one in whole.split("\n"))
    return whole if len(text) <= most else f"{whole}\n… ({len(text)} characters)"


def first(text: str, most: int = MOST_OF_ERROR) -> str:
    """The first lines of a text, and how many more there are."""
    kept = text.split("\n")
    return text if len(kept) <= most else "\n".join([*kept[:most], f"… and {len(kept) - most} lines more"])


def indented(text: str, indent: str) -> str:
    """The text with what follows its first line moved in, so that it cannot pass for lines of ours."""
    return lines(text).replace("\n", f"\n{indent}")


def quoted(value: object) -> str:
    """A value as Python writes it, cut where it is too long to be repeated in a sentence."""
    shown = repr(value)
    return shown if len(shown) <= MOST_OF_VALUE else f"{shown[: MOST_OF_VALUE - 20]}… ({len(shown)} characters)"


def with_short_words(text: str) -> str:
    """The text with words cut that are longer than any name or number is: names of 300 letters, and the like."""
    return _LONG_WORD.sub(lambda found: f"{found[0][:60]}… ({len(found[0])} characters)", text)


def placeholder(value: object) -> str:
    """``; '%s' is a placeholder: …`` for a text that another tool would have filled in; else nothing."""
    found = _PLACEHOLDER.search(value) if isinstance(value, str) else None
    return f"; {found[0]!r} is a placeholder: have its tool fill it in first" if found else ""


def lookalike(one: str) -> str:
    """The first character of a line that looks like another, or like nothing at all, and what to type; empty without.

    Begins with its column: ``5 is a no-break space (U+00A0), no ordinary blank: type one``.
    """
    for column, character in enumerate(one, 1):
        if character.isascii():
            continue
        plain = unicodedata.name(character, "character").lower()
        name = f"{'an' if plain[0] in 'aeio' else 'a'} {plain} (U+{ord(character):04X})"
        if character in _TYPED:
            return f"{column} is {name}: type {_TYPED[character]}"
        kind = unicodedata.category(character)
        if kind == "Zs":
            return f"{column} is {name}, no ordinary blank: type one"
        if kind == "Cf":
            return f"{column} is {name}, which shows nothing: delete it"
    return ""


def _untabbed(one: str) -> str:
    words = one.lstrip("\t ")
    return one[: len(one) - len(words)].replace("\t", "    ") + words


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    number = ord(character)
    return _SHORT.get(character) or (
        f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
    )
