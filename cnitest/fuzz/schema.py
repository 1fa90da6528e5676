"""Values that a JSON Schema allows: the part of it that configurations of plugins are written in.

hypothesis-jsonschema knows all of it, but stands on what Hypothesis keeps to itself, and changes; `drawn` needs it only
for what this module does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

_SILENT = frozenset({"$schema", "$id", "title", "description", "default", "examples", "$comment"})
_WORDS: Mapping[str, frozenset[str]] = {
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items", "minItems", "maxItems", "uniqueItems"}),
    "string": frozenset({"pattern", "minLength", "maxLength"}),
    "integer": frozenset({"minimum", "maximum"}),
    "number": frozenset({"minimum", "maximum"}),
    "boolean": frozenset(),
    "null": frozenset(),
}
_LONGEST, _MOST = 20, 4


def is_known(schema: Any) -> bool:
    """Whether this module knows every word of a schema."""
    if not isinstance(schema, Mapping):
        return False
    words = set(schema) - _SILENT
    for choice in ("anyOf", "oneOf"):
        if choice in words:
            return words == {choice} and all(is_known(each) for each in schema[choice])
    if "const" in words or "enum" in words:
        return words <= {"const", "enum", "type"}
    kind = str(schema.get("type"))
    if kind not in _WORDS or not words <= _WORDS[kind] | {"type"}:
        return False
    parts = list((schema.get("properties") or {}).values()) + ([schema["items"]] if "items" in words else [])
    return schema.get("additionalProperties", True) in (True, False) and all(is_known(part) for part in parts)


def values(schema: Mapping[str, Any]) -> SearchStrategy[Any]:
    """Values of a schema that `is_known`; what is optional is left out at its simplest."""
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return st.one_of([values(each) for each in schema[choice]])
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(list(schema["enum"]))
    return _TYPED[str(schema["type"])](schema)


def _object(schema: Mapping[str, Any]) -> SearchStrategy[Any]:
    drawn = {key: values(each) for key, each in (schema.get("properties") or {}).items()}
    required = set(schema.get("required") or ())
    return st.fixed_dictionaries(
        {key: one for key, one in drawn.items() if key in required},
        optional={key: one for key, one in drawn.items() if key not in required},
    )


def _array(schema: Mapping[str, Any]) -> SearchStrategy[Any]:
    least = int(schema.get("minItems", 0))
    unique = repr if schema.get("uniqueItems") else None
    items = values(schema.get("items") or {"type": "null"})
    return st.lists(items, min_size=least, max_size=int(schema.get("maxItems", least + _MOST)), unique_by=unique)


def _string(schema: Mapping[str, Any]) -> SearchStrategy[Any]:
    least, most = int(schema.get("minLength", 0)), int(schema.get("maxLength", _LONGEST))
    if "pattern" in schema:
        return st.from_regex(schema["pattern"]).filter(lambda text: least <= len(text) <= max(most, least))
    return st.text(min_size=least, max_size=max(most, least))


def _number(schema: Mapping[str, Any]) -> SearchStrategy[Any]:
    least, most = schema.get("minimum"), schema.get("maximum")
    if schema["type"] == "integer":
        return st.integers(least, most)
    return st.floats(least, most, allow_nan=False, allow_infinity=False)


_TYPED: Mapping[str, Callable[[Mapping[str, Any]], SearchStrategy[Any]]] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _number,
    "number": _number,
    "boolean": lambda _: st.booleans(),
    "null": lambda _: st.none(),
}
