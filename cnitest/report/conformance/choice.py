"""Which plugins a run holds to the specification: those of configurations, and those with a shipped profile."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from cnitest import paths
from cnitest.cni import plugins, spec
from cnitest.conformance.discover import warnings
from cnitest.conformance.discover.examine import Source, examine, require, source
from cnitest.conformance.discover.preflight import StartFailure
from cnitest.conformance.model import shipped
from cnitest.conformance.model.subject import Subject
from cnitest.errors import CnitestError, ConfigError, FeatureMissing
from cnitest.plugins import files
from cnitest.report.options import DEFAULT_TOPOLOGY
from cnitest.text import with_short_words
from cnitest.topology import find, load
from cnitest.typos import did_you_mean


class Choice(NamedTuple):
    """What was asked for. ``newest`` tests each in its newest version only; ``topology`` is for the configurations
    given; ``keep_going`` holds a network to the requirements although its first ADD fails."""

    given: tuple[str, ...]
    plugins: tuple[str, ...]
    path: tuple[str, ...]
    versions: tuple[str, ...]
    newest: bool = False
    topology: str = ""
    keep_going: bool = False


def asked(options: Any, path: Sequence[str], otherwise: Callable[[], Sequence[str]]) -> Choice:
    """The choice of a run's options (see `cnitest.report.options`), from the command or from pytest.

    ``otherwise`` gives the plugins of a run that names none and has no configuration.
    """
    given, named = tuple(options.cni_conf), tuple(options.cni_plugin)
    return Choice(
        given,
        named or (() if given else tuple(otherwise())),
        tuple(path),
        tuple(options.cni_version),
        newest=not given and not named,
        topology="" if options.cni_topology == DEFAULT_TOPOLOGY else options.cni_topology,
        keep_going=options.cni_keep_going,
    )


class Chosen(NamedTuple):
    """The subjects, why some that were asked for are not among them, and the networks that cannot start.

    ``warnings`` are lines about words in the configurations that nobody reads.
    """

    subjects: tuple[Subject, ...]
    skipped: tuple[str, ...]
    unstarted: tuple[StartFailure, ...] = ()
    warnings: tuple[str, ...] = ()


def chosen(choice: Choice) -> Chosen:
    """What a choice comes to. Raises ConfigError."""
    sources, skipped = _sources(choice)
    unspoken = skipped if "all" in choice.plugins else None
    unstarted: list[StartFailure] = []
    subjects = examine(
        sources,
        choice.path,
        versions=choice.versions,
        helpers=shipped.helpers(),
        skipped=unspoken,
        unstarted=None if choice.keep_going else unstarted,
    )
    if not subjects and not unstarted:
        raise ConfigError("; ".join(skipped))
    if choice.newest:
        subjects = tuple(subject.only_newest() for subject in subjects)
    return Chosen(subjects, tuple(skipped), tuple(unstarted), tuple(_warnings(sources, choice.path, unstarted)))


def check(choice: Choice) -> None:
    """Raise ConfigError when a choice cannot be run: what is seen without calling any plugin."""
    sources, _ = _sources(choice)
    for each in sources:
        require(each, (*each.path, *choice.path))
    unknown = [version for version in choice.versions if not spec.is_version(version)]
    if unknown:
        raise ConfigError(f"there is no version {', '.join(unknown)} of the specification: {', '.join(spec.VERSIONS)}")


def _warnings(sources: Sequence[Source], path: Sequence[str], unstarted: Sequence[StartFailure]) -> Iterator[str]:
    """What is wrong in the configurations; not the values of a plugin whose ADD failed, where they are causes."""
    failed = {failure.subject.source: failure.plugin for failure in unstarted}
    shown: dict[str, None] = {}
    for each in sources:
        lines = warnings.warnings(
            each.network,
            (*each.path, *path),
            given=each.setting.capabilities,
            knowledge=each.setting.knowledge,
            explained=failed.get(each.where),
        )
        shown |= {warnings.placed(paths.near(each.where), line): None for line in lines}
    yield from map(with_short_words, shown)


def _sources(choice: Choice) -> tuple[list[Source], list[str]]:
    given = [_placed(source(Path(name), choice.path), choice.topology) for name in choice.given]
    members = {name: [each for each in given if name in _members(each)] for name in choice.plugins}
    sources = [_only(each, name) for name, those in members.items() for each in those] or list(given)
    skipped: list[str] = []
    others = tuple(name for name, those in members.items() if not those)
    for profile in _profiles(others, given, choice.path):
        try:
            found = source(profile)
        except FeatureMissing as error:
            from cnitest.report import guest

            skipped.append(f"{error}{guest.advice(error.lacking, f'cnitest run --vm --plugin {profile.stem}')}")
            continue
        lacking = [name for name in _names(found) if not plugins.find(name, (*found.path, *choice.path))]
        if lacking and "all" in choice.plugins:
            skipped.append(f"{profile.stem}: no plugin {', '.join(map(repr, lacking))} in {':'.join(choice.path)}")
        else:
            sources.append(found)
    if not sources:
        raise ConfigError("; ".join(skipped) or "no plugin was chosen")
    return sources, skipped


def _only(each: Source, name: str) -> Source:
    """A source of which one plugin is meant; what a profile calls another one is not its name."""
    return each if each.only == name else replace(each, only=name, name="", kind=None)


def _placed(each: Source, topology: str) -> Source:
    """A source in another topology, on the host of the same name, or on the first that it has."""
    if not topology:
        return each
    hosts = load(find(topology)).hosts
    host = each.setting.host if each.setting.host in hosts else next(iter(hosts), each.setting.host)
    return replace(each, setting=replace(each.setting, topology=topology, host=host))


def _names(found: Source) -> list[str]:
    return [str(plugin["type"]) for plugin in found.network.plugins]


def _members(found: Source) -> list[str]:
    """The plugins of a list and their IPAM plugins, which can be held to the specification alone."""
    sections: Iterator[Any] = (plugin.get("ipam") for plugin in found.network.plugins)
    pools = [str(section["type"]) for section in sections if isinstance(section, Mapping) and "type" in section]
    return [*_names(found), *pools]


def _profiles(names: tuple[str, ...], given: Sequence[Source], path: Sequence[str]) -> list[Path]:
    known = shipped.profiles()
    if "all" in names:
        return list(known.values())
    for name in names:
        if name not in known:
            raise CnitestError(_without_profile(name, tuple(known), given, path))
    return [known[name] for name in names]


def _without_profile(name: str, known: Sequence[str], given: Sequence[Source], path: Sequence[str]) -> str:
    """What is said of a plugin that was named and has no profile: how it is tried, where there is one of that name."""
    members = [member for each in given for member in _members(each)]
    whose = "".join(f"{paths.near(each.where)} has {', '.join(_members(each))}; " for each in given)
    said = f"there is no profile for a plugin {name!r}{', nor is it in the list' if given else ''}; {whose}"
    if plugins.find(name, path) or name in {plugin.name for plugin in files.every()}:
        return f"{said}`cnitest run FILE` tries it with a configuration of yours that names it as a 'type'"
    return f"{said}profiles are there for {', '.join(known)}{did_you_mean(name, [*members, *known], clause=True)}"


def own(found: Sequence[Subject], named: Collection[str]) -> tuple[str, ...]:
    """The names of the subjects that were asked for by name, or lie in the first directory of their search path; of
    those in one directory with plugins that everybody has, the others."""
    asked = [subject for subject in found if {subject.name, subject.plugin} & set(named)]
    near = [subject for subject in found if subject.path and plugins.find(subject.plugin, subject.path[:1])]
    common = {plugin.name for plugin in files.every()}
    theirs = [subject for subject in near if subject.plugin not in common]
    return tuple(dict.fromkeys(subject.name for subject in [*asked, *(theirs or near)]))
