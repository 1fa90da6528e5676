"""From configurations and profiles to subjects: what a plugin is, found by asking it and by its first ADD."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cnitest.cni import conf, library, sources, spec
from cnitest.cni.calls.invoke import missing
from cnitest.cni.conf import Network
from cnitest.conformance.bench import leftovers
from cnitest.conformance.bench.bench import AddResult, Bench, open_bench
from cnitest.conformance.bench.request import substituted
from cnitest.conformance.bench.shared_attachment import attach_shared
from cnitest.conformance.discover.preflight import Refused, links, refused
from cnitest.conformance.model import judge, profile, reading, space
from cnitest.conformance.model.finding import Undecided
from cnitest.conformance.model.profile import Profile
from cnitest.conformance.model.requirement import Kind
from cnitest.conformance.model.subject import Setting, Subject, Trial
from cnitest.conformance.observe import effect
from cnitest.errors import CnitestError, ConfigError, FeatureMissing, PluginError
from cnitest.kernel import features
from cnitest.kernel.processes import programs
from cnitest.plugins import files

_SKEL = re.compile(r"^CNI protocol versions supported: \d", re.M)
_BY_VERSION = spec.VERSIONS[::-1]


@dataclass(frozen=True)
class Source:
    """Where subjects come from: a network with its setting. ``only`` names the plugin that is meant, if one is,
    ``path`` are directories of its own to search for plugins first, ``versions`` limits those to test."""

    network: Network
    setting: Setting
    where: str
    name: str = ""
    only: str = ""
    kind: Kind | None = None
    path: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()


def source(path: Path, plugins: Sequence[str] = ()) -> Source:
    """What a file says: a configuration, a profile, or a directory with one. Raises ConfigError, FeatureMissing.

    A profile in one of the directories of ``plugins`` or beside a configuration is used for it.
    """
    if path.is_dir():
        profiled = path / profile.NAME
        path = profiled if profiled.is_file() or not sources.has_networks(path) else sources.first_of(path)
    if path.suffix not in (".yaml", ".yml") or sources.is_manifest(path):
        network = conf.network(path)
        for directory in (path.parent, *map(Path, plugins)):
            beside = directory / profile.NAME
            if beside.is_file():
                return _from_profile(profile.load(beside), network)
        return Source(network, Setting(), str(path))
    found = profile.load(path)
    if found.network is None:
        raise ConfigError(f"{path}:1: has no 'conf': name a file or write a configuration")
    return _from_profile(found, found.network)


def _from_profile(found: Profile, network: Network) -> Source:
    lacking = [why for name in found.requires if (why := _absent(name))]
    if lacking:
        raise FeatureMissing(f"{found.source.stem}: {'; '.join(lacking)}")
    own = found.source.stem if found.source.name != profile.NAME else ""
    name = found.name or own
    return Source(network, found.setting, str(found.source), name, found.plugin, found.kind, found.path, found.versions)


def _absent(name: str) -> str:
    """Why a feature of the kernel, or a program, is not there; empty when it is."""
    if name in features.names():
        return features.kernel(name).why
    return programs.absent(name)


def examine(
    sources: Sequence[Source],
    path: Sequence[str],
    *,
    versions: Sequence[str] = (),
    helpers: Sequence[str] = (),
    skipped: list[str] | None = None,
    unstarted: list[Refused] | None = None,
) -> tuple[Subject, ...]:
    """The subjects of some sources. ``path`` is CNI_PATH, ``versions`` limits those to test, ``helpers`` are further
    directories for what makes interfaces where a source has nothing that does.

    Raises ConfigError for a plugin that is missing or cannot be started, and `Unspoken` for one that speaks none of the
    versions; where there is a list ``skipped`` that is told there. Where there is a list ``unstarted``, a network whose
    first ADD fails is told there, and none of its plugins are subjects.
    """
    found: list[Subject] = []
    for each in sources:
        try:
            found += _examine(each, (*each.path, *path), tuple(versions) or each.versions, tuple(helpers), unstarted)
        except Unspoken as error:
            if skipped is None:
                raise
            skipped.append(str(error))
    return tuple(_named_apart(found))


class Unspoken(ConfigError):
    """A plugin speaks none of the versions that were asked for."""


def _examine(
    each: Source,
    path: tuple[str, ...],
    versions: tuple[str, ...],
    helpers: tuple[str, ...],
    unstarted: list[Refused] | None,
) -> list[Subject]:
    require(each, path)
    drafts = [draft for draft in _drafts(each, path) if _listed(draft, each) or _there(draft.conf, path)]
    if not drafts:
        raise ConfigError(f"{each.where}: its list has no plugin {each.only!r}")
    with open_bench(Trial(drafts[0], spec.VERSIONS[-1])) as bench:
        asked = [_asked(draft, bench) for draft in drafts]
        others = [_asked(draft, bench) for draft in _before(drafts[0])]
    spoken = [replace(draft, versions=_spoken(draft, [*asked, *others], versions)) for draft in asked]
    for draft in spoken:
        if not draft.versions:
            wanted = f"; {', '.join(versions)} asked for" if versions else ""
            raise Unspoken(f"{each.where}: {draft.plugin} speaks {', '.join(draft.advertised) or 'nothing'}{wanted}")
    return _started(spoken, each, helpers, versions, unstarted)


def _started(
    drafts: Sequence[Subject],
    each: Source,
    helpers: tuple[str, ...],
    versions: tuple[str, ...],
    unstarted: list[Refused] | None,
) -> list[Subject]:
    """The drafts after their first ADDs, which try each beginning of the list, and the list in its own version."""
    found: list[Subject] = []
    for draft in drafts:
        subject, refusal = _tried(_of_its_kind(draft, each), each, helpers)
        if refusal and unstarted is not None and _listed(draft, each):
            unstarted.append(refusal)
            return []
        found.append(subject)
    if unstarted is not None and not versions:
        refusal = _in_own_version([draft for draft in drafts if _listed(draft, each)], each.network)
        if refusal:
            unstarted.append(refusal)
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


def _in_own_version(drafts: Sequence[Subject], network: Network) -> Refused | None:
    """What came of ADD in the version that a configuration says, where it is none that was tried."""
    if not drafts or not network.versioned or network.cni_version == drafts[-1].highest:
        return None
    made = _first_add(drafts[-1], network.cni_version)
    return made if isinstance(made, Refused) else None


def _drafts(each: Source, path: tuple[str, ...]) -> Iterator[Subject]:
    """One for each plugin of the list, and one for each IPAM plugin that can be called alone."""
    plugins = [dict(plugin) for plugin in each.network.plugins]
    delegates: list[str] = []
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
        delegate = _ipam_type(plugin)
        wanted = each.only == delegate or not (each.only or each.name)
        if delegate and delegate != plugin["type"] and wanted and delegate not in delegates:
            delegates.append(delegate)
    for delegate in delegates:
        owner = next(plugin for plugin in plugins if _ipam_type(plugin) == delegate)
        yield Subject(
            name=delegate,
            plugin=delegate,
            kind=Kind.IPAM,
            network=each.network.name,
            conf={"type": delegate, "ipam": owner["ipam"], **_handed_on(owner)},
            before=(),
            path=path,
            versions=(),
            advertised=(),
            source=each.where,
            setting=replace(each.setting, capabilities=each.setting.capabilities),
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


def require(each: Source, path: Sequence[str]) -> None:
    """Raise ConfigError for a plugin of a source that is not in the search path."""
    for plugin in each.network.plugins:
        name = str(plugin["type"])
        if not _there(plugin, path):
            raise ConfigError(
                f"{conf.position(each.network, name) or each.where}: failed to find plugin {name!r} "
                f"in path [{' '.join(path)}]{missing(path)}; name its directory with --cni-path"
            )


def _asked(draft: Subject, bench: Bench) -> Subject:
    """A draft with what the plugin says of itself."""
    try:
        answer = bench.raw("VERSION", plugin=draft.plugin)
        banner = bench.raw("", plugin=draft.plugin, stdin=b"", without=("CNI_COMMAND",))
    except PluginError as error:
        raise ConfigError(str(error)) from error
    document = judge.result_document(answer)
    text = banner.stderr.decode(errors="replace")
    built_on = bench.inside(lambda: library.of(Path(bench.binary(draft.plugin))))
    return replace(
        draft,
        advertised=reading.versions(document),
        banner=text.splitlines()[0] if text.strip() else "",
        skel=bool(built_on) or (bool(_SKEL.search(text)) and banner.exit_code == 0),
        library=built_on,
    )


def _spoken(draft: Subject, asked: Sequence[Subject], versions: Sequence[str]) -> tuple[str, ...]:
    """The versions to test a plugin in: all that it advertises, and in a list all that the whole list does, which is
    called in one; its configuration's own where it advertises none. Nothing is chained before 0.3.0."""
    spoken = set(draft.advertised or [_version_of(draft)])
    for other in asked:
        spoken &= set(other.advertised or spoken)
    if draft.kind is Kind.META:
        spoken = {version for version in spoken if spec.has_chaining(version)}
    return tuple(v for v in spec.VERSIONS if v in spoken and (not versions or v in versions))


