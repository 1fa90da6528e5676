"""Configurations of a plugin that nothing is known of: the one that was given, with a few things changed in it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from hypothesis import strategies as st

from cnitest.fuzz.model.example import Example, Validity

Path = tuple[str | int, ...]
_FIXED = ("type", "name", "cniVersion", "capabilities")
#: A value of each type.
_TYPES: tuple[Any, ...] = (None, True, 0, -1, 1 << 40, 1.5, "", "text", [], {}, ["text"])
#: Keys that no plugin knows, with a value of each type at once: whichever matters is left when a finding is reduced.
_UNKNOWN: Mapping[str, Any] = {
    "x-null": None,
    "x-true": True,
    "x-number": 1,
    "x-text": "text",
    "x-list": [],
    "x-mapping": {},
}
_EDGES: Mapping[type, tuple[Any, ...]] = {
    int: (0, 1, -1, 65535, 65536, 1 << 31),
    str: ("", "a", "x" * 300, "ä", "a b", "../x", "%d"),
}


@st.composite
def mutations(draw: st.DrawFn, conf: Mapping[str, Any], changes: int = 2) -> Example:
    """A network (a conflist) as it is, or with one to ``changes`` values dropped, doubled or replaced.

    As it is, it is valid; changed, nobody knows, so it is one or the other.
    """
    network = copy.deepcopy(dict(conf))
    applied = [draw(_change(network)) for _ in range(draw(st.integers(0, changes)))]
    if not applied:
        return Example(network)
    return Example(network, Validity.BOUNDARY, why=", ".join(applied))


@st.composite
def _change(draw: st.DrawFn, network: dict[str, Any]) -> str:
    places = [place for plugin in range(len(network["plugins"])) for place in _places(network, plugin)]
    if not places:
        return "nothing to change"
    path = draw(st.sampled_from(places))
    parent = _at(network, path[:-1])
    old = parent[path[-1]]
    how = draw(st.sampled_from(["drop", "edge", "type", "double", "unknown"]))
    if how == "drop":
        del parent[path[-1]]
        return f"without {_words(path)}"
    if how == "unknown":
        network["plugins"][path[1]].update(copy.deepcopy(dict(_UNKNOWN)))
        return "keys that nobody knows"
    if how == "double" and isinstance(old, list) and old:
        old.append(copy.deepcopy(old[0]))
        return f"{_words(path)} doubled"
    values = _EDGES.get(type(old), _TYPES) if how == "edge" else _TYPES
    parent[path[-1]] = copy.deepcopy(draw(st.sampled_from(values)))  # the next change may be within it
    return f"{_words(path)} is {parent[path[-1]]!r}"


def _places(network: Mapping[str, Any], plugin: int) -> Iterator[Path]:
    yield from _below(network["plugins"][plugin], ("plugins", plugin))


def _below(value: Any, path: Path) -> Iterator[Path]:
    """Every value in a configuration that may be changed, by its path."""
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        if key in _FIXED and len(path) <= 2:
            continue
        yield (*path, key)
        yield from _below(item, (*path, key))


def _at(network: Any, path: Path) -> Any:
    for key in path:
        network = network[key]
    return network


def _words(path: Path) -> str:
    return ".".join(str(key) for key in path[2:])
