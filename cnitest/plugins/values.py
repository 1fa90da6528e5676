"""Values of a configuration that a plugin does not accept, by what is known of its keys, and what it accepts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from cnitest.cni import releases
from cnitest.plugins.knowledge import Key, Plugin
from cnitest.text import quoted
from cnitest.topology.rules.names import link_name_fault
from cnitest.topology.words.address import mac_fault
from cnitest.typos import did_you_mean

_EXPECTED = {
    "text": "text between double quotes",
    "boolean": "true or false, without quotes",
    "number": "a whole number, without quotes",
    "object": "an object, { … }",
    "list": "a list, [ … ]",
    "lists": "a list of lists, [[ … ]]",
}
_KINDS: Mapping[str, tuple[type, ...]] = {
    "text": (str,),
    "number": (int,),
    "object": (Mapping,),
    "list": (list, tuple),
    "lists": (list, tuple),
}
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_FORMS: Mapping[str, Callable[[str], str | None]] = {"link": link_name_fault, "mac": mac_fault}


class BadValue(NamedTuple):
    """A value that is not accepted: where it stands (``ipam.ranges[0]``), why in words, and itself as a text."""

    path: str
    words: str
    value: str = ""

    @property
    def key(self) -> str:
        """The last key on its path."""
        return self.path.rpartition(".")[2].partition("[")[0]

    def __str__(self) -> str:
        return f"{self.path!r} {self.words}"


def faults(plugin: Plugin, conf: Mapping[str, Any], release: str = "") -> Iterator[BadValue]:
    """The values of a plugin's own keys that it does not accept; ``release`` is its own where that is known.

    What is absent, empty or null is no value. Keys are compared as plugins in Go read them, in any case.
    """
    known = {name.lower(): key for name, key in plugin.all_keys.items()}
    for name, value in conf.items():
        key = known.get(name.lower())
        if key is not None and not _is_nothing(value):
            yield from _of_key(key, name, value, release)
    yield from _alone(plugin, conf)


def faults_of_section(plugin: Plugin, section: Mapping[str, Any], path: str = "ipam") -> Iterator[BadValue]:
    """The values of an IPAM section, or of an object in it, that are of another type than its plugin expects."""
    words = {name for part in plugin.section.values() for name in part}
    for name, value in section.items():
        where = f"{path}.{name}"
        if name not in words or _is_nothing(value):
            continue
        expected = plugin.types.get(name, "text")
        if not is_a(expected, value):
            yield BadValue(where, other_type(expected, value))
        elif name in plugin.section:
            yield from _of_members(plugin, where, value, nested=expected == "lists")


def _of_members(plugin: Plugin, where: str, value: Any, *, nested: bool = False) -> Iterator[BadValue]:
    """What is inside a list of objects, a list of lists of them, or an object."""
    if isinstance(value, Mapping):
        yield from faults_of_section(plugin, value, where)
        return
    for number, item in enumerate(value):
        if nested and not is_a("list", item):
            yield BadValue(f"{where}[{number}]", other_type("list", item))
        elif isinstance(item, (Mapping, list, tuple)):
            yield from _of_members(plugin, f"{where}[{number}]", item)
        else:
            yield BadValue(f"{where}[{number}]", other_type("object", item))


def _of_key(key: Key, name: str, value: Any, release: str) -> Iterator[BadValue]:
    if not is_a(key.type, value):
        yield BadValue(name, other_type(key.type, value))
        return
    if key.one_of:
        yield from _of_words(key, name, value, release)
    if key.type == "number" and not _is_within(key, value):
        yield BadValue(name, f"is {value}, and {_range(key)} accepted", str(value))
    if key.form and isinstance(value, str) and (why := _FORMS[key.form](value)):
        yield BadValue(name, f"is wrong: {why}")
    for where, item in _items(value) if key.items else ():
        if not is_a(key.items, item) and not _is_nothing(item):
            yield BadValue(f"{name}{where}", other_type(key.items, item))


def _of_words(key: Key, name: str, value: str, release: str) -> Iterator[BadValue]:
    since = key.later.get(value, "")
    if value not in key.one_of:
        known = ", ".join(map(repr, key.one_of))
        yield BadValue(
            name, f"is {quoted(value)}, and is none of {known}{did_you_mean(value, key.one_of, clause=True)}", value
        )
    elif since and release and releases.order(release) < releases.order(since):
        yield BadValue(name, f"is {value!r}, which came with release {since}; this one is {release}", value)


def _alone(plugin: Plugin, conf: Mapping[str, Any]) -> Iterator[BadValue]:
    """Keys that only work together with others."""
    given = {name.lower() for name, value in conf.items() if value}
    for name, key in plugin.all_keys.items():
        for other in key.together:
            if name.lower() in given and other.lower() not in given:
                yield BadValue(name, f"is given, and {other!r}, which belongs to it, is not, or is 0")


def _is_nothing(value: Any) -> bool:
    return value is None or value == ""


def is_a(expected: str, value: Any) -> bool:
    """Whether a value is of a type of JSON, by the words for these in files of what is known of plugins."""
    if isinstance(value, bool):
        return expected == "boolean"
    return isinstance(value, _KINDS.get(expected, ()))


def _is_within(key: Key, value: int) -> bool:
    if value in key.besides:
        return True
    return (key.least is None or value >= key.least) and (key.most is None or value <= key.most)


def _range(key: Key) -> str:
    numbers = f"{key.least} to {key.most} are" if key.most is not None else f"numbers from {key.least} on are"
    return f"{', '.join(map(str, key.besides))} and {numbers}" if key.besides else numbers


def other_type(expected: str, value: Any) -> str:
    """That a value is of another type than is expected, with what was meant."""
    kinds = {bool: "the boolean", int: "the number", float: "the number", str: "the text"}
    if isinstance(value, (Mapping, list, tuple)):
        shown = "an object" if isinstance(value, Mapping) else "a list"
    else:
        shown = f"{kinds.get(type(value), '')} {_cut(json.dumps(value))}".strip()
    meant = _meant(expected, value)
    return f"is {shown}, and {_EXPECTED[expected]}, is expected{f'; did you mean {meant}?' if meant else ''}"


def _meant(expected: str, value: Any) -> str:
    """A value of the expected type that is written otherwise; empty where none is meant plainly."""
    if expected == "boolean" and isinstance(value, (str, int)):
        word = str(value).lower()
        return "true" if word in _TRUE else "false" if word in _FALSE else ""
    if expected == "number" and isinstance(value, str):
        return value.strip() if value.strip().lstrip("-").isdecimal() else ""
    if expected == "number" and isinstance(value, float) and value.is_integer():
        return str(int(value))
    if expected == "text" and isinstance(value, (bool, int, float)):
        return f'"{json.dumps(value)}"'
    if expected == "list" and isinstance(value, (str, Mapping)):
        return _cut(json.dumps([value]))
    if expected == "lists" and isinstance(value, Mapping):
        return _cut(json.dumps([[value]]))
    return ""


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:50]} …"


def _items(value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [(f".{name}", item) for name, item in value.items()]
    return [(f"[{number}]", item) for number, item in enumerate(value)]
