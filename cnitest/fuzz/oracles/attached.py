"""An attachment while a scenario lasts: how each plugin of its network is called for it, and what came of that."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnitest.cni import result as results
from cnitest.cni import spec
from cnitest.cni.calls.invoke import Call
from cnitest.conformance.bench import request
from cnitest.conformance.bench.bench import AttachmentTarget, Bench, Picture
from cnitest.conformance.bench.leftovers import residue
from cnitest.conformance.model import form, judge
from cnitest.conformance.model.requirement import Kind
from cnitest.conformance.model.subject import Subject
from cnitest.conformance.observe.traffic import Flow
from cnitest.fuzz.model.example import Example
from cnitest.fuzz.model.scenario import Step
from cnitest.fuzz.model.violation import Violation
from cnitest.kernel.rows.records import Link

Document = Mapping[str, Any]
_VERSION = "1.0.0"
# Verbs that have no result (SPEC section 4).
_SILENT = ("DEL", "CHECK", "GC", "STATUS")


@dataclass
class Attached:
    """One container's interface in one network, from its first ADD on.

    ``before`` is the picture before ADD, ``own`` the differences that ADD brought, ``result`` what the last plugin
    answered (None when the runtime has lost it), ``lost`` whether the container is gone, ``broken`` whether somebody
    has meddled with it, ``reached`` what it reached of its host and ``beyond`` what only through it, ``is_ipam``
    whether its one plugin only gives addresses.
    """

    step: Step
    example: Example
    slot: AttachmentTarget
    before: Picture
    own: frozenset[str] = frozenset()
    result: Document | None = None
    lost: bool = False
    broken: bool = False
    reached: tuple[Flow, ...] = ()
    beyond: tuple[Flow, ...] = ()
    is_ipam: bool = False

    @property
    def version(self) -> str:
        """The version of its network."""
        return version_of(self.example)

    @property
    def link(self) -> Link | None:
        """The interface in the container."""
        return next((link for link in self.slot.sandbox.links if link.name == self.slot.ifname), None)

    @property
    def addresses(self) -> tuple[results.Ip, ...]:
        """The addresses of the result."""
        return form.ips(self.result or {}, self.version)

    def has(self, plugin: str) -> bool:
        """Whether its network has a plugin."""
        return any(conf.get("type") == plugin for conf in self.example.plugins)


def is_ipam(example: Example, subject: Subject) -> bool:
    """Whether the one plugin of a network only gives addresses and is called alone: because that is what its profile
    says, or because it is its own IPAM plugin."""
    first = example.plugins[0]
    if len(example.plugins) > 1:
        return False
    if subject.kind is Kind.IPAM and first.get("type") == subject.plugin:
        return True
    section = first.get("ipam")
    return isinstance(section, Mapping) and section.get("type") == first["type"]


def version_of(example: Example) -> str:
    """The version that a network is spoken to in; that of 1.0.0 where it names none that there is."""
    given = example.network.get("cniVersion")
    return given if isinstance(given, str) and spec.is_version(given) else _VERSION


_OWNED = re.compile(r": \+ (files|nft|ip6?tables(-legacy)?) ")


def taken(one: Attached, now: Picture) -> list[str]:
    """Files and rules that came with an attachment, and are not there any more in a picture of now."""
    there = {_known_by(line) for line in residue(one.before, now, strict=True)}
    return [line for line in sorted(one.own) if _OWNED.search(line) and _known_by(line) not in there]


def kept(one: Attached, now: Picture) -> list[str]:
    """Files and rules that came with an attachment, and are still there in a picture of now."""
    there = {_known_by(line) for line in residue(one.before, now)}
    return [line for line in sorted(one.own) if _OWNED.search(line) and _known_by(line) in there]


def _known_by(line: str) -> str:
    """A file by its path, whatever is in it; a rule by itself."""
    return ": ".join(line.split(": ")[:2]) if ": + files " in line else line


class Caller:
    """Calls the plugins of an example's network on a bench, in the order a runtime would."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def add(self, example: Example, slot: AttachmentTarget) -> tuple[list[Call], Document | None]:
        """ADD of each plugin until one fails; the calls, and the result of the last when all have succeeded."""
        calls: list[Call] = []
        previous: Document | None = None
        for conf in example.plugins:
            call = self._call("ADD", example, slot, conf, previous)
            calls.append(call)
            previous = judge.result_document(call)
            if previous is None:
                return calls, None
        return calls, previous

    def check(self, example: Example, slot: AttachmentTarget, result: Document | None) -> list[Call]:
        """CHECK of each plugin in order, until one fails."""
        calls: list[Call] = []
        for conf in example.plugins:
            calls.append(self._call("CHECK", example, slot, conf, result))
            if judge.failed(calls[-1]):
                break
        return calls

    def delete(
        self, example: Example, slot: AttachmentTarget, result: Document | None, *, stop: bool = True
    ) -> list[Call]:
        """DEL of each plugin in reverse, until one fails; without ``stop`` of every one."""
        known = result if spec.has_check(version_of(example)) else None
        calls: list[Call] = []
        for conf in reversed(example.plugins):
            calls.append(self._call("DEL", example, slot, conf, known))
            if stop and judge.failed(calls[-1]):
                break
        return calls

    def gc(self, example: Example, valid: Sequence[tuple[str, str]]) -> list[Call]:
        """GC of each plugin, with the attachments that are to stay."""
        listed = [{"containerID": container, "ifname": ifname} for container, ifname in valid]
        return [
            self._bench.raw(
                "GC",
                plugin=str(conf["type"]),
                stdin={**self.request(example, conf, None), "cni.dev/valid-attachments": listed},
            )
            for conf in example.plugins
        ]

    def status(self, example: Example) -> list[Call]:
        """STATUS of each plugin."""
        return [
            self._bench.raw("STATUS", plugin=str(conf["type"]), stdin=self.request(example, conf, None))
            for conf in example.plugins
        ]

    def _call(
        self, verb: str, example: Example, slot: AttachmentTarget, conf: Document, previous: Document | None
    ) -> Call:
        return self._bench.raw(verb, slot, plugin=str(conf["type"]), stdin=self.request(example, conf, previous, slot))

    def request(
        self, example: Example, conf: Document, previous: Document | None, slot: AttachmentTarget | None = None
    ) -> dict[str, Any]:
        """What a plugin gets on stdin: name and version as they are in the network, wrong or not there at all."""
        names = {"container": slot.sandbox.name, "ifname": slot.ifname} if slot else {}
        own = request.substituted(conf, **names)
        given = request.substituted(example.capabilities, **names)
        version = example.network.get("cniVersion", _VERSION)
        document = request.of(own, str(example.network.get("name", "")), str(version), given, previous)
        for key in ("cniVersion", "name"):
            if key in example.network:
                document[key] = example.network[key]
            else:
                document.pop(key, None)
        return document


