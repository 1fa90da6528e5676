"""Strategies from a JSON Schema of a plugin's configuration. Only this module knows hypothesis-jsonschema."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

from hypothesis import HealthCheck, Phase, find, settings
from hypothesis.strategies import SearchStrategy

from cnitest.errors import ConfigError, FeatureMissing
from cnitest.fuzz.model.example import Example, Validity

_ONE = settings(max_examples=1, database=None, phases=(Phase.generate,), suppress_health_check=list(HealthCheck))


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
        from hypothesis_jsonschema import _from_schema as drawn
    except ImportError as error:
        raise FeatureMissing("a 'schema' needs hypothesis-jsonschema: pip install 'cnitest[schema]'") from error
    _from_schema: Any = drawn
    if not hasattr(_from_schema.cu.many, "more"):
        _from_schema.cu = SimpleNamespace(many=_with_more(_from_schema.cu.many))
    try:
        found: SearchStrategy[Any] = _from_schema.from_schema(copy.deepcopy(dict(schema)))
        find(found, lambda _: True, settings=_ONE)
    except Exception as error:
        raise ConfigError(f"the JSON Schema cannot be used: {error}") from error
    return found


def _with_more(many: Any) -> Any:
    """Hypothesis's helper for collections with the method ``more``, which hypothesis-jsonschema 0.23 still calls and
    Hypothesis has replaced by iteration."""

    class Many(many):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._steps: Iterator[None] | None = None

        def more(self) -> bool:
            if self._steps is None:
                self.__enter__()
                self._steps = iter(self)
            if next(self._steps, self) is not self:
                return True
            self.__exit__(None)
            return False

    return Many
