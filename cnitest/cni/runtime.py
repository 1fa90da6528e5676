"""Calls plugins as libcni does: in order, each result handed on, everything undone in reverse.

RT-nn names the rule of libcni that a line copies (libcni/api.go and conf.go).
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cnitest.cni import cache, conf, invoke, result, spec
from cnitest.cni.conf import Network
from cnitest.cni.invoke import Call, Exec, HostExec
from cnitest.cni.result import Result
from cnitest.errors import ConfigError, PluginError, is_ours
from cnitest.lab.hosts import Host, Sandbox
from cnitest.lab.lab import Lab

__tracebackhide__ = is_ours

_IDENTIFIER = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_IFNAME_FORBIDDEN = re.compile(r"[/:\s\0]")


@dataclass(frozen=True)
class Attachment:
    """A container attached to a network: what ADD made, and all that DEL needs."""

    network: Network
    sandbox: Sandbox
    container_id: str
    ifname: str
    result: Result
    args: Mapping[str, str] = field(default_factory=dict)
    capabilities: Mapping[str, Any] = field(default_factory=dict)

    @property
    def addresses(self) -> tuple[str, ...]:
        """The container's addresses, without their prefixes."""
        return tuple(ip.address.partition("/")[0] for ip in self.result.ips)

    @property
    def address(self) -> str:
        """The first address, without its prefix. Raises LookupError when the network gave none."""
        if not self.addresses:
            raise LookupError(f"{self.network.name}: {self.sandbox.full_name} got no address")
        return self.addresses[0]

    @property
    def gateway(self) -> str | None:
        """The gateway of the first address that has one."""
        return next((ip.gateway for ip in self.result.ips if ip.gateway), None)


@dataclass(frozen=True)
class Versions:
    """What a plugin answers to VERSION."""

    cni_version: str
    supported: tuple[str, ...]


class Runtime:
    """A container runtime over one plugin set, for the hosts of one lab.

    ``path`` is CNI_PATH: directories in the order they are searched; a relative one is taken from where we stand now.
    A plugin is killed after ``timeout`` seconds. ``delete_after_failed_add`` is what the specification wants of a
    runtime (RT-29).
    """

    def __init__(
        self,
        lab: Lab,
        path: Sequence[str],
        *,
        timeout: float = invoke.TIMEOUT,
        executor: Callable[[Host], Exec] = HostExec,
        delete_after_failed_add: bool = True,
    ) -> None:
        self.lab = lab
        self.path = tuple(os.path.abspath(directory) for directory in path)
        self.timeout = timeout
        self.attachments: list[Attachment] = []
        self._executor = executor
        self._delete_after_failed_add = delete_after_failed_add

    @property
    def calls(self) -> list[Call]:
        """Every call of a plugin so far, in order."""
        return self.lab.journal.of(Call)

    def add(
        self,
        sandbox: Sandbox,
        network: Network | Mapping[str, Any] | str | Path,
        ifname: str = "eth0",
        *,
        args: Mapping[str, str] | None = None,
        capabilities: Mapping[str, Any] | None = None,
        container_id: str | None = None,
    ) -> Attachment:
        """Attach a sandbox to a network: ADD of each plugin in order (RT-01).

        After a failure DEL is called (RT-29). Raises ConfigError, and PluginError with the plugin's words.
        """
        wanted = conf.network(network)
        identifier = container_id or default_container_id(sandbox)
        _validate(identifier, ifname, args or {})
        pending = Attachment(
            wanted,
            sandbox,
            identifier,
            ifname,
            _nothing(wanted),
            dict(args or {}),
            copy.deepcopy(dict(capabilities or {})),
        )
        try:
            document = self._add_all(pending)
            cache.save(pending, document)
        except PluginError as error:
            if self._delete_after_failed_add:
                self._undo(pending, error)
            raise
        attachment = replace(pending, result=result.parse(document, wanted.cni_version))
        self.attachments.append(attachment)
        return attachment

    def check(self, attachment: Attachment) -> None:
        """CHECK of each plugin in order, with the result of ADD (RT-07, RT-08). Raises PluginError."""
        network = attachment.network
        if not spec.has_check(network.cni_version):
            raise ConfigError(f"configuration version {network.cni_version} <0.4.0 does not support CHECK")
        if network.disable_check:
            return
        previous = cache.load(attachment)
        for position in range(len(network.plugins)):
            invoke.check_exit(self._call(attachment, position, "CHECK", previous))

    def delete(self, attachment: Attachment) -> None:
        """DEL of each plugin in reverse order, with the result of ADD (RT-02); stops at the first error (RT-03)."""
        network = attachment.network
        previous = self._cached_or_none(attachment) if spec.has_check(network.cni_version) else None
        for position in reversed(range(len(network.plugins))):
            invoke.check_exit(self._call(attachment, position, "DEL", previous))
        cache.forget(attachment)
        if attachment in self.attachments:
            self.attachments.remove(attachment)

    def version(self, plugin: str, host: Host | None = None) -> Versions:
        """What a plugin says it supports (RT-24). Raises PluginError."""
        where = host or next(iter(self.lab.hosts.values()))
        executor = self._executor(where)
        variables = invoke.environment("VERSION", netns="dummy", ifname="dummy", path=["dummy"])
        made = invoke.call(
            executor,
            plugin,
            executor.find(plugin, self.path),
            variables,
            {"cniVersion": spec.VERSIONS[-1]},
            host=where.full_name,
            timeout=self.timeout,
        )
        self.lab.journal.note(made)
        if "unknown CNI_COMMAND: VERSION" in made.stdout.decode(errors="replace"):
            return Versions(spec.UNVERSIONED, (spec.UNVERSIONED,))
        document = invoke.answer(made)
        supported = document.get("supportedVersions")
        if not isinstance(supported, list) or not all(isinstance(version, str) for version in supported):
            raise PluginError(f"{made.subject}: exit code 0, but 'supportedVersions' is {supported!r}")
        return Versions(str(document.get("cniVersion", "")), tuple(supported))

    def _add_all(self, pending: Attachment) -> Mapping[str, Any]:
        document: Mapping[str, Any] | None = None
        for position in range(len(pending.network.plugins)):
            made = self._call(pending, position, "ADD", document)
            document = {**invoke.answer(made)}
            document.setdefault("cniVersion", pending.network.cni_version)  # RT-20
            try:
                result.parse(document, pending.network.cni_version)
            except ValueError as error:
                raise PluginError(f"{made.subject}: exit code 0, but its result is wrong: {error}") from error
        assert document is not None, "a network has at least one plugin"
        return document

    def _undo(self, pending: Attachment, error: PluginError) -> None:
        try:
            self.delete(pending)
        except PluginError as second:
            error.add_note(f"and the DEL after it failed too: {second}")

    def _call(self, attachment: Attachment, position: int, verb: str, previous: Mapping[str, Any] | None) -> Call:
        """Call one plugin of a network and record it."""
        sandbox = attachment.sandbox
        executor = self._executor(sandbox.host)
        request = request_of(attachment, position, previous)
        plugin = str(request["type"])
        variables = invoke.environment(
            verb,
            container_id=attachment.container_id,
            netns=sandbox.path,
            ifname=attachment.ifname,
            args=";".join(f"{key}={value}" for key, value in attachment.args.items()),
            path=self.path,
        )
        made = invoke.call(
            executor,
            plugin,
            executor.find(plugin, self.path),
            variables,
            request,
            host=sandbox.host.full_name,
            timeout=self.timeout,
        )
        self.lab.journal.note(made)
        return made

    def _cached_or_none(self, attachment: Attachment) -> Mapping[str, Any] | None:
        """The cached result, but what cannot be understood counts as lost: DEL must go on (RT-05)."""
        try:
            return cache.load(attachment)
        except PluginError:
            return None


