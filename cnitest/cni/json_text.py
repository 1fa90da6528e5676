"""JSON as a person types it: read strictly, with words of our own for what JSON does not have, and keys given twice."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from cnitest.errors import ConfigError
from cnitest.text import lookalike

#: A string, or a character that gives a document its shape.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]')
#: What begins a placeholder; braces that are only doubled are none.
_TEMPLATE = re.compile(r"\{\{(?!\s*[\"{}])|\{[%#]|<%|\$[{(]|%")
_BLANK = re.compile(r"[ \t\r\n]*")
_WORD = re.compile(r"[\w.+-]+")
_LITERALS = {"true": "true", "false": "false", "yes": "true", "no": "false", "none": "null", "nil": "null"}
_QUOTES = "'`´‘’“”„«»"
#: Python's words that do not say what to do.
_WORDS = {
    "Expecting ',' delimiter": "a comma is missing before this",
    "Expecting ':' delimiter": "a colon is missing before this",
    "Unterminated string starting at": "this string has no closing double quote",
    "Invalid control character at": "a line break or tab stands in a string: close it, or write \\n, \\t",
}
_YAML = re.compile(r"(---\s*$|[\w.\"'-]+:(\s|$)|- )", re.M)


class Repeated(NamedTuple):
    """A key that an object has twice: where it stands (``line:column``), and where it stood ``first``."""

    key: str
    place: str
    first: str

    def __str__(self) -> str:
        return f"{self.place}: {self.key!r} is given twice, first at {self.first}; only the last one counts"


def parsed(text: str, source: str) -> dict[str, Any]:
    """The object that a text is. Raises ConfigError with the place and what is wrong there: ``FILE:LINE:COLUMN: …``."""
    if text.startswith("\ufeff"):
        raise ConfigError(
            f"{source}:1:1: begins with a byte-order mark, which JSON has not and libcni rejects: "
            "save it as UTF-8 without one"
        )
    try:
        value = json.loads(text, parse_constant=_no_number)
        json.dumps(value, allow_nan=False)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{source}:{_faulty(text, error)}") from error
    except RecursionError:
        raise ConfigError(f"{source}: is nested too deeply to be a network configuration") from None
    except _NoNumber as error:
        word = str(error)
        raise ConfigError(f"{source}:{_place_of_word(text, word)}: is not JSON: {word} is no number in JSON") from None
    except ValueError as error:  # a number of thousands of digits, or one beyond all floats
        raise ConfigError(f"{source}: is no network configuration: {error}") from None
    if not isinstance(value, dict):
        raise ConfigError(f"{source}:1:1: a network configuration is a JSON object, this is {kind(value)}")
    return value


def repeated(text: str) -> Iterator[Repeated]:
    """The keys that objects of a text, which is JSON, have more than once."""
    objects: list[dict[str, int] | None] = []
    for token in _TOKEN.finditer(text):
        word = token[0]
        if word in "{[":
            objects.append({} if word == "{" else None)
        elif word in "}]":
            objects.pop()
        elif word[0] == '"' and objects and objects[-1] is not None and _is_key(text, token.end()):
            key = json.loads(word, strict=False)
            first = objects[-1].setdefault(key, token.start())
            if first != token.start():
                yield Repeated(key, _place(text, token.start()), _place(text, first))


def kind(value: object) -> str:
    """What a value of JSON is, in words."""
    names = {dict: "an object", list: "a list", str: "a string", int: "a number", float: "a number", bool: "a boolean"}
    return names.get(type(value), "null")


def _is_key(text: str, end: int) -> bool:
    return text.startswith(":", _after_blanks(text, end))


def _after_blanks(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _place(text: str, at: int) -> str:
    return f"{text.count(chr(10), 0, at) + 1}:{at - text.rfind(chr(10), 0, at)}"


def _no_number(word: str) -> None:
    raise _NoNumber(word)


class _NoNumber(ValueError):
    """A word that Python takes for a number, and JSON does not."""


def _place_of_word(text: str, word: str) -> str:
    """Where a word stands first that is no part of a string."""
    found = re.finditer(rf"{_TOKEN.pattern}|{re.escape(word)}", text)
    return _place(text, next((each.start() for each in found if each[0] == word), 0))


def _faulty(text: str, error: json.JSONDecodeError) -> str:
    """Where a text stops being JSON, and why: what people write there first, else what the reader says."""
    at = error.pos if error.msg.startswith("Invalid") else _after_blanks(text, error.pos)
    found = (
        _whole(text),
        _control(text, at),
        _comma(text, at),
        _comment(text, at),
        _quote(text, at),
        _template(text, at),
        _lookalike(text, at),
    )
    for words in (*found, _literal(text, at)):
        if words:
            place, said = words
            return f"{_place(text, place)}: is not JSON: {said}"
    if at >= len(text):
        end = _place(text, len(text.rstrip()))
        return f"{end}: is not JSON: it ends here, before everything is closed{_open(text)}"
    if error.msg == "Extra data":
        return f"{_place(text, at)}: is not JSON: the object ends before this; one file holds one configuration"
    return f"{_place(text, at)}: is not JSON: {_WORDS.get(error.msg, error.msg[:1].lower() + error.msg[1:])}"


_Told = tuple[int, str] | None


def _whole(text: str) -> _Told:
    """A file without anything, or in another language."""
    at = _after_blanks(text, 0)
    if at >= len(text):
        return 0, "the file is empty"
    if text[at] not in '{["' and _YAML.match(text, at):
        return at, "this reads like YAML; a network configuration is a JSON object, { … }"
    return None


def _control(text: str, at: int) -> _Told:
    """A character that steers a terminal, or ends a text of C, where none may stand, not even in a string."""
    if text[at : at + 1] < " " and text[at : at + 1] not in ("", "\n", "\r", "\t"):
        return at, f"the control character {text[at]!r} stands here: delete it, or write \\u{ord(text[at]):04x}"
    return None


def _comma(text: str, at: int) -> _Told:
    """A comma with nothing behind it. Python says where the bracket is, from 3.13 on where the comma is."""
    if text[at : at + 1] == "," and text[_after_blanks(text, at + 1) :][:1] in ("}", "]"):
        at = _after_blanks(text, at + 1)
    before = len(text[:at].rstrip())
    if text[at : at + 1] in ("}", "]") and text[before - 1 : before] == ",":
        return before - 1, "a comma is the last thing here before the closing bracket; JSON has none there: delete it"
    if text[at : at + 1] == ",":
        return at, "a comma too many"
    return None


def _comment(text: str, at: int) -> _Told:
    if text.startswith(("//", "/*", "#"), at):
        return at, "JSON has no comments: delete it"
    return None


def _quote(text: str, at: int) -> _Told:
    if text[at : at + 1] in tuple(_QUOTES):
        return at, f'JSON has straight double quotes only ("), not {text[at]}'
    return None


def _template(text: str, at: int) -> _Told:
    """What a tool that fills in templates would have replaced: ``{{ name }}``, ``{% if %}``, ``${NAME}``."""
    if text.startswith(("...", "…"), at):
        return at, "the dots stand for something that was left out: write it"
    for begin in range(max(at - 1, 0), at + 1):
        if _TEMPLATE.match(text, begin):
            return begin, f"{text[begin : begin + 2]!r} is of a template: have its tool fill it in first"
    return None


def _lookalike(text: str, at: int) -> _Told:
    """A character that looks like a blank, or like nothing at all."""
    found = lookalike(text[at : at + 1])
    return (at, f"this is {found.partition(' is ')[2]}") if found else None


def _literal(text: str, at: int) -> _Told:
    """A bare word where a value or a key is expected."""
    found = _WORD.match(text, at)
    if not found:
        return None
    word = found[0]
    if word.lower() in _LITERALS:
        return at, f"{word!r} is no word of JSON. Did you mean {_LITERALS[word.lower()]}?"
    if word[0].isalpha() or word[0] == "_":
        return at, f'a word stands between double quotes: "{word}"'
    return None


def _open(text: str) -> str:
    """The bracket that was opened last and is not closed."""
    stack: list[int] = []
    for token in _TOKEN.finditer(text):
        if token[0] in "{[":
            stack.append(token.start())
        elif token[0] in "}]" and stack:
            stack.pop()
    return f" ({text[stack[-1]]!r} of {_place(text, stack[-1])})" if stack else ""