def crashes(calls: Sequence[Call]) -> list[Violation]:
    """Hangs, signals and stack traces."""
    return [
        Violation("crash", call.plugin, f"{call.verb} {tail(line)}", line)
        for call in calls
        for line in judge.crash(call)
    ]


def refusals(calls: Sequence[Call]) -> list[Violation]:
    """What speaks against the way in which the last of some calls was refused; an ADD without a result is none."""
    if not calls or judge.crash(calls[-1]):
        return []
    call = calls[-1]
    if not judge.failed(call):
        lacks = call.verb == "ADD" and judge.result_document(call) is None
        return [_of(call, "output", "succeeds without a result")] if lacks else []
    document = judge.error_document(call)
    if document is None:
        return [_of(call, "error", f"fails without an error document: {judge.words(call)}")]
    code = document["code"]
    if code not in spec.ERRORS and not code >= 100:
        return [_of(call, "error", f"fails with code {code}, which is not defined")]
    return []


def noise(calls: Sequence[Call]) -> list[Violation]:
    """What succeeds and prints, though it has nothing to say; and what leaves somebody behind who holds its output."""
    found = []
    for call in calls:
        if call.verb in _SILENT and not judge.failed(call) and call.stdout.strip():
            found.append(_of(call, "output", "succeeds, and prints something"))
        if call.held_open:
            found.append(_of(call, "output", "leaves a process behind that holds its output"))
    return found


def failures(rule: str, calls: Sequence[Call]) -> list[Violation]:
    """Every call that has to succeed and did not."""
    return [
        _of(call, rule, f"fails: {judge.words(call)}") for call in calls if judge.failed(call) and not judge.crash(call)
    ]


def _of(call: Call, rule: str, words: str) -> Violation:
    return Violation(rule, call.plugin, f"{call.verb} {words}", f"{call.subject}: {words}")


def accepted(call: Call, why: str) -> Violation:
    """That a call succeeded which had to be refused."""
    return _of(call, "accepted", f"accepts {why or 'what is invalid'}")


def tail(line: str) -> str:
    """A complaint without the words that say which call it is about."""
    return line.partition(": ")[2] or line
