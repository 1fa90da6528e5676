"""Makes a scenario smaller while the same thing stays wrong: fewer steps, fewer networks, no needless key.

Hypothesis shrinks what it drew; this goes on from there over the configuration itself, so it works for configurations
that a person gave, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cnitest.fuzz.example import Example
from cnitest.fuzz.scenario import Scenario

#: What no network can do without.
_KEPT = ("cniVersion", "name", "plugins", "type")
_LONG = 24


def reduced(scenario: Scenario, holds: Callable[[Scenario], bool]) -> Scenario:
    """The smallest scenario that was found for which ``holds`` still is true; ``holds`` says False to end it soon."""
    current, seen = scenario, {scenario.dumps()}
    changed = True
    while changed:
        changed = False
        for candidate in _smaller(current):
            text = candidate.dumps()
            if text in seen:
                continue
            seen.add(text)
            if holds(candidate):
                current, changed = candidate, True
                break
    return current


def _smaller(scenario: Scenario) -> Iterator[Scenario]:
    """Scenarios that are a little smaller, the most promising first."""
    yield from _fewer_steps(scenario)
    yield from _plain_steps(scenario)
    yield from _fewer_networks(scenario)
    for position, example in enumerate(scenario.networks):
        for smaller in _smaller_examples(example):
            changed = list(scenario.networks)
            changed[position] = smaller
            yield replace(scenario, networks=tuple(changed))
    if scenario.raw and scenario.raw.variables and scenario.raw.valid is None:  # else they are what it is about
        for key in scenario.raw.variables:
            rest = {name: value for name, value in scenario.raw.variables.items() if name != key}
            yield replace(scenario, raw=replace(scenario.raw, variables=rest))


def _fewer_steps(scenario: Scenario) -> Iterator[Scenario]:
    if scenario.raw:
        return
    steps = scenario.steps
    for size in (len(steps) // 2, 1):
        for start in range(0, len(steps), max(size, 1)):
            rest = steps[:start] + steps[start + max(size, 1) :]
            if rest and len(rest) < len(steps):
                yield replace(scenario, steps=rest)


def _plain_steps(scenario: Scenario) -> Iterator[Scenario]:
    """The same steps about one container, or about the interface that is usual."""
    containers = {step.container for step in scenario.steps}
    if len(containers) == 1 and containers != {"c1"}:
        yield replace(scenario, steps=tuple(step._replace(container="c1") for step in scenario.steps))
    if len({step.ifname for step in scenario.steps}) == 1 and scenario.steps[0].ifname:
        yield replace(scenario, steps=tuple(step._replace(ifname="") for step in scenario.steps))


def _fewer_networks(scenario: Scenario) -> Iterator[Scenario]:
    if scenario.raw:
        return
    for position in range(len(scenario.networks)):
        if len(scenario.networks) > 1 and all(step.network != position for step in scenario.steps):
            networks = scenario.networks[:position] + scenario.networks[position + 1 :]
            steps = tuple(
                step._replace(network=step.network - 1) if step.network > position else step for step in scenario.steps
            )
            yield replace(scenario, networks=networks, steps=steps)


def _smaller_examples(example: Example) -> Iterator[Example]:
    if example.ifname != "eth0":
        yield replace(example, ifname="eth0")
    for name in ("args", "capabilities"):
        for smaller in _without(getattr(example, name)):
            yield replace(example, **{name: smaller})
    for network in _without(example.network):
        yield replace(example, network=network)


def _without(value: Any) -> Iterator[Any]:
    """A value with one thing less in it, at any depth: a key, an item of a list, half of a long text."""
    if isinstance(value, Mapping):
        yield from _without_keys(value)
    elif isinstance(value, (list, tuple)):
        yield from _without_items(value)
    elif isinstance(value, str) and len(value) > _LONG:
        yield value[: len(value) // 2]


def _without_keys(value: Mapping[str, Any]) -> Iterator[Any]:
    for key in [key for key in value if key not in _KEPT]:
        yield {name: item for name, item in value.items() if name != key}
    for key, item in value.items():
        for smaller in _without(item):
            yield {**value, key: smaller}


def _without_items(value: Sequence[Any]) -> Iterator[Any]:
    if len(value) > 1:
        for position in range(len(value)):
            yield [*value[:position], *value[position + 1 :]]
    for position, item in enumerate(value):
        for smaller in _without(item):
            yield [*value[:position], smaller, *value[position + 1 :]]
