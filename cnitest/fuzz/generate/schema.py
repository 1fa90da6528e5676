"""Strategies from a JSON Schema of a configuration. Only this module knows hypothesis-jsonschema and jsonschema."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from hypothesis import HealthCheck, Phase, find, settings
from hypothesis.strategies import SearchStrategy

from cnitest.errors import ConfigError, FeatureMissing
from cnitest.fuzz.generate.schema_values import Reader
from cnitest.fuzz.model.example import Example, Validity

_SOME = settings(max_examples=20, database=None, phases=(Phase.generate,), suppress_health_check=list(HealthCheck))


def from_schema(schema: Mapping[str, Any], network: Mapping[str, Any]) -> SearchStrategy[Example]:
    """A network (a conflist) whose last plugin is what a JSON Schema of its configuration allows, laid over its own.

    The plugin's ``type`` stays. A schema says what is well-formed, not what works, so all are BOUNDARY. Raises
    FeatureMissing where hypothesis-jsonschema is not installed, ConfigError for a schema that cannot be used.
    """

    def laid_over(found: Any) -> Example:
        *others, last = network["plugins"]
        drawn = found if isinstance(found, dict) else {}
        plugins = [*others, {**last, **drawn, "type": last["type"]}]
        return Example({**network, "plugins": plugins}, Validity.BOUNDARY, why="as the schema allows")

    return _of(schema).map(laid_over)


def _of(schema: Mapping[str, Any]) -> SearchStrategy[Any]:
    try:
        from hypothesis_jsonschema import from_schema as scalars
        from jsonschema.validators import validator_for  # type: ignore[import-untyped, unused-ignore]
    except ImportError as error:
        raise FeatureMissing("a 'schema' needs hypothesis-jsonschema: pip install 'cnitest[schema]'") from error
    whole = copy.deepcopy(dict(schema))
    try:
        kind = validator_for(whole)
        kind.check_schema(whole)
        found = Reader(whole, scalars).values(whole).filter(kind(whole).is_valid)
        find(found, lambda _: True, settings=_SOME)
    except Exception as error:
        raise ConfigError(f"the JSON Schema cannot be used: {error}") from error
    return found
