"""A fault in a topology, and the words that help to fix it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

_PLAIN = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Problem:
    """What is wrong at ``path`` (``hosts.h1.bridges.br01.addresses[0]``, empty for the whole topology).

    ``needs`` are the paths this verdict relies on: where one of them is itself at fault, the problem may only
    be its echo.
    """

    path: str
    message: str
    needs: tuple[str, ...] = field(default=(), repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


def child(path: str, key: str) -> str:
    """The path of ``key`` below ``path``; a key that is not a plain word is quoted: ``vlans['eth0.5']``."""
    if not _PLAIN.fullmatch(key):
        return f"{path}[{key!r}]"
    return f"{path}.{key}" if path else key


def ancestors(path: str) -> Iterator[str]:
    """``path`` itself, then each path that holds it, up to the empty one."""
    while path:
        yield path
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    yield ""


def listed(words: Iterable[object]) -> str:
    """The words as a reader wants them: ``'up', 'down'``; ``nothing`` for none."""
    return ", ".join(map(repr, words)) or "nothing"
