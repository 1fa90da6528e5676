"""What is asked of YAML nodes: where they stand, what shape they have, the lines of a text."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from cnitest.topology.words.notation import Mark, Word

CORE = "tag:yaml.org,2002:"
_NULL = f"{CORE}null"


class Node(Protocol):
    """What is asked of a YAML node; ``value`` is text, a list of nodes, or a list of pairs of nodes."""

    @property
    def id(self) -> str:
        """``scalar``, ``sequence`` or ``mapping``."""

    tag: str
    value: Any
    style: str | None
    start_mark: Any


class Position(NamedTuple):
    """Where something stands in a file, counted from 1."""

    line: int
    column: int


def place_of(node: Node) -> Position:
    """Where a node starts."""
    mark = node.start_mark
    return Position(mark.line + 1, mark.column + 1)


def said_place(node: Node) -> str:
    """Where a node starts, in words."""
    here = place_of(node)
    return f"line {here.line}, column {here.column}"


def lines_of(text: str, node: Node) -> Word:
    """The lines of a text that say something, as a list of them where the text stands."""
    mark = node.start_mark
    begin = mark.line + 1 if node.style in ("|", ">") else mark.line
    column = 0 if node.style in ("|", ">") else mark.column
    step = 1 if node.style in ("|", ">") else 0
    found = [
        Word(line.strip(), Mark(begin + number * step, column))
        for number, line in enumerate(text.splitlines())
        if line.strip() and not line.lstrip().startswith("#")
    ]
    return Word(found, mark, f"{CORE}seq", id="sequence")


def is_scalar(node: Node) -> bool:
    """Whether a node is one value."""
    return node.id == "scalar"


def is_mapping(node: Node) -> bool:
    """A mapping, or nothing at all, which stands for an empty one."""
    return node.id == "mapping" or is_null(node)


def is_null(node: Node) -> bool:
    """Whether a node is empty."""
    return bool(node.tag == _NULL)


def shape(node: Node) -> str:
    """What a node is, in words."""
    if is_null(node):
        return "nothing"
    return {"mapping": "a mapping", "sequence": "a list"}.get(node.id) or repr(node.value)
