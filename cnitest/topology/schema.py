"""The JSON Schema of topology files, for editors: completion, and a first opinion while one types."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

from cnitest.topology import link_kinds, model
from cnitest.topology.words.notation import NO_NOTATION

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PREFIX = r"^[0-9A-Fa-f:.]+/[0-9]{1,3}$"
_ADDRESS = r"^[0-9A-Fa-f:.]+$"
_LINK_NAME = r"^[^\s/:%]{1,15}$"
_PLACE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"

# By field name; in every class that has the field.
_TEXT = {
    "mac": r"^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}$",
    "bridge": _LINK_NAME,
    "parent": r"^([^\s:]+:)?[^\s/:%]{1,15}$",
    "at": r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$",
    "via": r"^(inet6? )?[0-9A-Fa-f:.]+$",
}
_LISTS = {"addresses": _PREFIX, "loopback": _PREFIX}
_KEYS = dict.fromkeys(link_kinds.GROUPS, _LINK_NAME) | dict.fromkeys(("hosts", "sandboxes", "switches"), _PLACE_NAME)
_KEYS["sysctls"] = r"^net[./]"
_LIMITS = {row.model: row.limits for row in link_kinds.KINDS.values()}
_NUMBERS = {"mtu": (68, 65535), "table": (1, 4294967295), "mark": (0, 4294967295)}


def json_schema() -> dict[str, Any]:
    """The schema as a JSON document (draft 2020-12), made anew at each call.

    It knows keys, types, words and simple patterns; what relates two parts of a file only ``load`` can validate.
    """
    from pydantic import TypeAdapter

    made: dict[str, Any] = TypeAdapter(model.Topology).json_schema()
    for name, definition in (("Topology", made), *made["$defs"].items()):
        _describe(getattr(model, name), definition)
    return {"$schema": _DIALECT, **made, "title": "cnitest topology"}


def _describe(cls: Any, definition: dict[str, Any]) -> None:
    """Put the class's words, and what its fields say of their values, into its definition."""
    definition["description"] = _words(inspect.getdoc(cls) or "")
    descriptions = _field_words(cls)
    for name, field in definition["properties"].items():
        if limits := _LIMITS.get(cls, {}).get(name):
            field["minimum"], field["maximum"] = limits.least, limits.most
        if name in descriptions:
            field["description"] = descriptions[name]
        for part in _parts(field):
            _constrain(name, part)
        if cls.__dataclass_fields__[name].metadata.get("lines"):
            definition["properties"][name] = _text_or_file(field)
        _allow_lines(field)
    for word, name in getattr(cls, "NOTATION", NO_NOTATION).aliases.items():
        definition["properties"][word] = definition["properties"][name]
    if hasattr(cls, "NOTATION"):
        definition.pop("required", None)


def _text_or_file(field: dict[str, Any]) -> dict[str, Any]:
    """The field's schema, or one text, or the name of a file."""
    words: dict[str, Any] = {key: field.pop(key) for key in ("description", "default", "title") if key in field}
    file = {
        "type": "object",
        "properties": {"file": {"type": "string"}},
        "required": ["file"],
        "additionalProperties": False,
    }
    return {**words, "anyOf": [field, {"type": "string"}, file]}


def _allow_lines(field: dict[str, Any]) -> None:
    """Items of a class with a notation can be lines of text, too."""
    items = field.get("items", {})
    name = items.get("$ref", "").rpartition("/")[2]
    if hasattr(getattr(model, name, None), "NOTATION"):
        field["items"] = {"anyOf": [items, {"type": "string"}]}


def _words(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("``", "`")).strip()


def _field_words(cls: type) -> dict[str, str]:
    """By field, the first sentence of the class's words, or of those it inherits, that quotes it."""
    found: dict[str, str] = {}
    for each in cls.__mro__[:-1]:
        for sentence in re.split(r"(?<=[.;])\s+", _words(each.__doc__ or "")):
            for name in re.findall(r"`(\w+)`", sentence):
                found.setdefault(name, sentence.rstrip(";"))
    return found


def _parts(field: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The field's schema, or each of its alternatives."""
    yield from field.get("anyOf", [field])


def _constrain(name: str, part: dict[str, Any]) -> None:
    kind = part.get("type")
    if kind == "string" and name in _TEXT:
        part["pattern"] = _TEXT[name]
    elif kind == "array" and name in _LISTS:
        part["items"]["pattern"] = _LISTS[name]
    elif kind == "object" and name in _KEYS:
        part["propertyNames"] = {"pattern": _KEYS[name]}
    elif kind == "integer" and name in _NUMBERS:
        part["minimum"], part["maximum"] = _NUMBERS[name]
    if name == "ends":
        part["minItems"] = part["maxItems"] = 2
