"""Where a key of the language belongs, for one that stands elsewhere: asked of the model's types."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from cnitest.topology.words.notation import NO_NOTATION
from cnitest.typos import meant

_MOST = 3
_SHORTEST = 4


class _Home(NamedTuple):
    """One place of the language that has the key: the section it is in, in words, and how it is written."""

    owner: str
    section: str
    written: str


def homes(root: Any, word: str) -> str:
    """``. It is a key of a host: hosts: NAME: defaults`` (to put behind a sentence) for a word that some section of
    ``root`` knows, or one that is mistyped; else nothing. ``root`` is the class of a whole document."""
    known = _homes(root)
    found = word if word in known else meant(word, known) if len(word) >= _SHORTEST else None
    if found is None:
        return ""
    distinct = _one_each(known[found])
    places = "; ".join(f"of {home.owner}: {home.written}" for home in distinct[:_MOST])
    said = "It is a key" if found == word else f"{found!r} is a key"
    return f". {said} {places}"


def has_home(root: Any, word: str) -> bool:
    """Whether some section of ``root`` has the very word as a key."""
    return word in _homes(root)


def _one_each(found: tuple[_Home, ...]) -> list[_Home]:
    """The shortest of those that are alike: of one owner, in one section of the document."""
    return [*{(home.owner, home.section): home for home in reversed(found)}.values()][::-1]


@cache
def _homes(root: Any) -> Mapping[str, tuple[_Home, ...]]:
    """All keys below a class, each with its places, shallow ones first."""
    made: dict[str, tuple[_Home, ...]] = {}
    waiting: deque[tuple[Any, str, tuple[Any, ...]]] = deque([(root, "", (root,))])
    while waiting:
        cls, prefix, above = waiting.popleft()
        hints = get_type_hints(cls)
        aliases = getattr(cls, "NOTATION", NO_NOTATION).aliases
        for name in (item.name for item in fields(cls)):
            owner, section = _owner(cls, name, whole=cls is root), (prefix or name).partition(":")[0]
            for word in (name, *(alias for alias, real in aliases.items() if real == name)):
                made[word] = (*made.get(word, ()), _Home(owner, section, f"{prefix}{word}"))
            waiting += [
                (inner, f"{prefix}{name}: {step}", (*above, inner))
                for inner, step in _inside(hints[name])
                if inner not in above
            ]
    return made


def _inside(hint: Any) -> Iterator[tuple[Any, str]]:
    """The classes that a field's value is made of, and how one is written in it."""
    if isinstance(hint, type) and is_dataclass(hint):
        yield hint, ""
    step = {Mapping: "NAME: ", tuple: "- "}.get(get_origin(hint), "")
    for inner in get_args(hint):
        yield from ((each, f"{step}{rest}") for each, rest in _inside(inner))


def _owner(cls: type, name: str, *, whole: bool) -> str:
    """Whose key it is: that of the class, or of the kind that it is one of when many share it."""
    if whole:
        return "the topology"
    first = next(each for each in reversed(cls.__mro__) if name in getattr(each, "__annotations__", {}))
    shared = first if len(first.__subclasses__()) > _MOST else cls
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", shared.__name__).lower()
    return f"{'an' if words[0] in 'aeiou' or words.startswith('fdb') else 'a'} {words}"
