"""Calls the plugins of an example's network as a runtime would; what is wrong in it they get as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cnitest.cni import spec
from cnitest.cni.calls import request
from cnitest.cni.calls.invoke import Call
from cnitest.cni.chain import Lenient, PluginChain
from cnitest.cni.spec import Document
from cnitest.conformance.bench.bench import AttachmentTarget, Bench
from cnitest.conformance.bench.request import substituted
from cnitest.fuzz.model.example import Example, version_of

_VERSION = "1.0.0"
# GC names what is valid under today's name alone.
_VALID = request.VALID_ATTACHMENTS[:1]


def stdin(
    example: Example, conf: Document, previous: Document | None, *, container: str = "", ifname: str = ""
) -> dict[str, Any]:
    """What a plugin gets on stdin: name and version as they are in the network, wrong or not there at all. Its
    placeholders are filled in where there is a ``container``."""
    names = {"container": container, "ifname": ifname} if container else {}
    own, provided = substituted(conf, **names), substituted(example.capabilities, **names)
    identity = {key: example.network[key] for key in ("name", "cniVersion") if key in example.network}
    version = str(example.network.get("cniVersion", _VERSION))
    return request.versioned(own, identity, version, provided, previous)


class BenchCaller:
    """Calls the plugins of networks on a bench; ``answered`` gets each answer as soon as its command has ended."""

    def __init__(self, bench: Bench, answered: Callable[[Sequence[Call]], None] = lambda _: None) -> None:
        self._bench = bench
        self._answered = answered

    def add(self, example: Example, target: AttachmentTarget) -> tuple[list[Call], Document | None]:
        """ADD of each plugin until one fails; the calls, and the result of the last when all have succeeded."""
        calls, result = self._chain(example, target).add()
        self._answered(calls)
        return calls, result

    def check(self, example: Example, target: AttachmentTarget, result: Document | None) -> list[Call]:
        """CHECK of each plugin in order, until one fails."""
        return self._telling(self._chain(example, target).check(result))

    def delete(
        self, example: Example, target: AttachmentTarget, result: Document | None, *, stop: bool = True
    ) -> list[Call]:
        """DEL of each plugin in reverse, until one fails; without ``stop`` of every one."""
        known = result if spec.has_check(version_of(example)) else None
        return self._telling(self._chain(example, target).delete(known, stop=stop))

    def gc(self, example: Example, valid: Sequence[tuple[str, str]]) -> list[Call]:
        """GC of each plugin, with the attachments that are to stay."""
        calls, errors = self._chain(example, None, valid).gc()
        for error in errors:
            raise error
        return calls

    def status(self, example: Example) -> list[Call]:
        """STATUS of each plugin."""
        return self._chain(example).status(stop=False)

    def request(
        self, example: Example, conf: Document, previous: Document | None, target: AttachmentTarget | None = None
    ) -> dict[str, Any]:
        """What a plugin gets on stdin, for an attachment or for none."""
        where = {"container": target.sandbox.name, "ifname": target.ifname} if target else {}
        return stdin(example, conf, previous, **where)

    def _chain(
        self, example: Example, target: AttachmentTarget | None = None, valid: Sequence[tuple[str, str]] = ()
    ) -> PluginChain:
        plugins = example.plugins

        def ask(command: str, position: int, previous: Document | None) -> Call:
            conf = plugins[position]
            document = self.request(example, conf, previous, target)
            sent = request.with_valid(document, valid, _VALID) if command == "GC" else document
            return self._bench.raw(command, target, plugin=str(conf["type"]), stdin=sent)

        return PluginChain(len(plugins), ask, Lenient())

    def _telling(self, calls: list[Call]) -> list[Call]:
        self._answered(calls)
        return calls
