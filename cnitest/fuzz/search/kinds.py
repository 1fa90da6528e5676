"""The kinds of a search, each as turns that are taken one after the other."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache, partial
from random import Random
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from cnitest.cni import spec
from cnitest.conformance.model.requirement import Kind
from cnitest.fuzz.execute import caller, requirements
from cnitest.fuzz.execute.differential import CHOICE
from cnitest.fuzz.generate import configs, malformed
from cnitest.fuzz.model import keys
from cnitest.fuzz.model.example import Example, version_of
from cnitest.fuzz.model.scenario import LIFE, Raw, Scenario, Step
from cnitest.fuzz.oracles.demands import demands
from cnitest.fuzz.search import known_sequences
from cnitest.fuzz.search.networks import (
    drawn,
    fitting,
    given,
    in_version,
    is_known,
    is_there,
    knowledge,
    lasting,
    networks,
    plugin_of,
    spoken,
    with_others,
)
from cnitest.fuzz.search.searcher import FuzzFinding, Searcher, Turn
from cnitest.fuzz.search.settings import FuzzSettings

#: Two containers: what one does must not show at the other.
PAIR = (
    Step("ADD"),
    Step("ADD", container="c2"),
    Step("CHECK"),
    Step("DEL"),
    Step("CHECK"),
    Step("CHECK", container="c2"),
)
_STEPS = st.sampled_from([LIFE, PAIR])
# What calls by hand are about: mostly those of which it is known what has to come of them.
_BY_HAND = ("demand", "demand", "demand", "refused", "variables", "bytes", "strange", "previous")


def rounds(settings: FuzzSettings) -> list[Turn]:
    """The turns of a search, in order; they are taken again and again."""
    turns: list[Turn] = []
    if "configs" in settings.kinds:
        turns += [_configs(settings, validity) for validity in ("valid", "invalid", "boundary")]
        turns += [_by_hand(settings)]
        # Most of what keys do is seen where they have to work, so that comes twice.
        turns += [_configs(settings, "valid")] if is_known(settings) else []
        turns += [_chains(settings)] if _is_chained(settings) else []
    if "sequences" in settings.kinds:
        turns += [_sequences(settings)] * 2
    if "requirements" not in settings.kinds:
        return turns
    held, every = _requirements(settings), 2 if is_known(settings) else 1  # of what is not known, little can be drawn
    return [each for at, turn in enumerate(turns, 1) for each in ((turn,) if at % every else (turn, held))] or [held]


def comparisons(settings: FuzzSettings) -> list[tuple[tuple[str, str] | None, Turn]]:
    """The turns in which two are compared: the releases, and the backends where the plugins have a choice."""
    if "differential" not in settings.kinds:
        return []
    turns: list[tuple[tuple[str, str] | None, Turn]] = []
    if settings.next_path:
        turns += [
            (None, _compared(settings, "differential", validity)) for validity in ("valid", "boundary", "invalid")
        ]
    if keys.has_backend(knowledge(settings), settings.release):
        turns.append((CHOICE, _compared(settings, "backends", "valid")))
    return turns


def _compared(settings: FuzzSettings, kind: str, validity: str) -> Turn:
    strategy = st.builds(Scenario, drawn(settings, validity).map(_alone), st.just(LIFE))
    return lambda searcher, examples, seed: searcher.round(kind, strategy, examples, seed)


def _is_chained(settings: FuzzSettings) -> bool:
    return plugin_of(settings) in (configs.maker(), *configs.meta()) and is_there(settings, configs.maker())


def of_configs(settings: FuzzSettings, validity: str) -> SearchStrategy[Scenario]:
    """One configuration and the life of a container with it; when it is valid perhaps of two."""
    steps = _STEPS if validity == "valid" else st.just(LIFE)
    return st.builds(Scenario, drawn(settings, validity).map(_alone), steps)


def _configs(settings: FuzzSettings, validity: str) -> Turn:
    strategy = of_configs(settings, validity)
    return lambda searcher, examples, seed: searcher.round("configs", strategy, examples, seed)


def _alone(example: Example) -> tuple[Example, ...]:
    return (example,)


def of_chains(settings: FuzzSettings) -> SearchStrategy[Scenario]:
    """A chain of plugins with the subject's in it, and the life of a container with it."""
    names = [plugin_of(settings)] if plugin_of(settings) in configs.meta() else []
    among = [name for name in configs.meta() if is_there(settings, name)]
    chains = fitting(configs.chains(settings.release, names, among), settings)
    return st.builds(Scenario, chains.map(_alone), st.just(LIFE))


