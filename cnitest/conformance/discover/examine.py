"""From configurations and profiles to subjects: what a plugin is, found by asking it and by its first ADD."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cnitest.cni import library, releases, spec
from cnitest.cni.conf import Network
from cnitest.conformance.bench.bench import Bench, open_bench
from cnitest.conformance.discover.first_add import first_add, tried
from cnitest.conformance.discover.preflight import StartFailure
from cnitest.conformance.discover.source import Source, require, source, there
from cnitest.conformance.model import protocol, reading
from cnitest.conformance.model.finding import Undecided
from cnitest.conformance.model.requirement import Kind
from cnitest.conformance.model.subject import Subject, Trial
from cnitest.conformance.observe import effect
from cnitest.errors import CommandError, ConfigError, DeadlineExceeded, PluginError
from cnitest.typos import did_you_mean

__all__ = ["Source", "Unspoken", "examine", "require", "source"]

_SKEL = re.compile(r"^CNI protocol versions supported: \d", re.M)


def examine(
    sources: Sequence[Source],
    path: Sequence[str],
    *,
    versions: Sequence[str] = (),
    helpers: Sequence[str] = (),
    skipped: list[str] | None = None,
    unstarted: list[StartFailure] | None = None,
) -> tuple[Subject, ...]:
    """The subjects of some sources. ``path`` is CNI_PATH, ``versions`` limits those to test, ``helpers`` are further
    directories for what makes interfaces where a source has nothing that does.

    Raises ConfigError for a plugin that is missing or cannot be started, and `Unspoken` for one that speaks none of the
    versions; where there is a list ``skipped`` that is noted there. With a list ``unstarted``, a network whose first
    ADD fails is noted there, and none of its plugins are subjects.
    """
    found: list[Subject] = []
    for each in sources:
        wanted, where = tuple(versions) or each.versions, (*each.path, *path)
        require(each, where)
        drafts = [draft for draft in _drafts(each, where) if _listed(draft, each) or there(draft.conf, where)]
        try:
            spoken = _speaking(drafts, each, wanted)
        except Unspoken as error:
            if skipped is None:
                raise
            skipped.append(str(error))
        else:
            found += _started(spoken, each, tuple(helpers), wanted, unstarted)
    return tuple(_named_apart(found))


class Unspoken(ConfigError):
    """A plugin speaks none of the versions that were asked for."""


def _speaking(drafts: Sequence[Subject], each: Source, versions: tuple[str, ...]) -> list[Subject]:
    """The drafts with what they say of themselves, and the versions to test them in. Raises ConfigError where there is
    none, and `Unspoken`."""
    if not drafts:
        listed = [str(conf["type"]) for conf in each.network.plugins]
        members = list(dict.fromkeys([*listed, *_ipam_plugins(each.network)]))
        advice = did_you_mean(each.only, members, clause=True)
        raise ConfigError(f"{each.where}: its list has no plugin {each.only!r}{advice}; it has {', '.join(members)}")
    try:
        with open_bench(Trial(drafts[0], spec.VERSIONS[-1])) as bench:
            asked = [_asked(draft, bench) for draft in drafts]
            others = [_asked(draft, bench) for draft in _before(drafts[0])]
    except (Undecided, CommandError, DeadlineExceeded) as error:  # of the commands that set the host up, or its daemon
        raise ConfigError(f"{each.where}: the host cannot be set up: {'; '.join(str(error).splitlines())}") from error
    own = _version_of(each.network)
    spoken = [replace(draft, versions=_spoken(draft, [*asked, *others], own, versions)) for draft in asked]
    for draft in spoken:
        if not draft.versions:
            wanted = f"; {', '.join(versions)} asked for" if versions else ""
            raise Unspoken(f"{each.where}: {_speaks(draft, own)}{wanted}")
    return spoken


def _speaks(draft: Subject, own: str) -> str:
    """What a plugin speaks, for a person who asked for something else."""
    if draft.advertised:
        return f"{draft.plugin} speaks {', '.join(draft.advertised)}"
    return f"{draft.plugin} answers VERSION with no versions, and so is tried in its configuration's alone, {own}"


def _started(
    drafts: Sequence[Subject],
    each: Source,
    helpers: tuple[str, ...],
    versions: tuple[str, ...],
    unstarted: list[StartFailure] | None,
) -> list[Subject]:
    """The drafts after their first ADDs, which try each beginning of the list, and the list in its own version."""
    found: list[Subject] = []
    for draft in drafts:
        subject, rejection = tried(_of_its_kind(draft, each), each, helpers)
        if rejection and unstarted is not None and _listed(draft, each):
            unstarted.append(rejection)
            return []
        found.append(subject)
    if unstarted is not None and not versions:
        rejection = _in_own_version([draft for draft in drafts if _listed(draft, each)], each.network)
        if rejection:
            unstarted.append(rejection)
            return []
    return found


def _of_its_kind(draft: Subject, each: Source) -> Subject:
    """A draft of the kind that its own ADD shows, where it is behind others and no profile says the kind."""
    if each.kind is not None or draft.kind is not Kind.META or not draft.before:
        return draft
    return replace(draft, kind=effect.kind_alone(draft) or Kind.META)


def _listed(draft: Subject, each: Source) -> bool:
    """Whether a draft is a plugin of the list itself, or the one that is meant; not an IPAM plugin besides."""
    return bool(each.only) or any(draft.conf == plugin for plugin in each.network.plugins)


def _in_own_version(drafts: Sequence[Subject], network: Network) -> StartFailure | None:
    """What came of ADD in the version that a configuration says, where it is none that was tried."""
    if not drafts or not network.versioned or network.cni_version == drafts[-1].highest:
        return None
    made = first_add(drafts[-1], network.cni_version)
    return made if isinstance(made, StartFailure) else None


def _drafts(each: Source, path: tuple[str, ...]) -> Iterator[Subject]:
    """One for each plugin of the list, and one for each IPAM plugin that can be called alone."""
    plugins = [dict(plugin) for plugin in each.network.plugins]
    for position, plugin in enumerate(plugins):
        if each.only and plugin["type"] != each.only:
            continue
        kind = each.kind or (
            Kind.IPAM if _ipam_type(plugin) == plugin["type"] else Kind.META if position else Kind.INTERFACE
        )
        yield Subject(
            name=each.name if each.name and (each.only or len(plugins) == 1) else str(plugin["type"]),
            plugin=str(plugin["type"]),
            kind=kind,
            network=each.network.name,
            conf=plugin,
            before=tuple(plugins[:position]),
            path=path,
            versions=(),
            advertised=(),
            source=each.where,
            setting=each.setting,
        )
    for delegate in _delegates(each):
        yield _delegate(each, next(plugin for plugin in plugins if _ipam_type(plugin) == delegate), path)


def _delegates(each: Source) -> list[str]:
    """The IPAM plugins of a source that are tried besides: of a network all, of one plugin that is meant that one."""
    named = _ipam_plugins(each.network)
    if each.only:
        listed = any(plugin["type"] == each.only for plugin in each.network.plugins)
        return [] if listed else [name for name in named if name == each.only]
    return [] if each.name else named


def _ipam_plugins(network: Network) -> list[str]:
    """The IPAM plugins that the plugins of a network name, each once."""
    found = [(_ipam_type(plugin), plugin["type"]) for plugin in network.plugins]
    return list(dict.fromkeys(name for name, owner in found if name and "/" not in name and name != owner))


def _delegate(each: Source, owner: Mapping[str, Any], path: tuple[str, ...]) -> Subject:
    """The IPAM plugin of a plugin, called alone."""
    name = _ipam_type(owner)
    return Subject(
        name=name,
        plugin=name,
        kind=Kind.IPAM,
        network=each.network.name,
        conf={"type": name, "ipam": owner["ipam"], **_handed_on(owner)},
        before=(),
        path=path,
        versions=(),
        advertised=(),
        source=each.where,
        setting=each.setting,
    )


def _handed_on(plugin: Mapping[str, Any]) -> dict[str, Any]:
    """The capabilities of a plugin that are its IPAM plugin's work, which gets all of its configuration."""
    declared = plugin.get("capabilities")
    found = {key: declared[key] for key in ("ips", "ipRanges") if key in declared} if declared else {}
    return {"capabilities": found} if found else {}