def _version_of(draft: Subject) -> str:
    given = draft.conf.get("cniVersion")
    return given if isinstance(given, str) and spec.is_version(given) else "1.0.0"


def _tried(draft: Subject, each: Source, helpers: Sequence[str]) -> tuple[Subject, Refused | None]:
    """A subject after its first ADD: what kind it is, what it answers, how long it takes.

    A plugin that cannot be added stays what it seemed to be, beside what came of its ADD as it was first tried.
    """
    candidates = [draft]
    refusal = None
    if each.kind is None and draft.kind is Kind.INTERFACE and not draft.before:
        candidates += _with_maker(draft, helpers)
    elif draft.kind is Kind.META and not draft.before:
        candidates = [*_with_maker(draft, helpers), draft]
    for candidate in candidates:
        first = _first_add(candidate)
        if isinstance(first, Refused):
            refusal = refusal or first
            continue
        made, changes = first
        if candidate.kind is Kind.INTERFACE and each.kind is None and effect.only_addresses(made):
            candidate = replace(candidate, kind=Kind.IPAM)
        if _only_loopback(made):
            candidate = replace(candidate, setting=replace(candidate.setting, ifname="lo"))
        return replace(candidate, result=made.result, seconds=made.call.seconds, effect=changes), None
    return draft, refusal


