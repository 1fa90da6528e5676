"""Calls the plugins of a network as a runtime does: each call noted, each failure an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnitest.cni import result
from cnitest.cni.attachment import Target
from cnitest.cni.calls import golang, invoke, request
from cnitest.cni.calls.invoke import Call, Exec
from cnitest.cni.calls.mode import Mode
from cnitest.cni.chain import PluginChain
from cnitest.cni.conf import Network
from cnitest.deadline import scaled
from cnitest.errors import PluginError, is_ours
from cnitest.events import Journal
from cnitest.lab.hosts import Host

__tracebackhide__ = is_ours

#: How libcni begins the error of a plugin that failed, by command.
_PREFIX = {"ADD": "plugin {} failed (add): ", "DEL": "plugin {} failed (delete): ", "GC": "failed to GC plugin {}: "}


@dataclass(frozen=True)
class Caller:
    """What each call of a runtime has in common; every call is noted in the journal."""

    journal: Journal
    path: tuple[str, ...]
    timeout: float
    executor: Callable[[Host], Exec]
    mode: Mode

    def add(self, target: Target) -> Mapping[str, Any]:
        """ADD down the list (RT-01); the result of the last plugin. Raises PluginError."""
        _, document = self._chain(target).add()
        assert document is not None, "a network has at least one plugin"
        return document

    def check(self, target: Target, previous: Mapping[str, Any] | None) -> None:
        """CHECK down the list with the result of ADD (RT-08). Raises PluginError at the first failure (RT-03)."""
        self._chain(target).check(previous)

    def delete(self, target: Target, previous: Mapping[str, Any] | None) -> None:
        """DEL up the list with the result of ADD (RT-02). Raises PluginError at the first failure (RT-03)."""
        self._chain(target).delete(previous)

    def status(self, target: Target) -> None:
        """STATUS down the list (RT-09). Raises PluginError at the first failure."""
        self._chain(target).status()

    def gc(self, target: Target, valid: Sequence[tuple[str, str]] | None) -> list[PluginError]:
        """GC down the list, whatever fails (RT-03); what failed."""
        return self._chain(target, valid).gc()[1]

    def call(self, host: Host, plugin: str, variables: Mapping[str, str], stdin: Mapping[str, Any]) -> Call:
        """Find a plugin, call it and note it down, whatever the outcome. Raises PluginError when it cannot run."""
        executor = self.executor(host)
        try:
            binary = executor.find(plugin, self.path)
        except PluginError as error:  # DEL stops at a plugin that is not there, too (RT-21, SPEC section 3)
            raise PluginError(f"{plugin} {variables['CNI_COMMAND']} on {host.full_name}: {error}") from error
        made = invoke.call(
            executor, plugin, binary, variables, stdin, host=host.full_name, timeout=scaled(self.timeout)
        )
        self.journal.note(made)
        return made

    def _chain(self, target: Target, valid: Sequence[tuple[str, str]] | None = None) -> PluginChain:
        def ask(command: str, position: int, previous: Mapping[str, Any] | None) -> Call:
            return self._run(target, command, self._request(target, command, position, previous, valid))

        return PluginChain(len(target.network.plugins), ask, _Strict(target.network, self.mode))

    def _request(
        self,
        target: Target,
        command: str,
        position: int,
        previous: Mapping[str, Any] | None,
        valid: Sequence[tuple[str, str]] | None,
    ) -> Mapping[str, Any]:
        if command == "GC":
            return request.gc_request(target.network, position, valid, self.mode)
        if command == "STATUS":
            return request.status_request(target.network, position, self.mode)
        return request.request_of(target, position, previous, self.mode, command)

    def _run(self, target: Target, command: str, stdin: Mapping[str, Any]) -> Call:
        variables = invoke.environment(
            command,
            container_id=target.container_id,
            netns=target.netns,
            ifname=target.ifname,
            args=";".join(f"{key}={value}" for key, value in target.args.items()),
            path=self.path,
        )
        return self.call(target.host, str(stdin["type"]), variables, stdin)


@dataclass(frozen=True)
class _Strict:
    """Reads answers as a runtime does: raises PluginError, with libcni's own words as a note, for every failure."""

    network: Network
    mode: Mode

    def result(self, position: int, made: Call) -> Mapping[str, Any]:
        """The result of an ADD; one that names no version is of the configuration's (RT-20)."""
        self.fails(position, made)
        version = self.network.cni_version
        document = {**invoke.answer(made)}
        document["cniVersion"] = document.get("cniVersion") or version
        try:
            result.parse(document, version)
        except ValueError as error:
            raise PluginError(f"{made.subject}: exit code 0, but its result is wrong: {error}") from error
        return golang.reduced(document, version) if self.mode.reduces_results else document

    def fails(self, position: int, made: Call) -> bool:
        """Never, when it does not raise."""
        try:
            invoke.check_exit(made)
        except PluginError as error:
            plugin = golang.description(self.network.plugins[position])
            words = golang.error_text(made.exit_code, made.stdout, made.stderr)
            error.add_note(f"libcni says: {_PREFIX.get(made.command, '').format(plugin)}{words}")
            raise
        return False


def merged(words: str, failures: Sequence[PluginError]) -> PluginError:
    """One error for several, with their notes, and with their code when it is the same."""
    codes = {failure.code for failure in failures}
    error = PluginError(words, codes.pop() if len(codes) == 1 else None)
    for note in (note for failure in failures for note in getattr(failure, "__notes__", ())):
        error.add_note(note)
    return error
