"""Configurations drawn from a JSON Schema, and the oracles that need to know what kind of plugin it is."""

from __future__ import annotations

import dataclasses
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnitest.conformance.requirement import Kind
from cnitest.conformance.subject import Subject
from cnitest.errors import ConfigError
from cnitest.fuzz import schema
from cnitest.fuzz.attached import is_ipam
from cnitest.fuzz.example import Example
from cnitest.fuzz.mutations import from_schema
from cnitest.fuzz.trouble import plain

SCHEMAS: tuple[dict[str, Any], ...] = (
    {"enum": [1, "a", None]},
    {"const": {"type": "pool"}},
    {"type": "integer", "minimum": 68, "maximum": 9000},
    {"type": "number", "minimum": 0, "maximum": 1},
    {"type": "string", "minLength": 2, "maxLength": 5},
    {"type": "string", "pattern": "^[a-f]+$", "maxLength": 30},
    {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3},
    {"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True, "maxItems": 3},
    {"anyOf": [{"type": "null"}, {"type": "boolean"}]},
    {
        "type": "object",
        "required": ["ipam"],
        "additionalProperties": False,
        "properties": {
            "ipam": {"type": "object", "properties": {"type": {"const": "pool"}}},
            "mtu": {"type": "integer"},
        },
    },
)


@pytest.mark.parametrize("wanted", SCHEMAS, ids=str)
def test_values_are_what_the_schema_allows(wanted: dict[str, Any]) -> None:
    """Every value that is drawn validates."""

    @given(st.data())
    def check(data: st.DataObject) -> None:
        jsonschema.validate(data.draw(schema.values(wanted)), wanted)

    assert schema.is_known(wanted)
    check()


@pytest.mark.parametrize("other", [{"type": "object", "patternProperties": {}}, {"not": {}}, {}, True, {"type": "odd"}])
def test_what_is_not_known_is_said(other: Any) -> None:
    """A word that we do not know makes the whole schema unknown."""
    assert not schema.is_known(other)
    assert not schema.is_known({"anyOf": [other]})
    assert not schema.is_known({"type": "object", "properties": {"a": other}})


def test_a_schema_that_cannot_be_used_is_refused() -> None:
    """What neither we nor hypothesis-jsonschema understand is a fault of the profile."""
    with pytest.raises(ConfigError, match="cannot be used"):
        from_schema({"type": "odd"}, {"plugins": [{"type": "x"}]})


@given(from_schema({"type": "object", "properties": {"mtu": {"const": 9}}}, {"plugins": [{"type": "x", "a": 1}]}))
def test_the_plugin_keeps_its_type(example: Example) -> None:
    """A schema says nothing of what the plugin is called."""
    assert example.plugins in ([{"type": "x"}], [{"type": "x", "mtu": 9}])


def _subject(kind: Kind) -> Subject:
    fields = {field.name: () for field in dataclasses.fields(Subject) if field.default is dataclasses.MISSING}
    return Subject(**{**fields, "name": "p", "plugin": "p", "kind": kind, "conf": {}})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "conf", "wanted"),
    [
        (Kind.IPAM, {"type": "p", "ipam": {"type": "p"}}, True),
        (Kind.IPAM, {"type": "p", "ipam": {}}, True),
        (Kind.INTERFACE, {"type": "p", "ipam": {"type": "q"}}, False),
        (Kind.INTERFACE, {"type": "q", "ipam": {"type": "q"}}, True),
    ],
)
def test_an_ipam_plugin_is_one_by_its_profile(kind: Kind, conf: dict[str, Any], wanted: bool) -> None:
    """A plugin for addresses stays one when its section has lost its type."""
    assert is_ipam(Example({"plugins": [conf]}), _subject(kind)) is wanted
    assert not is_ipam(Example({"plugins": [{"type": "bridge"}, conf]}), _subject(kind))


@pytest.mark.parametrize("name", ["cnitest-c1-4", "cnitest_.c2", "cnitest_.p3-12", "c1"])
def test_containers_have_one_cause(name: str) -> None:
    """A cause does not depend on which container it was."""
    assert plain(f"a lease of {name} is left") == "a lease of CONTAINER is left"
