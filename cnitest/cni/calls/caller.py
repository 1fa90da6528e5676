"""Calls the plugins of a network one after the other, as each verb wants it (SPEC section 3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnitest.cni import result
from cnitest.cni.attachment import Target
from cnitest.cni.calls import golang, invoke, request
from cnitest.cni.calls.invoke import Call, Exec
from cnitest.cni.calls.mode import Mode
from cnitest.errors import PluginError, is_ours
from cnitest.events import Journal
from cnitest.lab.hosts import Host

__tracebackhide__ = is_ours

#: How libcni begins the error of a plugin that failed, by verb.
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
        """ADD down the list, each result handed to the next (RT-01); the last one. Raises PluginError."""
        document: Mapping[str, Any] | None = None
        for position in range(len(target.network.plugins)):
            made = self._attach(target, position, "ADD", document)
            self._check_exit(target, position, made)
            document = self._result(target, made)
        assert document is not None, "a network has at least one plugin"
        return document

    def check(self, target: Target, previous: Mapping[str, Any] | None) -> None:
        """CHECK down the list with the result of ADD (RT-08). Raises PluginError at the first failure (RT-03)."""
        for position in range(len(target.network.plugins)):
            self._check_exit(target, position, self._attach(target, position, "CHECK", previous))

    def delete(self, target: Target, previous: Mapping[str, Any] | None) -> None:
        """DEL up the list with the result of ADD (RT-02). Raises PluginError at the first failure (RT-03)."""
        for position in reversed(range(len(target.network.plugins))):
            self._check_exit(target, position, self._attach(target, position, "DEL", previous))

    def status(self, target: Target) -> None:
        """STATUS down the list (RT-09). Raises PluginError at the first failure."""
        for position in range(len(target.network.plugins)):
            asked = request.status_request(target.network, position, self.mode)
            self._check_exit(target, position, self._run(target, "STATUS", asked))

    def gc(self, target: Target, valid: Sequence[tuple[str, str]] | None) -> list[PluginError]:
        """GC down the list, whatever fails (RT-03); what failed."""
        failures = []
        for position in range(len(target.network.plugins)):
            asked = request.gc_request(target.network, position, valid, self.mode)
            try:
                self._check_exit(target, position, self._run(target, "GC", asked))
            except PluginError as error:
                failures.append(error)
        return failures

    def call(self, host: Host, plugin: str, variables: Mapping[str, str], stdin: Mapping[str, Any]) -> Call:
        """Find a plugin, call it and note it down, whatever the outcome. Raises PluginError when it cannot run."""
        executor = self.executor(host)
        try:
            binary = executor.find(plugin, self.path)
        except PluginError as error:  # DEL stops at a plugin that is not there, too (RT-21, SPEC section 3)
            raise PluginError(f"{plugin} {variables['CNI_COMMAND']} on {host.full_name}: {error}") from error
        made = invoke.call(executor, plugin, binary, variables, stdin, host=host.full_name, timeout=self.timeout)
        self.journal.note(made)
        return made

    def _attach(self, target: Target, position: int, verb: str, previous: Mapping[str, Any] | None) -> Call:
        return self._run(target, verb, request.request_of(target, position, previous, self.mode, verb))

    def _run(self, target: Target, verb: str, stdin: Mapping[str, Any]) -> Call:
        variables = invoke.environment(
            verb,
            container_id=target.container_id,
            netns=target.netns,
            ifname=target.ifname,
            args=";".join(f"{key}={value}" for key, value in target.args.items()),
            path=self.path,
        )
        return self.call(target.host, str(stdin["type"]), variables, stdin)

    def _result(self, target: Target, made: Call) -> Mapping[str, Any]:
        """The result of an ADD; one that names no version is of the configuration's (RT-20)."""
        version = target.network.cni_version
        document = {**invoke.answer(made)}
        document["cniVersion"] = document.get("cniVersion") or version
        try:
            result.parse(document, version)
        except ValueError as error:
            raise PluginError(f"{made.subject}: exit code 0, but its result is wrong: {error}") from error
        return golang.reduced(document, version) if self.mode.reduces_results else document

    def _check_exit(self, target: Target, position: int, made: Call) -> None:
        try:
            invoke.check_exit(made)
        except PluginError as error:
            plugin = golang.description(target.network.plugins[position])
            words = golang.error_text(made.exit_code, made.stdout, made.stderr)
            error.add_note(f"libcni says: {_PREFIX.get(made.verb, '').format(plugin)}{words}")
            raise


def retold(words: str, failures: Sequence[PluginError]) -> PluginError:
    """One error for several, with their notes, and with their code when it is the same."""
    codes = {failure.code for failure in failures}
    told = PluginError(words, codes.pop() if len(codes) == 1 else None)
    for note in (note for failure in failures for note in getattr(failure, "__notes__", ())):
        told.add_note(note)
    return told