def request_of(attachment: Attachment, position: int, previous: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a plugin gets on stdin (RT-14): its configuration, name and version, the result before it, and those
    capability arguments that it declares (RT-16). ``capabilities`` itself is not passed on, SPEC section 3."""
    network = attachment.network
    request = network.plugin(position)
    request["name"], request["cniVersion"] = network.name, network.cni_version
    request.pop("cniVersions", None)
    declared = request.pop("capabilities", None) or {}
    runtime = {key: value for key, value in attachment.capabilities.items() if declared.get(key) is True}
    if runtime:
        request["runtimeConfig"] = runtime
    if previous is not None:
        request["prevResult"] = _previous(previous, network.cni_version)
    return request


def _previous(document: Mapping[str, Any], version: str) -> Mapping[str, Any]:
    label = document.get("cniVersion") or version
    if label == version or not spec.has_chaining(version):
        return document
    return result.relabelled(document, version)


def default_container_id(sandbox: Sandbox) -> str:
    """The container ID of a sandbox: its name, with a letter before it where the specification wants one."""
    identifier = re.sub(r"[^a-zA-Z0-9_.-]", "-", sandbox.name)
    return identifier if _IDENTIFIER.fullmatch(identifier) else f"c{identifier}"


def _validate(container_id: str, ifname: str, args: Mapping[str, str]) -> None:
    """What a runtime refuses before it calls any plugin (RT-19)."""
    for key, value in args.items():
        if not f"{key}{value}".isprintable():
            raise ConfigError(f"CNI_ARGS {key}={value!r}: an environment takes printable text only")
    if not _IDENTIFIER.fullmatch(container_id):
        raise ConfigError(
            f"container ID {container_id!r} must begin with a letter or digit and go on with those, '_', '.', '-'"
        )
    if not ifname or len(ifname.encode()) > 15 or ifname in (".", "..") or _IFNAME_FORBIDDEN.search(ifname):
        raise ConfigError(f"interface name {ifname!r} must be 1 to 15 bytes without '/', ':' and white space")


def _nothing(network: Network) -> Result:
    return Result(network.cni_version, (), (), (), {}, {})
