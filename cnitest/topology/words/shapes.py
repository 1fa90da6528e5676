"""A value of another shape than was expected: what to write instead, where that can be told."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cnitest.topology.words.nodes import Node, is_null, is_scalar

_SETTING = re.compile(r"\s*([\w./-]+)\s*=\s*(\S+)\s*")
_KEY_WITHOUT_BLANK = re.compile(r"[\w.-]+:[{\[\w]")
_MOST = 3


def as_list(node: Node, *, of_text: bool) -> str:
    """``. Did you mean ['10.0.0.1/24']?`` for one text in the place of a list ``of_text``; else nothing."""
    return f". Did you mean [{node.value!r}]?" if of_text and is_scalar(node) else ""


def as_names(node: Node, *, may_be_empty: bool) -> str:
    """How what was written is a mapping of names, put behind a sentence; ``may_be_empty`` is whether a name can stand
    with nothing behind it."""
    if is_scalar(node) and _KEY_WITHOUT_BLANK.match(str(node.value)):
        return "; a blank belongs behind a key's colon"
    members: Sequence[Node] = node.value if node.id == "sequence" else [node]
    if members and all(map(is_scalar, members)):
        words = [str(each.value) for each in members]
        settings = [found.groups() for word in words if (found := _SETTING.fullmatch(word))]
        if len(settings) == len(words):
            return _mapping([f"{name}: {value}" for name, value in settings])
        return _mapping([f"{word}: {{}}" for word in words]) if may_be_empty and all(_is_word(w) for w in words) else ""
    if members and all(_is_named(each) for each in members):
        return "; a name is the key in front of the rest, NAME: {…}, and no '-' stands there"
    return ""


def empty_before(pairs: Sequence[tuple[str, Node, Node]], name: str) -> str:
    """``: 'bridges' in front of it is empty: …`` where the key in front of one has nothing, and stands as far right."""
    at = next((number for number, pair in enumerate(pairs) if pair[0] == name), 0)
    if not at or not is_null(pairs[at - 1][2]):
        return ""
    before, here = pairs[at - 1][1].start_mark, pairs[at][1].start_mark
    if before.line == here.line or before.column != here.column:
        return ""
    return f": {pairs[at - 1][0]!r} in front of it is empty; what belongs to that stands further right"


def _mapping(entries: Sequence[str]) -> str:
    shown = ", ".join([*entries[:_MOST], *["…"][: len(entries) > _MOST]])
    return f". Did you mean {{{shown}}}?"


def _is_word(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z][\w.-]*", text) is not None


def _is_named(node: Node) -> bool:
    return node.id == "mapping" and any(key.value == "name" for key, _ in node.value)
