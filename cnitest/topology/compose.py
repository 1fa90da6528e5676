"""From a text of YAML to values, with positions: what is no document is reported where reading ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from cnitest.text import lookalike
from cnitest.topology.decode import Decoder
from cnitest.topology.problem import Problem
from cnitest.topology.words.nodes import Node, Position

_DEEPEST, _MOST_VALUES = 40, 200_000
_STEPS = {"SequenceStartEvent": 1, "MappingStartEvent": 1, "SequenceEndEvent": -1, "MappingEndEvent": -1}
_WORDS = {
    "found character '\\t' that cannot start any token": "a tab cannot indent YAML; use spaces",
    "expected a single document in the stream": "one document is expected; nothing may follow '---'",
    "expected <block end>, but found '<block mapping start>'": "its indentation is not that of the lines around it",
    "expected <block end>, but found '-'": "a list's '-' stands where a key is expected; check the indentation",
    "expected <block end>, but found '?'": "a key stands where a list's '-' is expected; check the indentation",
    "expected ',' or '}', but got '<stream end>'": "a '{' is not closed",
    "expected ',' or ']', but got '<stream end>'": "a '[' is not closed",
    "found unexpected end of stream": "a quote is not closed",
    "expected the node content, but found ':'": "what begins with ':' wants quotes, such as an IPv6 address",
    "mapping values are not allowed here": "a ':' cannot stand here; check the indentation or quote the text",
}


class UnreadableError(Exception):
    """A text that is no document; ``place`` is where reading ended."""

    def __init__(self, place: Position, message: str) -> None:
        super().__init__(message)
        self.place = place


def read(decoder: Decoder, text: str, hint: Any, empty: str) -> Any:
    """The value of a document as ``hint``; ``decoder`` has its faults afterwards. Raises UnreadableError.

    ``empty`` says what a file needs that has nothing.
    """
    try:
        value = decoder.decode(_compose(text, empty), hint)
        decoder.problems[:] = [(place, with_lookalike(text, place, each)) for place, each in decoder.problems]
        return value
    except RecursionError:
        raise _too_many_values() from None


def _too_many_values() -> UnreadableError:
    message = f"its aliases expand to more than {_MOST_VALUES} values; no file of this kind needs that"
    return UnreadableError(Position(1, 1), message)


def _compose(text: str, empty: str) -> Node:
    """The document as nodes, each with its position; the C parser reads, the Python one words the errors."""
    import yaml

    nodes: Any = None
    for loader in (getattr(yaml, "CSafeLoader", yaml.SafeLoader), yaml.SafeLoader):
        try:
            _limit_depth(yaml.parse(text, Loader=loader))
            nodes = yaml.compose(text, Loader=loader)
        except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
            if loader is yaml.SafeLoader:
                raise explained(error, text) from None
        else:
            break
    if nodes is None or nodes.tag.endswith(":null"):
        raise UnreadableError(Position(1, 1), f"the file is empty; {empty}")
    if _values(nodes, {}) > _MOST_VALUES:
        raise _too_many_values()
    found: Node = nodes
    return found


def _values(node: Node, known: dict[int, int]) -> int:
    """How many values a node has when its aliases are expanded; ``known`` has those of nodes that were counted, and one
    for a node within itself, which has no end."""
    if id(node) not in known:
        known[id(node)] = 1
        parts = [part[-1] if isinstance(part, tuple) else part for part in node.value] if node.id != "scalar" else []
        known[id(node)] = 1 + sum(_values(part, known) for part in parts)
    return known[id(node)]


def _limit_depth(events: Iterator[Any]) -> None:
    depth = 0
    for event in events:
        depth += _STEPS.get(type(event).__name__, 0)
        if depth > _DEEPEST:
            mark = event.start_mark
            message = f"nested more than {_DEEPEST} deep; no file of this kind is"
            raise UnreadableError(Position(mark.line + 1, mark.column + 1), message)


def explained(error: Exception, text: str) -> UnreadableError:
    """What PyYAML cannot read in a text, in words, and where."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None)
    if mark is not None:
        context = getattr(error, "context", None)
        said = _WORDS.get(str(context)) or _WORDS.get(str(problem))
        place = Position(mark.line + 1, mark.column + 1)
        return UnreadableError(
            place, ". ".join(filter(None, (f"not YAML: {said or problem}", _lookalike(text, place, 1))))
        )
    position = getattr(error, "position", None)
    if isinstance(position, int):
        character = text[position : position + 1]
        line, column = text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)
        return UnreadableError(Position(line, column), f"not YAML: the character {character!r} is not allowed")
    return UnreadableError(Position(1, 1), f"not YAML: {str(error).partition(chr(10))[0]}")


def with_lookalike(text: str, place: Position, problem: Problem) -> Problem:
    """A fault, with a character on its line that is another than it looks like."""
    found = _lookalike(text, place)
    ended = problem.message.endswith("?")
    return replace(problem, message=f"{problem.message}{'' if ended else '.'} {found}") if found else problem


def _lookalike(text: str, place: Position, above: int = 0) -> str:
    """``Column 5 is a no-break space …`` of the line of a fault, or of one of so many ``above`` it; else nothing."""
    rows = text.splitlines()
    for at in range(place.line, place.line - above - 1, -1):
        found = lookalike(rows[at - 1]) if 0 < at <= len(rows) else ""
        if found:
            return f"Column {found}" if at == place.line else f"In line {at} column {found}"
    return ""


def lines_of(source: str, found: list[tuple[Position, Problem]]) -> Iterator[str]:
    """Faults in the order of the file: ``FILE:LINE:COLUMN: PATH: what is wrong``."""
    for place, problem in sorted(found, key=lambda each: (each[0].line, each[0].column)):
        yield line_of(source, place, str(problem))


def line_of(source: str, place: Position, message: str) -> str:
    """One fault with its place."""
    return f"{source}:{place.line}:{place.column}: {message}"
