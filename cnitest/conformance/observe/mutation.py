"""Configurations with one thing wrong: each key with a value of another type, then with one that makes no sense."""

from __future__ import annotations

import copy
import ipaddress
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from cnitest.cni.spec import Document

Path = tuple[str | int, ...]

# The runtime's own part of a request, which other requirements are about.
_NOT_OURS = frozenset({"name", "cniVersion", "type", "prevResult"})
_OTHER_TYPES: tuple[Any, ...] = (None, "cnitest-wrong", -1, [], {})
_ADDRESS = re.compile(r"^[0-9a-fA-F:.]+(/\d+)?$")
# How many values are tried before each further key gets but one.
_MOST = 48
_NEAR = 0x4C


class Mutation(NamedTuple):
    """A configuration in which one value is another, and the words for that."""

    document: dict[str, Any]
    key: str
    value: Any
    words: str


def of(document: Document) -> Iterator[Mutation]:
    """Every key of a configuration with a value of each other type, and each of its sections missing.

    Of a large configuration the last keys are tried with one value each, neighbours with others.
    """
    made = 0
    for number, (path, value) in enumerate(_leaves(document)):
        others = [other for other in _OTHER_TYPES if type(other) is not type(value)]
        turn = number % len(others)
        for other in others[: _MOST - made] if made < _MOST else others[turn : turn + 1]:
            made += 1
            yield _mutated(document, path, other)
    for key in document:
        if key not in _NOT_OURS:
            left = {name: copy.deepcopy(value) for name, value in document.items() if name != key}
            yield Mutation(left, key, None, f"without '{key}'")


def wrong_values(document: Document) -> Iterator[Mutation]:
    """Values of the right type that make no sense: addresses that are none, numbers out of range, unknown words."""
    for path, value in _leaves(document):
        if isinstance(value, str) and _ADDRESS.match(value) and re.search(r"[.:]", value):
            yield _mutated(document, path, "300.1.2.3/99")
        elif isinstance(value, int) and not isinstance(value, bool):
            yield _mutated(document, path, -7)
            yield _mutated(document, path, 1 << 40)
    for key, value in (("mtu", -7), ("mode", "cnitest-wrong")):
        if key in document:
            yield _mutated(document, (key,), value)


def wrong_words(document: Document, kept: Sequence[str] = ()) -> Iterator[Mutation]:
    """Every text that is not needed to find state with another one, and every switch turned."""
    for path, value in _leaves(document):
        if str(path[-1]) in kept:
            continue
        if isinstance(value, bool):
            yield _mutated(document, path, not value)
        elif isinstance(value, str):
            yield _mutated(document, path, "cnitest-wrong")
        elif isinstance(value, int):
            yield _mutated(document, path, -7)


def replaced(value: Any, old: str, new: str) -> Any:
    """A document with one text replaced wherever it stands as a whole value; an address however it is spelt."""
    if isinstance(value, Mapping):
        return {key: replaced(item, old, new) for key, item in value.items()}
    if isinstance(value, list):
        return [replaced(item, old, new) for item in value]
    return new if value == old or (isinstance(value, str) and _folded(value) == _folded(old)) else value


def _folded(text: str) -> str:
    """An address as RFC 5952 spells it; another text as it is."""
    try:
        return str(ipaddress.ip_interface(text) if "/" in text else ipaddress.ip_address(text))
    except ValueError:
        return text


def near(address: str) -> str:
    """Another address near one: of IPv4 a host of its /24, of IPv6 one whose last bits differ.

    Raises ValueError for what is no address.
    """
    if ":" in address:
        return str(ipaddress.IPv6Address(int(ipaddress.IPv6Address(address)) ^ _NEAR))
    head, _, last = str(ipaddress.IPv4Address(address)).rpartition(".")
    return f"{head}.{(int(last) + _NEAR) % 250 + 1}"


def _leaves(document: Document) -> Iterator[tuple[Path, Any]]:
    for key, value in document.items():
        if key not in _NOT_OURS:
            yield from _below((key,), value)


def _below(path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    yield path, value
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key != "type":
                yield from _below((*path, key), item)
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _below((*path, position), item)


def _mutated(document: Document, path: Path, value: Any) -> Mutation:
    changed: Any = json.loads(json.dumps(document))
    within = changed
    for part in path[:-1]:
        within = within[part]
    within[path[-1]] = value
    where = ".".join(map(str, path))
    return Mutation(changed, str(path[-1]), value, f"'{where}' is {json.dumps(value)}")
