"""Calls of plugins exactly as a test wants them, wrong on purpose included, each kept in a record."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cnitest.cni.calls import invoke
from cnitest.cni.calls.invoke import Call, HostExec
from cnitest.cni.spec import Document
from cnitest.conformance.bench import request
from cnitest.conformance.bench.record import BenchRecord
from cnitest.conformance.bench.steps import Release, SearchPath
from cnitest.conformance.bench.target import AttachmentTarget
from cnitest.conformance.bench.timeouts import Timeouts
from cnitest.conformance.model.subject import Setting, Trial
from cnitest.injection.aim import Aim, AimedExec
from cnitest.lab.hosts import Host
from cnitest.lab.lab import Lab

_TIMEOUTS = Timeouts()


class PluginCalls:
    """A subject's plugins on one host of a lab: where they are found, and how they are called."""

    def __init__(self, trial: Trial, lab: Lab, record: BenchRecord) -> None:
        self.trial = trial
        self.subject = trial.subject
        self.version = trial.version
        self.setting: Setting = trial.subject.setting
        self.lab = lab
        self.node: Host = lab.host(self.setting.host)
        self.path = self.subject.path
        self.record = record
        self._binaries: dict[str, str] = {}

    def raw(
        self,
        command: str,
        target: AttachmentTarget | None = None,
        *,
        previous: Document | None = None,
        changes: Mapping[str, str] | None = None,
        without: Sequence[str] = (),
        stdin: bytes | Document | None = None,
        plugin: str = "",
        environment: Mapping[str, str] | None = None,
        argv: Sequence[str] = (),
        timeout: float | None = None,
        aim: Aim | None = None,
    ) -> Call:
        """Call the plugin (or ``plugin``) once, whatever comes of it.

        ``changes`` replaces variables, ``without`` removes some, ``stdin`` replaces the configuration, ``environment``
        what is there besides the CNI_* variables, ``argv`` is put before the binary's path. ``aim`` watches what it
        changes and may kill or hold it.
        """
        name = plugin or self.subject.plugin
        binary = self.binary(name)
        variables = self._variables(command, target, environment)
        variables.update(changes or {})
        variables = {key: value for key, value in variables.items() if key not in without}
        data = self._stdin(command, target, previous, stdin)
        limit = timeout or _TIMEOUTS.seconds(self.subject.name, command, self.subject.seconds)
        place = self.node.full_name
        executor = AimedExec(self.node, aim) if aim else HostExec(self.node, tuple(argv))
        with self.record.calling() as note:
            call = invoke.call(executor, name, binary, variables, data, host=place, timeout=limit, command=command)
            hit = aim.hit if aim and aim.way == "kill" else 0
            note(call, call.seconds if hit else timeout, hit)
        if call.timed_out and timeout is None:
            _TIMEOUTS.ran_out(self.subject.name, command)
        self.lab.journal.note(call)
        return call

    def binary(self, name: str) -> str:
        """The path of a plugin's binary."""
        if name not in self._binaries:
            self._binaries[name] = HostExec(self.node).find(name, self.path)
        return self._binaries[name]

    def use_path(self, *directories: str) -> None:
        """Search plugins first from now on in directories that a test makes and fills."""
        self._search(*directories)
        self.record.steps.append(SearchPath(directories))

    def upgrade(self, *directories: str) -> None:
        """Search plugins first from now on in the directories of another release."""
        self._search(*directories)
        self.record.steps.append(Release(directories))

    def _search(self, *directories: str) -> None:
        self.path = (*directories, *self.subject.path)
        self._binaries = {}

    def _variables(
        self, command: str, target: AttachmentTarget | None, environment: Mapping[str, str] | None
    ) -> dict[str, str]:
        base = invoke.environment(
            command,
            container_id=target.container_id if target else "",
            netns=target.netns if target else "",
            ifname=target.ifname if target else "",
            args=target.args if target else "",
            path=self.path,
        )
        if environment is not None:
            base = {key: value for key, value in base.items() if key.startswith("CNI_")} | dict(environment)
        else:
            base.update(self.setting.environment)
        return base

    def _stdin(
        self, command: str, target: AttachmentTarget | None, previous: Document | None, stdin: bytes | Document | None
    ) -> bytes:
        if isinstance(stdin, bytes):
            return stdin
        if stdin is not None:
            return json.dumps(stdin).encode()
        if command == "VERSION":
            return json.dumps({"cniVersion": self.version}).encode()
        return json.dumps(self.request(target, previous)).encode()

    def request(self, target: AttachmentTarget | None = None, previous: Document | None = None) -> dict[str, Any]:
        """What the plugin gets on stdin."""
        if target is None:
            conf = request.substituted(self.subject.conf, container="c1", ifname=self.setting.ifname)
            return request.of(conf, self.subject.network, self.version, {}, None)
        return request.of(target.conf, target.network, self.version, target.capabilities, previous)
