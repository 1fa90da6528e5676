"""What is drawn for ``cnitest fuzz``: tables of keys, configurations, calls by hand, mutations, schemas."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from fuzz_strategies import NETWORK, draws
from hypothesis import given
from hypothesis import strategies as st

from cnitest.cni import spec
from cnitest.errors import ConfigError
from cnitest.fuzz.generate import configs, malformed
from cnitest.fuzz.generate.mutations import mutations
from cnitest.fuzz.generate.schema import from_schema
from cnitest.fuzz.model import keys
from cnitest.fuzz.model.example import Example, Validity

VALIDITIES = ("valid", "boundary", "invalid")


def test_a_plugin_without_a_table_is_reported():
    """A plugin that nothing is known of is named, with those that there are."""
    with pytest.raises(ConfigError, match=r"'brigde'.*bridge"):
        keys.table("brigde")


# --- what is drawn


def conflicts(plugin: str, conf: Mapping[str, Any]) -> list[str]:
    """What in a configuration goes against its table."""
    table, found = keys.table(plugin), []
    for key in table.all_keys.values():
        if key.name not in conf:
            continue
        if not conf[key.name]:
            continue
        found += [f"{key.name} with {name}" for name in (*key.not_with, *key.without) if conf.get(name)]
        found += [f"{key.name} without {name}" for name in key.together if name not in conf]
        found += [f"{key.name} needs {key.needs}"] if key.needs and key.needs not in conf else []
    return found


@pytest.mark.parametrize("validity", VALIDITIES)
@pytest.mark.parametrize("plugin", keys.plugins())
def test_networks_of_every_plugin_are_drawn(plugin: str, validity: str):
    """Every plugin has networks of each validity, which are conflists, JSON, and have the plugin last."""

    @draws
    @given(configs.examples(plugin, validity))
    def every(example: Example) -> None:
        network = dict(example.network)
        assert json.loads(json.dumps(network)) == network
        assert network["plugins"][-1]["type"] == plugin
        assert {"cniVersion", "name"} <= set(network)

    every()


@pytest.mark.parametrize("release", ["1.1.1", "1.9.1"])
@pytest.mark.parametrize("plugin", keys.plugins())
def test_what_is_valid_has_no_conflicts(plugin: str, release: str):
    """A valid configuration has only known keys of its release, with valid values, and all that they go with."""

    @draws
    @given(configs.examples(plugin, "valid", release))
    def every(example: Example) -> None:
        conf = example.plugins[-1]
        there = {key.name: key for key in keys.table(plugin).of(release)}
        assert not conflicts(plugin, conf)
        assert set(conf) - set(there) <= {"type", "ipam", "capabilities"}
        assert all(conf[name] in key.valid for name, key in there.items() if name in conf)
        assert not example.why

    every()


@pytest.mark.parametrize("plugin", keys.plugins())
def test_what_is_invalid_differs_from_valid(plugin: str):
    """Something in an invalid network has no valid value, and it is said what."""

    @draws
    @given(configs.examples(plugin, "invalid"))
    def every(example: Example) -> None:
        assert example.why
        conf, table = example.plugins[-1], keys.table(plugin)
        wrong = [name for name, key in table.all_keys.items() if name in conf and not _has(key.valid, conf[name])]
        bad_network = (example.network["cniVersion"], example.network["name"])
        odd = bad_network[1] != "net" or bad_network[0] not in spec.VERSIONS
        assert wrong or odd or "(ipam)" in example.why

    every()


@draws
@given(configs.examples("host-device", "invalid"))
def test_a_wrong_key_that_names_the_device_is_the_only_one(example: Example):
    """Of several keys that name the device a plugin reads one: beside another a wrong one says nothing."""
    if example.why.startswith(("device", "hwaddr")):
        assert len({"device", "hwaddr"} & set(example.plugins[-1])) == 1


def _has(found: tuple[Any, ...], value: Any) -> bool:
    """Whether JSON tells a value from none of some; Python takes 1 for true."""
    return json.dumps(value) in map(json.dumps, found)


@draws
@given(configs.chains(always=("portmap",)))
def test_chains_hold_what_they_must(example: Example):
    """A chain begins with bridge, holds what it always has to, and has each plugin once."""
    names = [conf["type"] for conf in example.plugins]

    assert names[0] == "bridge"
    assert "portmap" in names
    assert len(names) == len(set(names)) <= 5


@draws
@given(st.data())
def test_calls_by_hand_are_drawn(data: st.DataObject):
    """Variables are text, standard input is no object, previous results say if they are right."""
    for validity in ("invalid", "boundary"):
        why, variables = data.draw(malformed.environments(validity))
        assert why
        assert all(key.startswith("CNI_") and "\0" not in value for key, value in variables.items())
    assert not _is_object(data.draw(malformed.stdin_bytes()))
    assert isinstance(data.draw(malformed.unusual_bytes({"type": "x", "name": "n"})), bytes)
    for version in ("0.2.0", "0.4.0", "1.0.0"):
        right, previous = data.draw(malformed.prev_results(version))
        json.dumps(previous)
        assert not right or previous["cniVersion"] == version


def _is_object(data: bytes) -> bool:
    try:
        return isinstance(json.loads(data), dict)
    except (ValueError, RecursionError):
        return False


@draws
@given(mutations(NETWORK, 3))
def test_mutations_keep_what_was_given(example: Example):
    """A mutation is JSON, leaves its source alone, says what it changed, and is valid only when that is nothing."""
    assert json.loads(json.dumps(example.network)) == example.network
    assert NETWORK["plugins"][0]["mtu"] == 1400
    assert (example.validity is Validity.VALID) is (example.network == NETWORK and not example.why)
    assert example.plugins[0]["type"] == "bridge"


SUBNETS = {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/subnet"}}
SUBNET = {"type": "object", "properties": {"subnet": {"type": "string", "pattern": "^10[.]"}}, "required": ["subnet"]}
TREE = {"type": "object", "properties": {"kids": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}}
SCHEMAS: dict[str, dict[str, Any]] = {
    "object": {"properties": {"n": {"type": "integer", "minimum": 3}}, "required": ["n"]},
    "references": {"properties": {"ranges": SUBNETS}, "required": ["ranges"], "$defs": {"subnet": SUBNET}},
    "recursive": {"$ref": "#/$defs/tree", "$defs": {"tree": TREE}},
    "alternatives": {"oneOf": [{"required": ["a"]}, {"properties": {"b": {"type": "null"}}, "required": ["b"]}]},
    "together": {"allOf": [{"required": ["a"]}, {"properties": {"a": {"enum": [1, "b"]}}}]},
    "condition": {"if": {"required": ["a"]}, "then": {"properties": {"a": {"const": 1}}}, "else": {"required": ["b"]}},
    "names": {"patternProperties": {"^x[0-9]$": {"type": "boolean"}}, "additionalProperties": False},
    "lists": {"properties": {"a": {"type": "array", "uniqueItems": True, "minItems": 2}}, "required": ["a"]},
    "not": {"properties": {"a": {"type": "integer", "not": {"const": 0}}}, "required": ["a"]},
}


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_a_schema_is_drawn_from(schema: dict[str, Any]):
    """What a JSON Schema allows is generated, whatever it is made of, with the plugin's type in it."""
    pytest.importorskip("hypothesis_jsonschema")
    validators = pytest.importorskip("jsonschema.validators")
    whole = {"type": "object", **schema}
    validator, seen = validators.validator_for(whole)(whole), []

    @draws
    @given(from_schema(whole, {**NETWORK, "plugins": [{"type": "bridge"}]}))
    def every(example: Example) -> None:
        *_, last = example.plugins
        assert last.pop("type") == "bridge"
        assert validator.is_valid(last)
        seen.append(last)

    every()

    assert any(seen), "not only empty objects"


@pytest.mark.parametrize("schema", [{"$ref": "#/nowhere"}, {"$ref": "other.json"}, {"required": "a"}])
def test_a_schema_that_cannot_be_used_is_reported(schema: dict[str, Any]):
    """A reference that leads nowhere or to another file, and what breaks JSON Schema's own rules, are ConfigErrors."""
    pytest.importorskip("hypothesis_jsonschema")

    with pytest.raises(ConfigError, match="JSON Schema cannot be used"):
        from_schema(schema, NETWORK)


def test_a_schema_that_is_none_is_reported():
    """What cannot be drawn from is one ConfigError."""
    pytest.importorskip("hypothesis_jsonschema")

    with pytest.raises(ConfigError, match="JSON Schema cannot be used"):
        from_schema({"type": "no such"}, NETWORK)
