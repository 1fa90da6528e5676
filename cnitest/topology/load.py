"""Topology files: finding, reading and judging them. Each fault is named with its file, line and column."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnitest.errors import TopologyError
from cnitest.topology.decode import MOST_VALUES, Decoder, Node, Position, TooMuchError
from cnitest.topology.model import Topology
from cnitest.topology.problem import Problem
from cnitest.topology.rules.check import problems
from cnitest.typos import did_you_mean

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


_DEEPEST = 40
_MOST_BYTES = 4 << 20
_SUFFIXES = (".yaml", ".yml")
_WORDS = {
    "found character '\\t' that cannot start any token": "a tab cannot indent YAML; use spaces",
    "expected a single document in the stream": "one document is expected; nothing may follow '---'",
    "mapping values are not allowed here": "a ':' cannot stand here; check the indentation or quote the text",
}


class _UnreadableError(Exception):
    """A text that is no document; ``place`` is where reading ended."""

    def __init__(self, place: Position, message: str) -> None:
        super().__init__(message)
        self.place = place


def load(path: str | Path) -> Topology:
    """The topology in the file ``path``.

    Raises TopologyError when it cannot be read, or with every fault in it, one a line:
    ``FILE:LINE:COLUMN: PATH: what is wrong. Did you mean …?``.
    """
    source = Path(path)
    try:
        with source.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise TopologyError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return loads(_decoded(raw, str(path)), str(path))


def loads(text: str, source: str = "<string>") -> Topology:
    """The topology that ``text`` declares; ``source`` is the file's name in errors, and other files are beside it.

    Raises TopologyError as ``load`` does.
    """
    beside = Path(source).parent
    decoder = Decoder(read_file=lambda name: (beside / name).read_text(), root=Topology)
    try:
        topology = _decode(decoder, _compose(text))
    except _UnreadableError as fault:
        raise TopologyError(_line(source, fault.place, str(fault))) from None
    found = [*decoder.problems]
    for problem in problems(topology, broken=decoder.broken):
        found.append((decoder.place(problem.path), problem))
    if found:
        raise TopologyError("\n".join(_report(source, found)))
    topology.__dict__["_where"] = {
        path: f"{source}:{place.line}:{place.column}"
        for path, place in decoder.where.items()
        if ".setup[" in path or ".tc[" in path
    }
    return topology


def find(name_or_path: str | Path) -> Path:
    """The file of a shipped topology, or of a path (what has a ``/`` or ends in .yaml).

    Raises TopologyError when there is no such file or name.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or "/" in text or text.endswith(_SUFFIXES):
        return _existing(Path(text))
    if text not in shipped():
        names = f"Shipped: {', '.join(shipped())}; a path has a '/' or ends in .yaml"
        hint = did_you_mean(text, shipped()) or "."
        raise TopologyError(f"no topology is called {text!r}{hint} {names}")
    return Path(str(_directory() / f"{text}.yaml"))


def shipped() -> tuple[str, ...]:
    """The names of the topologies that come with cnitest, sorted."""
    names = (each.name for each in _directory().iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def _existing(path: Path) -> Path:
    if path.is_dir():
        raise TopologyError(f"{path}: is a directory, not a topology file")
    if not path.exists():
        beside = [each.name for each in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        raise TopologyError(f"{path}: no such file{did_you_mean(path.name, beside)}")
    return path


def _directory() -> Traversable:
    """The shipped topologies: in the installed package, or in a checkout that was not installed."""
    from importlib.resources import files

    try:
        return files("cnitest.fixtures") / "topologies"
    except ModuleNotFoundError:
        return Path(__file__).parents[2] / "fixtures" / "topologies"


def _decoded(raw: bytes, source: str) -> str:
    if len(raw) > _MOST_BYTES:
        raise TopologyError(f"{source}: is larger than {_MOST_BYTES >> 20} MiB; a topology is not")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, start = raw.count(b"\n", 0, error.start) + 1, raw.rfind(b"\n", 0, error.start) + 1
        column = len(raw[start : error.start].decode(errors="replace")) + 1
        byte = f"byte 0x{raw[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise TopologyError(_line(source, Position(line, column), byte)) from None


def _compose(text: str) -> Node:
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
        raise _UnreadableError(Position(1, 1), "the file is empty; a topology needs at least 'name' and 'hosts'")
    found: Node = nodes
    return found


def _limit_depth(events: Iterator[Any]) -> None:
    depth = 0
    for event in events:
        kind = type(event).__name__
        depth += kind in ("SequenceStartEvent", "MappingStartEvent")
        depth -= kind in ("SequenceEndEvent", "MappingEndEvent")
        if depth > _DEEPEST:
            mark = event.start_mark
            message = f"nested more than {_DEEPEST} deep; no topology is"
            raise _UnreadableError(Position(mark.line + 1, mark.column + 1), message)


def _explained(error: Exception, text: str) -> _UnreadableError:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None)
    if mark is not None:
        context = getattr(error, "context", None)
        said = _WORDS.get(str(context)) or _WORDS.get(str(problem))
        return _UnreadableError(Position(mark.line + 1, mark.column + 1), f"not YAML: {said or problem}")
    position = getattr(error, "position", None)
    if isinstance(position, int):
        character = text[position : position + 1]
        line, column = text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)
        return _UnreadableError(Position(line, column), f"not YAML: the character {character!r} is not allowed")
    return _UnreadableError(Position(1, 1), f"not YAML: {str(error).partition(chr(10))[0]}")


def _decode(decoder: Decoder, node: Node) -> Topology:
    try:
        topology: Topology = decoder.decode(node, Topology)
    except (TooMuchError, RecursionError):
        message = f"its aliases expand to more than {MOST_VALUES} values; no topology needs that"
        raise _UnreadableError(Position(1, 1), message) from None
    return topology


def _report(source: str, found: list[tuple[Position, Problem]]) -> Iterator[str]:
    for place, problem in sorted(found, key=lambda each: (each[0].line, each[0].column)):
        yield _line(source, place, str(problem))


def _line(source: str, place: Position, message: str) -> str:
    return f"{source}:{place.line}:{place.column}: {message}"
