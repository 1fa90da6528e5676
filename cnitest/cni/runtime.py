"""Calls plugins as libcni does: in order, each result handed on, everything undone in reverse.

RT-nn names the rule of libcni that a line copies (libcni/api.go and conf.go). Where libcni leaves the specification
this runtime does not, unless it is of the mode ``libcni`` (see `cnitest.cni.calls.mode`).
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cnitest.cni import cache, conf, gc, result, spec, versions
from cnitest.cni.attachment import Attachment, Target, cnitool_container_id, default_container_id, validate
from cnitest.cni.calls import invoke
from cnitest.cni.calls.caller import Caller, merged
from cnitest.cni.calls.invoke import Call, Exec, HostExec
from cnitest.cni.calls.locks import Locks, Turns
from cnitest.cni.calls.mode import SPEC, Mode, mode_of
from cnitest.cni.calls.request import request_of
from cnitest.cni.conf import Network
from cnitest.cni.gc import Pair
from cnitest.cni.result import Result
from cnitest.cni.versions import Versions
from cnitest.errors import CnitestError, ConfigError, PluginError, is_ours
from cnitest.lab.arguments import checked
from cnitest.lab.hosts import Host, Sandbox
from cnitest.lab.lab import Lab

__all__ = ["Attachment", "Runtime", "Versions", "cnitool_container_id", "default_container_id", "request_of"]

__tracebackhide__ = is_ours

#: Seconds that one operation waits for another one of the same container or network.
LOCK_TIMEOUT = 300.0

#: What names a network: its configuration, the path of a file with it, or a network that was read before.
Source = Network | Mapping[str, Any] | str | Path


class Runtime:
    """A container runtime over one plugin set, for the hosts of one lab; may be used from several threads.

    ``path`` is CNI_PATH: directories in the order they are searched; a relative one is taken from where we stand now.
    A plugin is killed after ``timeout`` seconds. ``mode`` is ``"spec"``, ``"libcni"`` or a `Mode`;
    ``delete_after_failed_add`` overrides it in that one thing (RT-29). ``lock_timeout`` is how many seconds an
    operation waits for another one of its container or network; ``patience`` is its former name.
    """

    def __init__(
        self,
        lab: Lab,
        path: Sequence[str],
        *,
        timeout: float = invoke.TIMEOUT,
        executor: Callable[[Host], Exec] = HostExec,
        mode: Mode | str = SPEC,
        delete_after_failed_add: bool | None = None,
        lock_timeout: float = LOCK_TIMEOUT,
        patience: float | None = None,
    ) -> None:
        self.lab = lab
        self.path = tuple(os.path.abspath(directory) for directory in path)
        self.timeout = timeout
        self.mode = mode_of(mode)
        if delete_after_failed_add is not None:
            self.mode = replace(self.mode, deletes_after_failed_add=delete_after_failed_add)
        #: What is attached, in the order of the ADDs; DEL takes an attachment out, and a test may.
        self.attachments: list[Attachment] = []
        self._executor = executor
        self._locks = Locks(lock_timeout if patience is None else patience)

    @property
    def calls(self) -> list[Call]:
        """Every call of a plugin so far, in order."""
        return self.lab.journal.of(Call)

    @checked
    def add(
        self,
        sandbox: Sandbox,
        network: Source,
        ifname: str = "eth0",
        *,
        args: Mapping[str, str] | None = None,
        capabilities: Mapping[str, Any] | None = None,
        container_id: str | None = None,
    ) -> Attachment:
        """Attach a sandbox to a network: ADD of each plugin in order (RT-01).

        After a failure DEL is called (RT-29). Raises ConfigError, PluginError with the plugin's words, and
        DeadlineExceeded when another operation stood in the way for too long (RT-12).
        """
        wanted = conf.network(network, self.mode)
        identifier = container_id or default_container_id(sandbox)
        validate(identifier, ifname, args or {}, pairs=self.mode.validates_args)
        blank = Result(wanted.cni_version, (), (), (), {}, {})
        provided = copy.deepcopy(dict(capabilities or {}))
        pending = Attachment(wanted, sandbox, identifier, ifname, blank, dict(args or {}), provided)
        target = pending.target
        with self._turns.take("ADD", target):
            self._guard_cache(target)
            self.lab.journal.note(target)
            document = self._add(target)
            attachment = replace(pending, result=result.parse(document, wanted.cni_version))
            self.attachments.append(attachment)
        return attachment

    @checked
    def check(self, attachment: Attachment) -> None:
        """CHECK of each plugin in order, with the result of ADD (RT-07, RT-08).

        Nobody is asked where the network says ``disableCheck``. Raises ConfigError for a network older than 0.4.0
        and for what is not attached, PluginError with the plugin's words, and DeadlineExceeded as `add`.
        """
        target = self._valid(attachment)
        network = target.network
        if self.mode.obeys_disable_check_first and network.disable_check:
            return
        if not spec.has_check(network.cni_version):
            raise ConfigError(f"configuration version {network.cni_version} <0.4.0 does not support CHECK")
        if network.disable_check:
            return
        with self._turns.take("CHECK", target):
            previous = cache.load(target)
            if previous is None and self.mode.checks_only_what_is_cached:
                raise ConfigError(
                    f"CHECK of {target.words}: there is no result of an ADD in {cache.path(target)}: "
                    "it was never added, or has been deleted since; add it first"
                )
            self._caller.check(target, previous)

    @checked
    def delete(self, attachment: Attachment, *, may_fail: bool = False) -> PluginError | None:
        """DEL of each plugin in reverse order, with the result of ADD (RT-02); stops at the first error (RT-03).

        With ``may_fail`` an error of a plugin is returned, not raised, and the attachment is none of ours any more: it
        is not deleted again when the test ends.

        Raises PluginError with the plugin's words, also for a plugin that is not there any more (RT-21), and
        DeadlineExceeded as `add`.
        """
        target = self._valid(attachment)
        with self._turns.take("DEL", target):
            try:
                self._delete(target)
            except PluginError as error:
                if not may_fail:
                    raise
                self._drop(target)
                return error
        return None

    @checked
    def gc(self, host: Host, network: Source, keep: Sequence[Attachment | Pair] | None = None) -> None:
        """Free what is left of attachments that are no more (SPEC sections 2 and 3, RT-10).

        ``keep`` holds the valid attachments, or pairs of container ID and interface name; without it those are valid
        that this runtime has attached, and ``[]`` frees everything. First DEL is called, with the configuration of
        its ADD, for each other attachment of the network that the host's cache has; then, from 1.1.0 on, GC of
        each plugin. Nothing is done where the network says ``disableGC``. No ADD or DEL of the network runs
        meanwhile (RT-11).

        In the mode ``libcni`` DEL is called with the configuration given here, cache files that cannot be read are
        passed over, and without ``keep`` everything is deleted while plugins get no list.

        Raises ConfigError, one PluginError with all failures, and DeadlineExceeded as `add`.
        """
        about = Target(conf.network(network, self.mode), host)
        given = None if keep is None else gc.kept(keep, about)
        if self.mode.validates_every_command:
            for container_id, ifname in given or ():
                validate(container_id, ifname, {})
        if about.network.disable_gc:
            return
        with self._turns.take("GC", about):
            failures = self._gc(about, given)
        if failures:
            raise gc.all_failures(about, failures)

    @checked
    def status(self, network: Source, host: Host | None = None) -> None:
        """Ask each plugin in order whether it is ready for ADD (RT-09); nobody before 1.1.0, which has no STATUS.

        Raises ConfigError, and PluginError of the first that is not, with its code: 50, or 51 when containers that
        exist may be cut off too.
        """
        about = Target(conf.network(network, self.mode), host or self._first_host)
        if not spec.has_gc(about.network.cni_version):
            return
        try:
            self._caller.status(about)
        except PluginError as error:
            raise merged(f"STATUS of {about.words}: {error}", [error]) from error

    @checked
    def recall(
        self, sandbox: Sandbox, network: Source, ifname: str = "eth0", *, container_id: str | None = None
    ) -> Attachment:
        """The attachment that the cache of the sandbox's host has, whichever runtime made it (RT-30).

        It has the arguments and, but in the mode ``libcni``, the configuration that it was added with, and is one of
        our `attachments` from then on; one that is already is returned as it is. Raises ConfigError, LookupError when
        there is none, and PluginError when it cannot be understood.
        """
        wanted = conf.network(network, self.mode)
        target = Target(wanted, sandbox.host, container_id or default_container_id(sandbox), ifname)
        entry, document = cache.entry(target), cache.load(target)
        if entry is None or document is None or not entry.is_of(target):
            what = f"{entry.file} is that of {entry.words}" if entry else f"there is no {cache.path(target)}"
            raise LookupError(f"{target.words} is not in the cache: {what}")
        if self.mode.deletes_stale_as_added:
            wanted = conf.cached(entry.config, entry.file, wanted, self.mode)
        known = result.parse(document, wanted.cni_version)
        attachment = Attachment(wanted, sandbox, *entry.pair, known, entry.args, entry.capabilities)
        ours = [one for one in self.attachments if one.is_at(sandbox.host, wanted) and one.pair == attachment.pair]
        if not ours:
            self.attachments.append(attachment)
        return ours[0] if ours else attachment

    @checked
    def version(self, plugin: str, host: Host | None = None) -> Versions:
        """What a plugin says it supports (RT-24). Raises PluginError."""
        variables = invoke.environment("VERSION", netns="dummy", ifname="dummy", path=["dummy"])
        made = self._caller.call(host or self._first_host, plugin, variables, {"cniVersion": spec.VERSIONS[-1]})
        return versions.of(made)

    @property
    def _caller(self) -> Caller:
        """What calls plugins, by what ``path``, ``timeout`` and ``mode`` are now."""
        return Caller(self.lab.journal, tuple(self.path), self.timeout, self._executor, self.mode)

    @property
    def _turns(self) -> Turns:
        return Turns(self.mode, self._locks)

    @property
    def _first_host(self) -> Host:
        return next(iter(self.lab.hosts.values()))

    def _valid(self, attachment: Attachment) -> Target:
        """What calls for an attachment are about, checked as the mode wants it (RT-19)."""
        target = attachment.target
        if self.mode.validates_every_command:
            validate(*target.pair, target.args, pairs=self.mode.validates_args)
        return target

    def _guard_cache(self, target: Target) -> None:
        """Do not write over the cache file of another attachment: names may collide (RT-04)."""
        if not self.mode.guards_cache_files:
            return
        try:
            entry = cache.entry(target)
        except PluginError:  # nobody's any more
            return
        if entry and not entry.is_of(target):
            raise ConfigError(
                f"ADD of {target.words}: its cache file {entry.file} is that of {entry.words}; "
                "choose names that differ in more than where the hyphens are"
            )

    def _add(self, target: Target) -> Mapping[str, Any]:
        try:
            document = self._caller.add(target)
            cache.save(target, document)
        except PluginError as error:
            if self.mode.deletes_after_failed_add:
                self._undo(target, error)
            raise
        return document

    def _undo(self, target: Target, error: PluginError) -> None:
        try:
            self._delete(target)
        except PluginError as second:
            error.add_note(f"and the DEL after it failed too: {second}")

    def _delete(self, target: Target) -> None:
        has_result = spec.has_check(target.network.cni_version)
        self._caller.delete(target, self._cached_or_none(target) if has_result else None)
        cache.forget(target)
        self._drop(target)

    def _drop(self, target: Target) -> None:
        """Take what a call was about out of our attachments."""
        for attachment in self.attachments[:]:
            if attachment.is_at(target.host, target.network) and attachment.pair == target.pair:
                self.attachments.remove(attachment)

    def _cached_or_none(self, target: Target) -> Mapping[str, Any] | None:
        """The cached result, but what cannot be understood counts as lost: DEL must go on (RT-05)."""
        try:
            return cache.load(target)
        except PluginError:
            if self.mode.drops_unreadable_cache:
                cache.forget(target)
            return None

    def _gc(self, about: Target, given: tuple[Pair, ...] | None) -> list[PluginError]:
        """GC in its two halves; what failed."""
        own = [attachment for attachment in self.attachments[:] if attachment.is_at(about.host, about.network)]
        valid = given
        if given is None and self.mode.lists_valid_attachments:
            valid = gc.kept(own, about)
        try:
            targets, failures = gc.stale(about, valid or (), own, self.mode)
        except PluginError as error:
            if not self.mode.tells_unreadable_cache:
                return []
            targets, failures = [], [error]
        for target in targets:
            failures += self._delete_stale(target)
        if spec.has_gc(about.network.cni_version):
            failures += self._caller.gc(about, valid)
        return failures

    def _delete_stale(self, target: Target) -> list[PluginError]:
        try:
            with self._turns.container("DEL", target):
                self._delete(target)
        except PluginError as error:
            return [merged(f"DEL of stale {target.words}: {error}", [error])]
        except CnitestError as error:
            return [PluginError(f"DEL of stale {target.words}: {error}")]
        return []
