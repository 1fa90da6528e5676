"""Topology files: finding, reading and validating them. Each fault is named with its file, line and column."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from cnitest.errors import TopologyError
from cnitest.paths import no_text
from cnitest.paths import read as content
from cnitest.topology.model import Topology
from cnitest.topology.words import lookalikes
from cnitest.typos import did_you_mean, files_like

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


_MOST_BYTES = 4 << 20
#: Paths of what programs make when a topology is built, which may fail.
_OF_PROGRAMS = re.compile(r"\.(setup\[\d+\]|tc\[\d+\]|nft|iptables|ip6tables)$")
_SUFFIXES = (".yaml", ".yml")
_EMPTY = "a topology needs at least 'name' and 'hosts'"


def load(path: str | Path) -> Topology:
    """The topology in the file ``path``.

    Raises TopologyError when it cannot be read, or with every fault in it, one a line:
    ``FILE:LINE:COLUMN: PATH: what is wrong. Did you mean …?``.
    """
    source = Path(path)
    try:
        raw = content(source, _MOST_BYTES)
    except (OSError, ValueError) as error:
        raise TopologyError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return loads(_decoded(raw, str(path)), str(path))


def loads(text: str, source: str = "<string>") -> Topology:
    """The topology that ``text`` declares; ``source`` is the file's name in errors, and other files are beside it.

    Raises TopologyError as ``load`` does.
    """
    from cnitest.topology.compose import UnreadableError, line_of, lines_of, read, with_lookalike
    from cnitest.topology.decode import Decoder
    from cnitest.topology.rules.check import problems

    beside = Path(source).parent
    decoder = Decoder(read_file=lambda name: (beside / name).read_text(), root=Topology)
    try:
        topology: Topology = read(decoder, text, Topology, _EMPTY)
    except UnreadableError as fault:
        raise TopologyError(line_of(source, fault.place, str(fault))) from None
    if decoder.problems and (other := lookalikes.said(text, "topology")):
        raise TopologyError(f"{source}: {other}")
    found = [*decoder.problems]
    for problem in problems(topology, broken=decoder.broken):
        place = decoder.place(problem.path)
        found.append((place, with_lookalike(text, place, problem)))
    if found:
        raise TopologyError("\n".join(lines_of(source, found)))
    topology.__dict__["_where"] = {
        path: f"{source}:{place.line}:{place.column}"
        for path, place in decoder.where.items()
        if _OF_PROGRAMS.search(path)
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
        if Path(text).is_dir():
            raise TopologyError(f"{text}: is a directory; name a file in it")
        if Path(text).is_file():
            raise TopologyError(_no_topology(Path(text)))
        names = f"Shipped: {', '.join(shipped())}; a path has a '/' or ends in .yaml"
        hint = did_you_mean(text, shipped()) or "."
        raise TopologyError(f"no topology is called {text!r}{hint} {names}")
    return Path(str(_directory() / f"{text}.yaml"))


def shipped() -> tuple[str, ...]:
    """The names of the topologies that come with cnitest, sorted."""
    names = (each.name for each in _directory().iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def _no_topology(path: Path) -> str:
    """What a file is that was named like a shipped topology."""
    other = lookalikes.said(_start(path), "topology")
    return f"{path}: {other or 'a topology file ends in ' + ' or '.join(_SUFFIXES)}"


def _start(path: Path) -> str:
    """What a file begins with; nothing where it cannot be read."""
    try:
        return content(path, _MOST_BYTES).decode(errors="replace")
    except OSError:
        return ""


def _existing(path: Path) -> Path:
    if path.is_dir():
        raise TopologyError(f"{path}: is a directory, not a topology file")
    if not path.exists():
        beside = [each.name for each in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        raise TopologyError(f"{path}: no such file{did_you_mean(path.name, files_like(path.name, beside))}")
    return path


def _directory() -> Traversable:
    """The shipped topologies: in the installed package, or in a checkout that was not installed."""
    from importlib.resources import files

    try:
        return files("cnitest.fixtures") / "topologies"
    except ModuleNotFoundError:
        return Path(__file__).parents[2] / "fixtures" / "topologies"


def _decoded(raw: bytes, source: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        from cnitest.topology.compose import line_of
        from cnitest.topology.words.nodes import Position

        line, start = raw.count(b"\n", 0, error.start) + 1, raw.rfind(b"\n", 0, error.start) + 1
        column = len(raw[start : error.start].decode(errors="replace")) + 1
        raise TopologyError(line_of(source, Position(line, column), no_text(error))) from None
