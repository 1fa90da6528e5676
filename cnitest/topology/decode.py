"""From a YAML node to the model, led by its types: text stays text, and no fault hides another.

What cannot be read is reported and replaced by a stand-in (a default, an empty text, a zero), and its path is
remembered as broken; the rest of the file is read, and validated, as if nothing had happened.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args, get_origin

from cnitest.topology.hints import (
    can_be_empty,
    expected,
    fields_of,
    has_default,
    hints_of,
    is_text,
    name_field,
    required,
    said,
    stand_in,
)
from cnitest.topology.problem import Problem, ancestors, child, listed
from cnitest.topology.words.guesses import choice, guess, is_certain, synonym
from cnitest.topology.words.homes import has_home, homes
from cnitest.topology.words.nodes import (
    CORE,
    Node,
    Position,
    is_mapping,
    is_null,
    is_scalar,
    lines_of,
    place_of,
    said_place,
    shape,
)
from cnitest.topology.words.notation import NO_NOTATION, Notation, Word, read_line
from cnitest.topology.words.shapes import as_list, as_names, empty_before
from cnitest.typos import meant, nearest

_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_TRUE = ("true", "yes", "on")
# An int of more digits is rejected by Python itself; the model wants 32 bits at most.
_MOST_DIGITS = 20


_Pair = tuple[str, Node, Node]


def _nothing_to_read(name: str) -> str:
    raise FileNotFoundError(2, f"only a file of its own can name {name}")


@dataclass
class Decoder:
    """Reads one document; afterwards it holds the problems, the broken paths and where each path stands."""

    problems: list[tuple[Position, Problem]] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    where: dict[str, Position] = field(default_factory=dict)
    read_file: Callable[[str], str] = _nothing_to_read
    #: The class of the whole document, of which it is asked where a key belongs.
    root: Any = None

    def decode(self, node: Node, hint: Any, path: str = "") -> Any:
        """The value of ``node`` as ``hint``."""
        if path not in self.where:
            self.where[path] = place_of(node)
        if not node.tag.startswith(CORE) or "python/" in node.tag:
            self.report(node, path, f"the tag {node.tag!r} means nothing here; leave it out")
        if hint is Any:
            return self._plain(node, path)
        inner, optional, shape, item = expected(hint)
        if optional and is_null(node):
            return None
        if shape == "record":
            return self._record(node, inner, path)
        if shape == "mapping":
            return self._mapping(node, item, path)
        if shape == "list" or (item is not None and node.id == "sequence"):
            return self._list(node, item, path)
        return self._scalar(node, inner, path)

    def place(self, path: str) -> Position:
        """Where ``path`` stands, or what would hold it when it is not in the file."""
        return next((self.where[near] for near in ancestors(path) if near in self.where), Position(1, 1))

    def report(self, node: Node, path: str, message: str) -> None:
        """Note a problem at ``node``."""
        self.problems.append((place_of(node), Problem(path, message)))

    def _reject(self, node: Node, hint: Any, path: str, message: str) -> Any:
        self.report(node, path, message)
        self.broken.add(path)
        return stand_in(hint)

    # Mappings and lists

    def _plain(self, node: Node, path: str) -> Any:
        """A value that is anything: text, whole numbers, true, false and null, lists and mappings of such."""
        if node.id == "sequence":
            return [self.decode(each, Any, f"{path}[{at}]") for at, each in enumerate(node.value)]
        if node.id == "mapping":
            pairs = list(self._pairs(node, path))
            self.where |= {child(path, name): place_of(key) for name, key, _ in pairs}
            return {name: self.decode(value, Any, child(path, name)) for name, _, value in pairs}
        if is_null(node):
            return None
        return self._bool(node, path) if node.tag == f"{CORE}bool" else _number_or_text(node)

    def _record(self, node: Node, cls: Any, path: str) -> Any:
        notation: Notation = getattr(cls, "NOTATION", NO_NOTATION)
        if notation is not NO_NOTATION and is_scalar(node) and not is_null(node):
            node = read_line(node, notation)
        if not is_mapping(node):
            return self._reject(node, cls, path, f"expected {said(cls)}, not {shape(node)}")
        values = dict(self._given(node, cls, path))
        for name in required(cls):
            if name not in values:
                values[name] = self._missing(hints_of(cls)[name], child(path, name))
        return cls(**values)

    def _given(self, node: Node, cls: Any, path: str) -> Iterator[tuple[str, Any]]:
        """The fields of a record that the file gives a value; a null leaves the default where there is one."""
        hints, known = hints_of(cls), fields_of(cls)
        for name, key, value in self._known_pairs(node, cls, known, path):
            spot = child(path, name)
            self.where[spot] = place_of(value if is_scalar(value) and value.value else key)
            given = self._whole_text(value, hints[name], spot) if known[name].metadata.get("lines") else value
            if given and not (is_null(given) and has_default(known[name])):
                yield name, self.decode(given, hints[name], spot)

    def _whole_text(self, node: Node, hint: Any, path: str) -> Node | None:
        """What is one text, or the name of a file (``{file: rules.v4}``), as the lines that the model wants."""
        if node.id == "mapping" and [key.value for key, _ in node.value] == ["file"]:
            name = node.value[0][1]
            try:
                text = self.read_file(str(name.value))
            except (OSError, ValueError) as error:
                self.report(name, path, f"{name.value}: cannot be read: {getattr(error, 'strerror', None) or error}")
                self.broken.add(path)
                return None
            return lines_of(text, name) if hint is not str else Word(text, name.start_mark)
        if hint is not str and node.id == "scalar" and "\n" in node.value.strip():
            return lines_of(node.value, node)
        return node

    def _missing(self, hint: Any, path: str) -> Any:
        if path in self.broken:
            return stand_in(hint)
        self.broken.add(path)
        self.problems.append((self.place(path), Problem(path, f"is missing (expected {said(hint)})")))
        return stand_in(hint)

    def _known_pairs(self, node: Node, cls: Any, known: Mapping[str, Any], path: str) -> Iterator[_Pair]:
        aliases: Mapping[str, str] = getattr(cls, "NOTATION", NO_NOTATION).aliases
        pairs = list(self._pairs(node, path))
        given = {aliases.get(name, name) for name, _, _ in pairs}
        seen: set[str] = set()
        for name, key, value in pairs:
            if (field_name := aliases.get(name, name)) in known:
                if field_name in seen:
                    self.report(key, child(path, name), f"is given twice, as {name!r} and in another word for it")
                    continue
                seen.add(field_name)
                yield field_name, key, value
                continue
            meant, hint = self._advice_on_key(name, cls, [*known, *aliases], known)
            astray = "" if meant else empty_before(pairs, name)
            self.report(key, child(path, name), f"unknown key{astray or hint}")
            meant = aliases.get(meant, meant) if meant else meant
            if meant and meant not in given:
                given.add(meant)
                yield meant, key, value
            elif not meant:
                self.broken |= {child(path, absent) for absent in known.keys() - given}

    def _advice_on_key(self, name: str, cls: Any, words: list[str], known: Iterable[str]) -> tuple[str | None, str]:
        """The known word that an unknown one stands for, if any, and what to say."""
        spelt = synonym(cls, name) or meant(name, words)
        is_elsewhere = self.root is not None and has_home(self.root, name) and not is_certain(cls, name)
        if not spelt and not is_elsewhere and (other := guess(cls, name)):
            return None, other
        elsewhere = "" if spelt or self.root is None else homes(self.root, name)
        if elsewhere:
            return None, elsewhere
        near = spelt or nearest(name, words)
        return near, f". Did you mean {near!r}?" if near else f". Known here: {listed(known)}"

    def _mapping(self, node: Node, hint: Any, path: str) -> Any:
        if is_null(node):
            return {}
        if not is_mapping(node):
            remedy = as_names(node, may_be_empty=can_be_empty(hint))
            return self._reject(node, Mapping, path, f"expected a mapping of names, not {shape(node)}{remedy}")
        found = {}
        for name, key, value in self._pairs(node, path):
            self.where[child(path, name)] = place_of(key)
            found[name] = _named(self.decode(value, hint, child(path, name)), name)
        return found

    def _list(self, node: Node, hint: Any, path: str) -> Any:
        if is_null(node):
            return ()
        if node.id != "sequence":
            remedy = as_list(node, of_text=is_text(hint))
            return self._reject(node, tuple, path, f"expected a list, not {shape(node)}{remedy}")
        return tuple(self.decode(each, hint, f"{path}[{at}]") for at, each in enumerate(node.value))

    def _pairs(self, node: Node, path: str, above: tuple[int, ...] = ()) -> Iterator[_Pair]:
        """The entries of a mapping by name; a name given twice is reported, and its first value stands."""
        first: dict[str, Node] = {}
        merged: list[Node] = []
        for key, value in [] if is_null(node) else node.value:
            if key.tag == f"{CORE}merge":
                merged.append(value)
            elif not is_scalar(key):
                self.report(key, path, f"expected a name before ':', not {shape(key)}")
            elif key.value in first:
                self.report(key, child(path, key.value), f"is given twice; first at {said_place(first[key.value])}")
            else:
                first[key.value] = key
                yield key.value, key, value
        if merged:
            yield from self._merged(merged, path, set(first), (*above, id(node)))

    def _merged(self, nodes: list[Node], path: str, taken: set[str], above: tuple[int, ...]) -> Iterator[_Pair]:
        """What ``<<`` brings in: mappings, or lists of them, whose names are not taken yet."""
        for value in nodes:
            for source in value.value if value.id == "sequence" else [value]:
                if not is_mapping(source) or id(source) in above:
                    self.report(source, child(path, "<<"), "expected another mapping to merge")
                    continue
                for name, key, inner in self._pairs(source, path, above):
                    if name not in taken:
                        taken.add(name)
                        yield name, key, inner

    # Scalars

    def _scalar(self, node: Node, hint: Any, path: str) -> Any:
        if not is_scalar(node):
            return self._reject(node, hint, path, f"expected {said(hint)}, not {shape(node)}")
        if is_null(node):
            return self._reject(node, hint, path, f"is empty (expected {said(hint)})")
        if get_origin(hint) is Literal:
            return self._choice(node, hint, path)
        if hint is str:
            return node.value
        if hint is bool:
            return self._bool(node, path)
        if hint is int:
            return self._int(node, path)
        return _number_or_text(node) if int in get_args(hint) else node.value

    def _choice(self, node: Node, hint: Any, path: str) -> Any:
        allowed = {str(choice): choice for choice in get_args(hint)}
        if node.value in allowed:
            return allowed[node.value]
        near = choice(node.value, allowed) or nearest(node.value, allowed)
        remedy = f". Did you mean {allowed[near]!r}?" if near else ""
        return self._reject(node, hint, path, f"{node.value!r} is not one of {listed(get_args(hint))}{remedy}")

    def _bool(self, node: Node, path: str) -> Any:
        if node.tag == f"{CORE}bool":
            return node.value.lower() in _TRUE
        spelt = {
            "true": "true",
            "yes": "true",
            "on": "true",
            "1": "true",
            "up": "true",
            "false": "false",
            "no": "false",
            "off": "false",
            "0": "false",
            "down": "false",
        }
        meant = spelt.get(node.value.strip().lower())
        remedy = f". Did you mean {meant}?" if meant else ""
        return self._reject(node, bool, path, f"{node.value!r} is not true or false{remedy}")

    def _int(self, node: Node, path: str) -> Any:
        text = node.value.strip()
        if not node.style and len(text) <= _MOST_DIGITS:
            if _WHOLE.fullmatch(text):
                return int(text)
            if _HEXADECIMAL.fullmatch(text):
                return int(text, 16)
        remedy = f". Did you mean {meant}?" if (meant := _whole_in(text)) else ""
        return self._reject(node, int, path, f"{node.value!r} is not a whole number{remedy}")


def _number_or_text(node: Node) -> str | int:
    text: str = node.value
    return int(text) if not node.style and len(text) <= _MOST_DIGITS and _WHOLE.fullmatch(text) else text


def _whole_in(text: str) -> str:
    """The number somebody may have meant by ``'1500'``, ``0100``, ``1500.0`` or ``1_500``."""
    found = re.fullmatch(r"(-?)0*([0-9_]+)(\.0+)?", text)
    return found[1] + found[2].replace("_", "") if found else ""


def _named(value: Any, name: str) -> Any:
    """A record of a mapping, which may have a field for the name that it stands under."""
    cls: Any = type(value)
    own = name_field(cls)
    return replace(value, **{own: name}) if own else value