def _chains(settings: FuzzSettings) -> Turn:
    strategy = of_chains(settings)
    return lambda searcher, examples, seed: searcher.round("configs", strategy, max(examples // 2, 1), seed)


@st.composite
def by_hand(draw: st.DrawFn, settings: FuzzSettings) -> Scenario:
    """One raw call of the subject's plugin: other variables, other bytes, a strange previous result."""
    example = draw(drawn(settings, "valid")) if is_known(settings) else given(settings)
    command = draw(st.sampled_from(["ADD", "ADD", "DEL", "CHECK", "VERSION"]))
    plugin, usual = plugin_of(settings), _request(example, plugin_of(settings))
    kind = draw(st.sampled_from(_BY_HAND))
    if kind == "demand":
        why, raw = draw(st.sampled_from(demands(settings.subject, usual)))
    elif kind == "bytes":
        why, raw = "standard input that is no configuration", Raw(plugin, command, draw(malformed.stdin_bytes()))
        raw = replace(raw, valid=None if command == "VERSION" else False)
    elif kind == "strange":
        why, raw = "", Raw(plugin, command, draw(malformed.unusual_bytes(usual)))
    elif kind == "previous":
        _, previous = draw(malformed.prev_results(version_of(example)))
        why, raw = "a previous result", Raw(plugin, "ADD", json.dumps({**usual, "prevResult": previous}).encode())
    else:
        why, variables = draw(malformed.environments("invalid" if kind == "refused" else "boundary"))
        wrong = kind == "refused" and command == "ADD" and not _may_ignore(settings, variables)
        raw = Raw(plugin, command, variables=variables, valid=False if wrong else None)
    return Scenario((replace(example, why=why or example.why),), (), raw)


def _may_ignore(settings: FuzzSettings, variables: Mapping[str, str]) -> bool:
    """Whether a plugin may overlook what is wrong: one for addresses has nothing to do in a namespace."""
    return settings.subject.kind is Kind.IPAM and "CNI_NETNS" in variables


def _request(example: Example, plugin: str) -> dict[str, Any]:
    """What a plugin of an example gets for the container of a call by hand, without a previous result."""
    conf = next(conf for conf in reversed(example.plugins) if conf["type"] == plugin)
    return caller.stdin(example, conf, None, container="c1", ifname=example.ifname)


def _by_hand(settings: FuzzSettings) -> Turn:
    """First every call of which it is known what has to come of it, in an order of its own; then any."""
    strategy = by_hand(settings)
    known = given(settings)
    asked = demands(settings.subject, _request(known, plugin_of(settings)))
    left = [Scenario((replace(known, why=why),), (), raw) for why, raw in asked]

    def drawn(searcher: Searcher, examples: int, seed: int) -> FuzzFinding | None:
        return searcher.round("configs", strategy, examples * 2, seed)

    return _first(left, "configs", settings.share, drawn)


def _requirements(settings: FuzzSettings) -> Turn:
    """Each requirement of the specification on the subject's own network: where it is known what to draw, in the newest
    version, and then about what is drawn; else in one version after the other."""
    left: list[Scenario] | None = None
    strategy = of_requirements(settings)

    def turn(searcher: Searcher, examples: int, seed: int) -> FuzzFinding | None:
        nonlocal left
        if left is None:
            versions = spoken(settings)[:1] if is_known(settings) else spoken(settings)
            ours = [in_version(given(settings), version) for version in versions]
            known = [one for network in ours for one in requirements.about(settings.subject, network)]
            left = arranged(known, settings.share, seed)
        if left or not is_known(settings):
            return searcher.each("requirements", _taken(left, examples), seed)
        return searcher.round("requirements", strategy, examples, seed)

    return turn


def of_requirements(settings: FuzzSettings) -> SearchStrategy[Scenario]:
    """A requirement of the specification, and a valid configuration to check it with."""
    names = cache(partial(requirements.applying, settings.subject))  # which takes longer than the rest of a draw

    def held(network: Example) -> SearchStrategy[Scenario]:
        return st.sampled_from(names(version_of(network))).map(lambda name: Scenario((network,), (), held=name))

    return drawn(settings, "valid").flatmap(held)


def _taken(scenarios: list[Scenario], most: int) -> Iterator[Scenario]:
    """Scenarios from the end of a list, which loses them; so many at most."""
    for _ in range(min(most, len(scenarios))):
        yield scenarios.pop()


def of_sequences(settings: FuzzSettings) -> SearchStrategy[Scenario]:
    """Sequences as data, each as long as a state machine's; its steps may be about what is not there."""
    operation = st.sampled_from(
        ["ADD", "ADD", "DEL", "CHECK", "GC", "LOSE", "RESTART", "FORGET", "MEDDLE", "ADD-TOGETHER"]
    )
    steps = st.lists(st.tuples(operation, st.integers(0, 1), st.sampled_from(["c1", "c2"])), min_size=2, max_size=6)
    return st.builds(_sequence, networks(settings, lasting(settings)), steps)


def _sequence(networks: tuple[Example, ...], steps: list[tuple[str, int, str]]) -> Scenario:
    return Scenario(networks, tuple(Step(operation, number % len(networks), name) for operation, number, name in steps))


def _sequences(settings: FuzzSettings) -> Turn:
    strategy = networks(settings, lasting(settings))
    left = list(known_sequences.of_one(given(settings)))
    left += [each for both in with_others(given(settings)) for each in known_sequences.of_two(both)]

    def drawn(searcher: Searcher, examples: int, seed: int) -> FuzzFinding | None:
        return searcher.sequences(strategy, max(examples // 2, 1), seed)

    return _first(left, "sequences", settings.share, drawn)


def _first(known: list[Scenario], kind: str, share: tuple[int, int], then: Turn) -> Turn:
    """A turn that tries known scenarios, its own share of them first, before it draws any."""
    left: list[Scenario] | None = None

    def turn(searcher: Searcher, examples: int, seed: int) -> FuzzFinding | None:
        nonlocal left
        if left is None:
            left = arranged(known, share, seed)
        return searcher.each(kind, _taken(left, examples), seed) if left else then(searcher, examples, seed)

    return turn


def arranged(known: list[Scenario], share: tuple[int, int], seed: int) -> list[Scenario]:
    """Scenarios by chance, to be taken from the end: a share of them comes first, of that the newest versions."""
    number, count = share
    own, rest = known[number::count], [one for at, one in enumerate(known) if at % count != number]
    for each in (own, rest):
        Random(seed).shuffle(each)
        each.sort(key=lambda scenario: spec.order(version_of(scenario.networks[0])))
    return [*rest, *own]


def used(scenario: Scenario) -> Iterator[str]:
    """The keys that a scenario's networks use."""
    for example in scenario.networks:
        for conf in example.plugins:
            yield from keys.used(conf)


def keys_of(settings: FuzzSettings) -> frozenset[str]:
    """The keys that there are to try; none for a plugin that we do not know."""
    return keys.all_of(knowledge(settings)) if is_known(settings) else frozenset()
