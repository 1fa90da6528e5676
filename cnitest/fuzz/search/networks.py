"""The networks that a search is about: the subject's own, and those that are generated for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from cnitest.cni import plugins, spec
from cnitest.conformance.bench.request import sibling
from cnitest.conformance.model.subject import Subject
from cnitest.fuzz.generate import configs
from cnitest.fuzz.generate.mutations import mutations
from cnitest.fuzz.generate.schema import from_schema
from cnitest.fuzz.model.example import Example, Validity
from cnitest.fuzz.search.settings import FuzzSettings
from cnitest.plugins import files
from cnitest.plugins.knowledge import Plugin

_OTHER_SUBNET = "10.64.0.0/24"


def network_of(subject: Subject) -> dict[str, Any]:
    """A subject's own network, as it was given."""
    plugins = [dict(conf) for conf in (*subject.before, subject.conf)]
    for conf in plugins:
        conf.pop("name", None)
        conf.pop("cniVersion", None)
    return {"cniVersion": subject.highest, "name": subject.network, "plugins": plugins}


def given(settings: FuzzSettings) -> Example:
    """The subject's own network with what its profile passes: it is known to work."""
    setting = settings.subject.setting
    return Example(network_of(settings.subject), Validity.VALID, setting.ifname, setting.args, setting.capabilities)


def plugin_of(settings: FuzzSettings) -> str:
    """The plugin under test."""
    return settings.subject.plugin


def is_there(settings: FuzzSettings, plugin: str) -> bool:
    """Whether a plugin is in the directories that the subject's are looked for in."""
    return bool(plugins.find(plugin, settings.subject.path))


def missing_pool(subject: Subject) -> str:
    """The IPAM plugin of ours that a subject's network names and that is not there; empty when none is missing."""
    sections = [conf.get("ipam") for conf in (*subject.before, subject.conf)]
    named = {section.get("type") for section in sections if isinstance(section, Mapping)}
    return next((name for name in _pools() if name in named and not plugins.find(name, subject.path)), "")


def _pools() -> tuple[str, ...]:
    """The IPAM plugins of ours whose addresses we choose."""
    return tuple(plugin.name for plugin in files.every() if plugin.allocation)


def knowledge(settings: FuzzSettings) -> Plugin:
    """What is known of the plugin under test."""
    return files.known(plugin_of(settings), settings.subject.setting.knowledge)


def is_known(settings: FuzzSettings) -> bool:
    """Whether the plugin's keys are known."""
    return knowledge(settings).keys is not None


def drawn(settings: FuzzSettings, validity: str) -> SearchStrategy[Example]:
    """Examples of the subject: from its table, from its schema, or as changes to what was given."""
    own = mutations(network_of(settings.subject)).map(lambda one: _as_given(one, settings))
    if not is_known(settings):
        schema = settings.subject.setting.schema
        if validity == "valid":
            return st.sampled_from([in_version(given(settings), version) for version in spoken(settings)])
        return st.one_of(own, from_schema(schema, network_of(settings.subject))) if schema else own
    table = fitting(
        configs.examples(knowledge(settings), validity, settings.release, dict(settings.subject.conf)), settings
    )
    mixed = {"valid": st.one_of(table, table, st.just(given(settings))), "boundary": st.one_of(table, own)}
    return mixed.get(validity, table)


def spoken(settings: FuzzSettings) -> tuple[str, ...]:
    """The versions that the subject speaks, newest first; a chain has none before 0.3.0."""
    chained = len(network_of(settings.subject)["plugins"]) > 1
    versions = [v for v in settings.subject.versions[::-1] if spec.has_chaining(v) or not chained]
    return tuple(versions) or (settings.subject.highest,)


def in_version(example: Example, version: str) -> Example:
    """The same example in a version."""
    return replace(example, network={**example.network, "cniVersion": version})


def _as_given(example: Example, settings: FuzzSettings) -> Example:
    known = given(settings)
    return replace(example, ifname=known.ifname, args=known.args, capabilities=known.capabilities)


def fitting(examples: SearchStrategy[Example], settings: FuzzSettings) -> SearchStrategy[Example]:
    """Examples in the versions that the subject speaks, and with addresses from plugins that are there."""
    versions = settings.subject.versions
    missing = [name for name in _pools() if not is_there(settings, name)]
    own = settings.subject.conf.get("ipam")

    def moved(example: Example) -> Example:
        wanted = example.network.get("cniVersion")
        if wanted in versions or wanted not in spec.VERSIONS:  # what there never was is what is wrong with it
            return example
        return replace(example, network={**example.network, "cniVersion": settings.subject.highest})

    def pooled(example: Example) -> Example:
        confs = [dict(conf) for conf in example.plugins]
        for conf in confs:
            if isinstance(conf.get("ipam"), Mapping) and conf["ipam"].get("type") in missing:
                conf.pop("ipam")
                conf.update({"ipam": own} if own else {})
        return replace(example, network={**example.network, "plugins": confs})

    return examples.map(moved).map(pooled) if missing else examples.map(moved)


def lasting(settings: FuzzSettings) -> SearchStrategy[Example]:
    """Networks that sequences are about: valid ones; of a plugin that we only have a schema of, what that draws."""
    schema = settings.subject.setting.schema
    if schema and not is_known(settings):
        return from_schema(schema, network_of(settings.subject)).map(lambda one: _as_given(one, settings))
    return drawn(settings, "valid")


@st.composite
def networks(draw: st.DrawFn, settings: FuzzSettings, others: SearchStrategy[Example]) -> tuple[Example, ...]:
    """One network or two, valid or by a schema; the second has addresses of its own, and may share the bridge."""
    one = draw(others) if draw(st.booleans()) else given(settings)
    if not draw(st.booleans()):
        return (one,)
    moved = [_moved(conf) for conf in one.plugins]
    if draw(st.booleans()):
        for before, conf in zip(one.plugins, moved, strict=True):
            conf.update(_bridge_of(before))
            if draw(st.booleans()):
                conf.pop("isGateway", None)
                conf.pop("isDefaultGateway", None)
    return one, _another(one, moved)


def _another(one: Example, moved: list[dict[str, Any]]) -> Example:
    """Another network like one, with other configurations."""
    ifname = one.ifname if one.ifname == "lo" else "net1"
    return replace(one, network={**one.network, "name": "other", "plugins": moved}, ifname=ifname)


def with_others(one: Example) -> list[tuple[Example, Example]]:
    """A network with another one: on a bridge of its own, and on the same."""
    moved = [_moved(conf) for conf in one.plugins]
    beside = [{**conf, **_bridge_of(before)} for before, conf in zip(one.plugins, moved, strict=True)]
    return [(one, _another(one, moved)), *([(one, _another(one, beside))] if beside != moved else [])]


def _bridge_of(conf: Mapping[str, Any]) -> dict[str, Any]:
    """The key that names a configuration's bridge, where it has one."""
    return {key: conf[key] for key in ("bridge",) if key in conf}


def _moved(conf: dict[str, Any]) -> dict[str, Any]:
    """A plugin's configuration for another network: another bridge, and a pool of its own."""
    section = conf.get("ipam")
    moved = sibling({key: value for key, value in conf.items() if key != "ipam"})
    if isinstance(section, dict) and section.get("type") in _pools():
        return {**moved, "ipam": {**configs.pool(), "subnet": _OTHER_SUBNET}}
    return moved if section is None else {**moved, "ipam": sibling({"ipam": section})["ipam"]}
