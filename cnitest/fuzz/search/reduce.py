"""Makes a scenario smaller while the same thing stays wrong: fewer steps, fewer networks, no needless key.

Hypothesis shrinks what it drew; this goes on from there over the configuration itself, so it works for configurations
that a person gave, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cnitest.fuzz.model.example import Example, Validity
from cnitest.fuzz.model.scenario import Scenario
from cnitest.plugins import files

#: What no network can do without.
_KEPT = ("cniVersion", "name", "plugins", "type")
# What no IPAM section can do without.
_POOL = ("type", "subnet", "ranges", "addresses")
_LONG = 24
_FEW = 8
_NOTHING = object()


def reduced(scenario: Scenario, holds: Callable[[Scenario], bool], *, rule: str = "") -> Scenario:
    """The smallest scenario that was found for which ``holds`` still is true; ``holds`` says False to end it soon.

    What breaks a ``rule`` about a configuration that is valid, or invalid, has to be that in the end, too.
    """
    current, seen = scenario, {scenario.dumps()}

    def is_smaller(candidate: Scenario) -> bool:
        text = candidate.dumps()
        is_new = text not in seen
        seen.add(text)
        return is_new and _is_as_it_was(current, candidate, rule) and holds(candidate)

    changed = True
    while changed:
        changed = False
        for way in _WAYS:  # one after the other: what steps are needed seldom depends on a key
            while (found := next(filter(is_smaller, way(current)), None)) is not None:
                current, changed = found, True
    return current


def _is_as_it_was(one: Scenario, other: Scenario, rule: str) -> bool:
    """Whether networks that became smaller still are what they are called: invalid, or, where that matters, valid."""
    if len(one.networks) != len(other.networks):
        return True
    pairs = list(zip(one.networks, other.networks, strict=True))
    if any(here.validity is Validity.INVALID and _parts(here) != _parts(there) for here, there in pairs):
        return False
    return rule != "refused" or all(here == there or _has_all(here, there) for here, there in pairs)


def _parts(example: Example) -> list[Any]:
    """What is wrong with an example: the values of the keys that are; all of it where that is not known."""
    if not example.wrong:
        return [example.network]
    return [place.get(key, _NOTHING) for key in example.wrong for place in (example.network, *example.plugins)]


def _has_all(here: Example, there: Example) -> bool:
    """Whether the plugins of a smaller example have what they cannot do without."""
    return all(_needs(before) == _needs(after) for before, after in zip(here.plugins, there.plugins, strict=False))


def _needs(conf: Mapping[str, Any]) -> Any:
    """What a plugin cannot do without of its configuration; all of it where that is not known."""
    found = files.find(conf["type"])
    if found is None or found.keys is None:
        return conf
    return [*(conf.get(key) for key in found.always), *(_pool(conf).get(key) for key in _POOL)]


def _pool(conf: Mapping[str, Any]) -> Mapping[str, Any]:
    section = conf.get("ipam")
    return section if isinstance(section, Mapping) else {}


def _fewer_steps(scenario: Scenario) -> Iterator[Scenario]:
    if scenario.raw:
        return
    steps = scenario.steps
    for size in (len(steps) // 2, 1) if len(steps) > _FEW else (1,):  # halves pay in long sequences only
        for start in reversed(range(0, len(steps), size)):  # what came last is needed the least
            rest = steps[:start] + steps[start + size :]
            if rest:
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


def _smaller_networks(scenario: Scenario) -> Iterator[Scenario]:
    for position, example in enumerate(scenario.networks):
        for smaller in _smaller_examples(example):
            changed = list(scenario.networks)
            changed[position] = smaller
            yield replace(scenario, networks=tuple(changed))


def _fewer_variables(scenario: Scenario) -> Iterator[Scenario]:
    if scenario.raw and scenario.raw.variables and scenario.raw.valid is None:  # else they are what it is about
        for key in scenario.raw.variables:
            rest = {name: value for name, value in scenario.raw.variables.items() if name != key}
            yield replace(scenario, raw=replace(scenario.raw, variables=rest))


#: How scenarios become a little smaller, the most promising way first.
_WAYS = (_fewer_steps, _plain_steps, _fewer_networks, _smaller_networks, _fewer_variables)


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
