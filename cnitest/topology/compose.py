"""From a text of YAML to values, with positions: what is no document is reported where reading ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cnitest.topology.decode import MOST_VALUES, Decoder, TooMuchError
from cnitest.topology.problem import Problem
from cnitest.topology.words.nodes import Node, Position

_DEEPEST = 40
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
        return decoder.decode(_compose(text, empty), hint)
    except (TooMuchError, RecursionError):
        message = f"its aliases expand to more than {MOST_VALUES} values; no file of this kind needs that"
        raise UnreadableError(Position(1, 1), message) from None


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
                raise _explained(error, text) from None
        else:
            break
    if nodes is None or nodes.tag.endswith(":null"):
        raise UnreadableError(Position(1, 1), f"the file is empty; {empty}")
    found: Node = nodes
    return found


def _limit_depth(events: Iterator[Any]) -> None:
    depth = 0
    for event in events:
        depth += _STEPS.get(type(event).__name__, 0)
        if depth > _DEEPEST:
            mark = event.start_mark
            message = f"nested more than {_DEEPEST} deep; no file of this kind is"
            raise UnreadableError(Position(mark.line + 1, mark.column + 1), message)


def _explained(error: Exception, text: str) -> UnreadableError:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None)
    if mark is not None:
        context = getattr(error, "context", None)
        said = _WORDS.get(str(context)) or _WORDS.get(str(problem))
        return UnreadableError(Position(mark.line + 1, mark.column + 1), f"not YAML: {said or problem}")
    position = getattr(error, "position", None)
    if isinstance(position, int):
        character = text[position : position + 1]
        line, column = text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)
        return UnreadableError(Position(line, column), f"not YAML: the character {character!r} is not allowed")
    return UnreadableError(Position(1, 1), f"not YAML: {str(error).partition(chr(10))[0]}")


def lines_of(source: str, found: list[tuple[Position, Problem]]) -> Iterator[str]:
    """Faults in the order of the file: ``FILE:LINE:COLUMN: PATH: what is wrong``."""
    for place, problem in sorted(found, key=lambda each: (each[0].line, each[0].column)):
        yield line_of(source, place, str(problem))


def line_of(source: str, place: Position, message: str) -> str:
    """One fault with its place."""
    return f"{source}:{place.line}:{place.column}: {message}"