def _before(draft: Subject) -> Iterator[Subject]:
    """The plugins before a subject, which may not be subjects themselves."""
    for plugin in draft.before:
        yield replace(draft, plugin=str(plugin["type"]), conf=plugin)


def _ipam_type(plugin: Mapping[str, Any]) -> str:
    section = plugin.get("ipam")
    found = section.get("type") if isinstance(section, Mapping) else None
    return found if isinstance(found, str) else ""


def _asked(draft: Subject, bench: Bench) -> Subject:
    """A draft with what the plugin says of itself."""
    try:
        answer = bench.raw("VERSION", plugin=draft.plugin)
        banner = bench.raw("", plugin=draft.plugin, stdin=b"", without=("CNI_COMMAND",))
    except PluginError as error:
        raise ConfigError(str(error)) from error
    document = protocol.result_document(answer)
    text = banner.stderr.decode(errors="replace")
    binary = bench.binary(draft.plugin)
    built_on = bench.inside(lambda: library.of(Path(binary)))
    return replace(
        draft,
        advertised=reading.versions(document),
        banner=text.splitlines()[0] if text.strip() else "",
        skel=bool(built_on) or (bool(_SKEL.search(text)) and banner.exit_code == 0),
        library=built_on,
        release=bench.inside(lambda: releases.reference(str(binary))),
    )


def _spoken(draft: Subject, asked: Sequence[Subject], own: str, versions: Sequence[str]) -> tuple[str, ...]:
    """The versions to test a plugin in: all that it advertises, and in a list all that the whole list does, which is
    called in one; its configuration's ``own`` where it advertises none. Nothing is chained before 0.3.0."""
    spoken = set(draft.advertised or [own])
    for other in asked:
        spoken &= set(other.advertised or spoken)
    if draft.kind is Kind.META:
        spoken = {version for version in spoken if spec.has_chaining(version)}
    return tuple(v for v in spec.VERSIONS if v in spoken and (not versions or v in versions))


def _version_of(network: Network) -> str:
    given = network.cni_version
    return given if network.versioned and given in spec.VERSIONS else "1.0.0"


def _named_apart(subjects: Sequence[Subject]) -> Iterator[Subject]:
    names = [subject.name for subject in subjects]
    for subject in subjects:
        twice = names.count(subject.name) > 1
        yield replace(subject, name=f"{subject.network}.{subject.name}") if twice else subject
