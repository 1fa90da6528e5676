"""The JSON Schema for editors: it says what the loader says, as far as a schema can."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from cnitest import topology
from cnitest.topology import Topology, find, json_schema, model, shipped
from cnitest.topology.words import notation


def test_the_schema_is_a_json_document_of_its_dialect() -> None:
    """It can be written to a file, names its dialect and has a title and a description."""
    made = json_schema()

    assert json.loads(json.dumps(made)) == made
    assert made["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert made["title"] == "cnitest topology"
    assert made["description"].startswith("A whole network")


def test_all_names_that_are_written_are_there() -> None:
    """Each name of ``__all__`` can be imported, and each class of the model is one."""
    kept = {name for name, kind in vars(model).items() if isinstance(kind, type) and kind.__module__ != "typing"}

    assert [name for name in topology.__all__ if not hasattr(topology, name)] == []
    assert {name for name in kept if dataclasses.is_dataclass(getattr(model, name))} <= {*topology.__all__, "Frozen"}


def test_each_call_makes_a_schema_of_its_own() -> None:
    """A caller may change what it got."""
    json_schema()["title"] = "spoilt"

    assert json_schema()["title"] == "cnitest topology"


def test_the_schema_knows_every_field_of_the_model() -> None:
    """Each class of the model has its definition: closed, with the same fields and the docstring's words."""
    made = json_schema()
    definitions = {"Topology": made, **made["$defs"]}

    for name, definition in definitions.items():
        cls = getattr(model, name)
        aliases = set(getattr(cls, "NOTATION", notation.NO_NOTATION).aliases)
        assert set(definition["properties"]) == {field.name for field in dataclasses.fields(cls)} | aliases
        assert definition["additionalProperties"] is False
        assert definition["description"]


def test_fields_are_described_in_the_words_of_the_model() -> None:
    """An editor shows at ``hairpin`` or ``loopback`` what the docstring says."""
    made = json_schema()

    assert "bridge" in made["$defs"]["VethEnd"]["properties"]["hairpin"]["description"]
    assert made["$defs"]["Host"]["properties"]["loopback"]["description"] == "`loopback` are addresses on `lo`."
    assert "YAML" not in json.dumps(made)


def test_the_patterns_are_regular_expressions() -> None:
    """Each pattern compiles."""
    found = [*_patterns(json_schema())]

    assert found
    for pattern in found:
        re.compile(pattern)


def _patterns(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("pattern"), str):
            yield node["pattern"]
        for value in node.values():
            yield from _patterns(value)
    elif isinstance(node, list):
        for value in node:
            yield from _patterns(value)


@pytest.mark.parametrize("name", shipped())
def test_shipped_topologies_satisfy_the_schema(name: str) -> None:
    """What is shipped is valid by the schema's own words, and by the types that it is made from."""
    import yaml
    from pydantic import TypeAdapter

    document = yaml.safe_load(find(name).read_text())

    assert [*_faults(document, json_schema())] == []
    assert TypeAdapter(Topology).validate_python(_tuples(document)).name == name


@pytest.mark.parametrize(
    "document",
    [
        {"hosts": {}},
        {"name": "x", "host": {}},
        {"name": "x", "hosts": {"a b": {}}},
        {"name": "x", "hosts": {"h": {"bridges": {"br0": {"addresses": ["10.0.0.1"]}}}}},
        {"name": "x", "hosts": {"h": {"vlans": {"v": {"parent": "a", "id": 4095}}}}},
        {"name": "x", "hosts": {"h": {"role": "hub"}}},
        {"name": "x", "veths": [{"ends": [{"at": "h"}]}]},
        {"name": "x", "hosts": {"h": {"sysctls": {"kernel.panic": 1}}}},
    ],
)
def test_the_schema_rejects_what_it_can_see(document: dict[str, Any]) -> None:
    """A missing or unknown key, a bad name, number, word or pattern is rejected while one types."""
    assert [*_faults(document, json_schema())]


def _tuples(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _tuples(value) for key, value in node.items()}
    return tuple(map(_tuples, node)) if isinstance(node, list) else node


def _faults(value: Any, schema: dict[str, Any], root: dict[str, Any] | None = None, path: str = "") -> Iterator[str]:
    """What the schema has against ``value``, for the keywords that our schema uses."""
    root = root or schema
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    if schema.get("anyOf") and all([*_faults(value, each, root, path)] for each in schema["anyOf"]):
        yield f"{path}: none of the alternatives"
    kind = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", type(None): "null"}[
        type(value)
    ]
    if schema.get("type", kind) != kind:
        yield f"{path}: {kind}"
    elif kind == "object":
        yield from _object_faults(value, schema, root, path)
    elif kind == "array":
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            yield f"{path}: {len(value)} items"
        for at, each in enumerate(value):
            yield from _faults(each, schema.get("items", {}), root, f"{path}[{at}]")
    else:
        yield from _scalar_faults(value, schema, path)


def _object_faults(value: dict[str, Any], schema: dict[str, Any], root: dict[str, Any], path: str) -> Iterator[str]:
    known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    yield from (f"{path}: no {name}" for name in schema.get("required", ()) if name not in value)
    for name, each in value.items():
        if name not in known and others is False:
            yield f"{path}: {name} unknown"
        elif not re.search(schema.get("propertyNames", {}).get("pattern", ""), name):
            yield f"{path}: name {name}"
        else:
            yield from _faults(
                each, known.get(name, others if isinstance(others, dict) else {}), root, f"{path}.{name}"
            )


def _scalar_faults(value: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value} is not in the enumeration"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{path}: {value} does not match"
    if not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        yield f"{path}: {value} is out of range"
