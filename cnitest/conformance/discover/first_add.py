"""A subject after its first ADD: what kind it is, behind which maker of interfaces, what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from cnitest.cni import spec
from cnitest.conformance.bench import leftovers
from cnitest.conformance.bench.bench import AddResult, open_bench
from cnitest.conformance.bench.request import substituted
from cnitest.conformance.bench.shared_attachment import attach_shared
from cnitest.conformance.discover.preflight import StartFailure, links, start_failure
from cnitest.conformance.discover.source import Source, there
from cnitest.conformance.model import reading, space
from cnitest.conformance.model.finding import Undecided
from cnitest.conformance.model.requirement import Kind
from cnitest.conformance.model.subject import Subject, Trial
from cnitest.conformance.observe import effect
from cnitest.errors import CnitestError, ConfigError, FeatureMissing, PluginError
from cnitest.plugins import files


def tried(draft: Subject, each: Source, helpers: Sequence[str]) -> tuple[Subject, StartFailure | None]:
    """A subject after its first ADD: what kind it is, what it answers, how long it takes.

    A plugin that cannot be added stays what it seemed to be, beside what came of its ADD as it was first tried.
    """
    candidates = [draft]
    rejection = None
    if each.kind is None and draft.kind is Kind.INTERFACE and not draft.before:
        chained = _with_maker(draft, helpers)
        # One that has the result of another in its configuration would pass that off as its own.
        candidates = [*chained, draft] if "prevResult" in draft.conf else [draft, *chained]
    elif draft.kind is Kind.META and not draft.before:
        candidates = [*_with_maker(draft, helpers), draft]
    for candidate in candidates:
        first = first_add(candidate)
        if isinstance(first, StartFailure):
            rejection = rejection or first
            continue
        made, changes = first
        if candidate.kind is Kind.INTERFACE and each.kind is None and effect.only_addresses(made):
            candidate = replace(candidate, kind=Kind.IPAM)
        if _only_loopback(made):
            candidate = replace(candidate, setting=replace(candidate.setting, ifname="lo"))
        return replace(candidate, result=made.result, seconds=made.call.seconds, effect=changes), None
    return draft, rejection


def _with_maker(draft: Subject, helpers: Sequence[str]) -> list[Subject]:
    """The same plugin, chained behind one that makes an interface."""
    path = (*draft.path, *helpers)
    makers = [maker for maker in _makers(draft) if there(maker, path)]
    pools = [pool for pool in _pools(draft) if there(pool, path)]
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


def first_add(candidate: Subject, version: str = "") -> tuple[AddResult, bool] | StartFailure:
    """What an ADD made, and whether that changed anything; or why it failed."""
    tried = version or candidate.highest
    try:
        with open_bench(Trial(candidate, tried)) as bench:
            before = links(bench.node)
            try:
                found = attach_shared(bench)
            except (Undecided, PluginError) as error:
                return start_failure(candidate, tried, error, bench, before)
            return found.made, leftovers.effect(found.before, found.after)
    except (Undecided, PluginError) as error:  # of the commands that set the host up
        return start_failure(candidate, tried, error)
    except FeatureMissing:
        raise
    except CnitestError as error:
        raise ConfigError(f"{candidate.source}: {error}") from error


def _only_loopback(made: AddResult) -> bool:
    """Whether the result is about the loopback, whatever name was asked for."""
    inside = {one.name for one in reading.interfaces(made.result) if one.sandbox}
    return inside == {"lo"}
