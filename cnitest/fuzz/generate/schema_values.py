"""Strategies for the values that a JSON Schema describes: objects, lists, choices and references are taken apart here.

What is generated comes close to the schema; whoever uses it filters what a validator rejects. Keywords that only
restrict (``not``, ``dependentRequired``, ``minProperties``) are left to that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

Schema = Mapping[str, Any] | bool
#: Makes a strategy of a schema of one text, number, boolean or null.
Scalars = Callable[[dict[str, Any]], SearchStrategy[Any]]
Values = SearchStrategy[Any]

_KEYWORDS = {
    "object": ("properties", "required", "additionalProperties", "patternProperties", "propertyNames"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"),
}
_TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")
_MORE_ITEMS, _MORE_KEYS = 4, 2
_PLAIN = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8))
ANYTHING: Values = st.one_of(
    _PLAIN, st.lists(_PLAIN, max_size=3), st.dictionaries(st.text(max_size=8), _PLAIN, max_size=3)
)


@dataclass(frozen=True)
class Reader:
    """Makes strategies of the parts of one document; ``scalars`` knows those of single values."""

    document: Mapping[str, Any]
    scalars: Scalars
    _references: dict[str, Values] = field(default_factory=dict)

    def values(self, schema: Schema) -> Values:
        """What a schema allows, or nearly. Raises LookupError for a reference that leads nowhere."""
        if isinstance(schema, bool) or not schema:
            return st.nothing() if schema is False else ANYTHING
        if "const" in schema or "enum" in schema:
            return st.sampled_from([schema["const"]] if "const" in schema else list(schema["enum"]))
        for alternatives in _alternatives(schema, self):
            return st.one_of([self.values(each) for each in alternatives])
        if "$ref" in schema:
            return self._referred(str(schema["$ref"]))
        return st.one_of([self._typed(kind, schema) for kind in _types(schema)])

    def resolve(self, reference: str) -> Schema:
        """The part of the document that ``#/$defs/x`` names. Raises LookupError."""
        found: Any = self.document
        if not reference.startswith("#"):
            raise LookupError(f"$ref {reference!r} is not in the schema itself")
        for part in filter(None, reference[1:].split("/")):
            name = part.replace("~1", "/").replace("~0", "~")
            try:
                found = found[int(name)] if isinstance(found, list) else found[name]
            except (LookupError, TypeError, ValueError):
                raise LookupError(f"$ref {reference!r} leads nowhere") from None
        return found  # type: ignore[no-any-return]

    def _referred(self, reference: str) -> Values:
        """One strategy a reference, which may lead back to itself."""
        target = self.resolve(reference)
        if reference not in self._references:
            self._references[reference] = st.deferred(lambda: self.values(target))
        return self._references[reference]

    def _typed(self, kind: str, schema: Mapping[str, Any]) -> Values:
        if kind == "object":
            return self._objects(schema)
        if kind == "array":
            return self._lists(schema)
        inner = [word for words in _KEYWORDS.values() for word in words]
        return self.scalars({**{key: value for key, value in schema.items() if key not in inner}, "type": kind})

    def _objects(self, schema: Mapping[str, Any]) -> Values:
        known = {name: self.values(each) for name, each in schema.get("properties", {}).items()}
        others = schema.get("additionalProperties", True)
        required = {name: known.get(name, self.values(others or True)) for name in schema.get("required", ())}
        optional = {name: each for name, each in known.items() if name not in required and not each.is_empty}
        named = st.fixed_dictionaries(required, optional=optional)
        more = [
            self._more(self.scalars({"type": "string", "pattern": pattern}), each)
            for pattern, each in schema.get("patternProperties", {}).items()
        ]
        more += [self._more(st.text(max_size=8), others)] if others else []
        return st.tuples(named, *more).map(_united) if more else named

    def _more(self, names: SearchStrategy[str], schema: Schema) -> SearchStrategy[dict[str, Any]]:
        return st.dictionaries(names, self.values(schema), max_size=_MORE_KEYS)

    def _lists(self, schema: Mapping[str, Any]) -> Values:
        items = schema.get("items", True)
        first = schema.get("prefixItems", items if isinstance(items, list) else [])
        rest = schema.get("additionalItems", True) if isinstance(items, list) else items
        least = max(int(schema.get("minItems", 0)) - len(first), 0)
        most = max(int(schema.get("maxItems", least + _MORE_ITEMS + len(first))) - len(first), 0)
        unique = json.dumps if schema.get("uniqueItems") else None
        others = st.lists(self.values(rest), min_size=least, max_size=max(most, least), unique_by=unique)
        if rest is False or most == 0:
            others = st.just([])
        begun = st.tuples(*map(self.values, first)).map(list)
        return st.tuples(begun, others).map(lambda both: both[0] + both[1]) if first else others


def _alternatives(schema: Mapping[str, Any], reader: Reader) -> Iterator[list[Schema]]:
    """What a schema leaves a choice of, each with the rest of it; one at most, where it has a choice at all."""
    for word in ("anyOf", "oneOf"):
        if word in schema:
            yield [merged(_without(schema, word), each, reader) for each in schema[word]]
            return
    if "allOf" in schema:
        whole: Schema = _without(schema, "allOf")
        for each in schema["allOf"]:
            whole = merged(whole, each, reader)
        yield [whole]
    elif "if" in schema:
        rest = _without(schema, "if", "then", "else")
        yes = merged(merged(rest, schema["if"], reader), schema.get("then", True), reader)
        yield [yes, merged(rest, schema.get("else", True), reader)]


def merged(one: Schema, other: Schema, reader: Reader) -> Schema:
    """A schema of what two of them say together, where it can be said simply."""
    if isinstance(one, bool) or isinstance(other, bool):
        return False if one is False or other is False else (other if one is True else one)
    if "$ref" in other and one:
        return merged(one, merged(_without(other, "$ref"), reader.resolve(str(other["$ref"])), reader), reader)
    both: dict[str, Any] = {**one, **other}
    for word in ("properties", "patternProperties"):
        if word in one and word in other:
            shared = {name: merged(each, other[word].get(name, True), reader) for name, each in one[word].items()}
            both[word] = {**other[word], **shared}
    if "required" in one and "required" in other:
        both["required"] = [*dict.fromkeys([*one["required"], *other["required"]])]
    return both


def _without(schema: Mapping[str, Any], *words: str) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key not in words}


def _types(schema: Mapping[str, Any]) -> list[str]:
    """The types that a schema names, else those that its keywords are about, else all."""
    given = schema.get("type", [])
    named = [given] if isinstance(given, str) else list(given)
    return named or [kind for kind, words in _KEYWORDS.items() if set(words) & set(schema)] or list(_TYPES)


def _united(parts: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    """What is named goes before what is drawn besides."""
    whole: dict[str, Any] = {}
    for part in reversed(parts):
        whole |= part
    return whole
