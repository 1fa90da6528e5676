"""Which attachments GC keeps, which are stale, and how all that failed is reported at once (RT-10)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from cnitest.cni import cache, conf
from cnitest.cni.attachment import Attachment, Target
from cnitest.cni.cache import CacheEntry
from cnitest.cni.calls.caller import merged
from cnitest.cni.calls.mode import Mode
from cnitest.errors import ConfigError, PluginError, is_ours

__tracebackhide__ = is_ours

#: Container ID and interface name: what tells the attachments of a network apart.
Pair = tuple[str, str]


def kept(keep: Iterable[Attachment | Pair], about: Target) -> tuple[Pair, ...]:
    """The attachments to keep as pairs, each once, without those of other networks and hosts.

    Raises TypeError for what is neither an attachment nor a pair of names.
    """
    pairs: dict[Pair, None] = {}
    for one in keep:
        if isinstance(one, Attachment):
            if one.is_at(about.host, about.network):
                pairs[one.pair] = None
        elif isinstance(one, tuple) and len(one) == 2 and all(isinstance(name, str) for name in one):
            pairs[one] = None
        else:
            raise TypeError(f"keep takes Attachments and (container ID, interface name) pairs, not {one!r}")
    return tuple(pairs)


def stale(
    about: Target, valid: Sequence[Pair], own: Sequence[Attachment], mode: Mode
) -> tuple[list[Target], list[PluginError]]:
    """What is to be deleted, and what the cache has to say that nobody can understand.

    Attachments of this runtime are stale even when their cache file is lost; libcni knows what is cached and no more.
    Raises PluginError when the cache cannot be listed.
    """
    mine = {one.pair: one.target for one in own} if mode.deletes_stale_as_added else {}
    understood, unreadable = cache.entries(about.host)
    found = {
        entry.pair: entry for entry in understood if entry.network == about.network.name and entry.pair not in valid
    }
    faults = _of_this_network(about, unreadable, {*valid, *mine})
    targets = {pair: target for pair, target in mine.items() if pair not in valid}
    for pair, entry in found.items():
        if pair not in targets:
            targets[pair] = _target(about, entry, mode, faults)
    return list(targets.values()), faults if mode.tells_unreadable_cache else []


def _of_this_network(about: Target, unreadable: dict[str, PluginError], known: Iterable[Pair]) -> list[PluginError]:
    """The faults of files that may be of this network, but for attachments that we know of without them."""
    begin = f"{cache.DIRECTORY}/{about.network.name}-"
    explained = {begin + "-".join(pair) for pair in known}
    return [error for file, error in unreadable.items() if file.startswith(begin) and file not in explained]


def _target(about: Target, entry: CacheEntry, mode: Mode, faults: list[PluginError]) -> Target:
    """A cached attachment as DEL is to be called for it: with the configuration it was added with (RT-30)."""
    target = replace(
        about,
        container_id=entry.container_id,
        ifname=entry.ifname,
        netns=entry.netns,
        args=entry.args,
        capabilities=entry.capabilities,
    )
    if not mode.deletes_stale_as_added:
        return target
    try:
        return replace(target, network=conf.cached(entry.config, entry.file, about.network, mode))
    except ConfigError as error:
        faults.append(PluginError(f"{error}; DEL was called with the configuration that GC was given"))
        return target


def all_failures(about: Target, failures: Sequence[PluginError]) -> PluginError:
    """One error for all that failed."""
    count = "1 failure" if len(failures) == 1 else f"{len(failures)} failures"
    return merged("\n".join([f"GC of {about.words}: {count}", *(f"- {failure}" for failure in failures)]), failures)