def _with_maker(draft: Subject, helpers: Sequence[str]) -> list[Subject]:
    """The same plugin, chained behind one that makes an interface."""
    path = (*draft.path, *helpers)
    makers = [maker for maker in _makers(draft) if _there(maker, path)]
    pools = [pool for pool in _pools(draft) if _there(pool, path)]
    if not makers or not pools:
        return []
    before = ({**makers[0], "ipam": pools[0]},)
    chained = tuple(v for v in draft.versions if spec.has_chaining(v))
    return [replace(draft, kind=Kind.META, before=before, path=path, versions=chained)] if chained else []


def _makers(draft: Subject) -> tuple[Mapping[str, Any], ...]:
    """What can make the interface that a chained plugin works on, where its own list has none, the best first."""
    bridge = space.name(draft, "cnitest0")
    known = _below("interface", bridge=bridge)
    return (*known, {"type": "wire", "bridge": bridge})


def _pools(draft: Subject) -> tuple[Mapping[str, Any], ...]:
    """What can give it addresses."""
    four, six = (str(space.network(draft, family)) for family in (4, 6))
    return (*_below("ipam", ipv4=four, ipv6=six), {"type": "pool", "subnet": four})


def _below(family: str, **places: str) -> list[Mapping[str, Any]]:
    """Configurations of known plugins of a family for what a chained plugin stands on."""
    known = [plugin for plugin in files.every() if plugin.family == family and plugin.below]
    return [{"type": plugin.name, **substituted(plugin.below, **places)} for plugin in known]


def _there(plugin: Mapping[str, Any], path: Sequence[str]) -> bool:
    return any((Path(directory) / plugin["type"]).is_file() for directory in path)


def _first_add(candidate: Subject, version: str = "") -> tuple[AddResult, bool] | Refused:
    """What an ADD made, and whether that changed anything; or why it failed."""
    tried = version or candidate.highest
    try:
        with open_bench(Trial(candidate, tried)) as bench:
            before = links(bench.node)
            try:
                found = attach_shared(bench)
            except (Undecided, PluginError) as error:
                return refused(candidate, tried, error, bench, before)
            return found.made, leftovers.effect(found.before, found.after)
    except (Undecided, PluginError) as error:  # of the commands that set the host up
        return refused(candidate, tried, error)
    except FeatureMissing:
        raise
    except CnitestError as error:
        raise ConfigError(f"{candidate.source}: {error}") from error


def _only_loopback(made: AddResult) -> bool:
    """Whether the result is about the loopback, whatever name was asked for."""
    inside = {one.name for one in reading.interfaces(made.result) if one.sandbox}
    return inside == {"lo"}


def _named_apart(subjects: Sequence[Subject]) -> Iterator[Subject]:
    names = [subject.name for subject in subjects]
    for subject in subjects:
        twice = names.count(subject.name) > 1
        yield replace(subject, name=f"{subject.network}.{subject.name}") if twice else subject
