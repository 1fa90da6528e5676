"""What each plugin's keys do, by the plugin's name: registered where it is written, asked for by `effects`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cnitest.conformance.bench.bench import Bench
from cnitest.fuzz.oracles.attached import Attached

Effect = Callable[[Bench, Attached, Mapping[str, Any]], Iterator[str]]
#: By plugin.
EFFECTS: dict[str, Effect] = {}


def effect(plugin: str) -> Callable[[Effect], Effect]:
    """Registers what has to show in the kernel for a configuration of a plugin: it yields what does not."""

    def register(function: Effect) -> Effect:
        EFFECTS[plugin] = function
        return function

    return register
