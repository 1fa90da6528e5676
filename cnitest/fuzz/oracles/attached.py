"""An attachment while a scenario lasts, and what speaks against the answers of calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cnitest.cni import result as results
from cnitest.cni import spec
from cnitest.cni.calls.invoke import Call
from cnitest.cni.spec import Document
from cnitest.conformance.bench.allowances import RULES
from cnitest.conformance.bench.bench import AttachmentTarget, Picture
from cnitest.conformance.bench.leftovers import Leftover
from cnitest.conformance.model import form, protocol
from cnitest.conformance.model.requirement import Kind
from cnitest.conformance.model.subject import Subject
from cnitest.conformance.observe.traffic import TrafficProbe
from cnitest.fuzz.model.example import Example, version_of
from cnitest.fuzz.model.scenario import Step
from cnitest.fuzz.model.violation import Violation
from cnitest.kernel.rows.records import Link
from cnitest.lab.snapshot.firewall_line import FirewallLine
from cnitest.plugins import files
from cnitest.plugins.knowledge import Plugin

# Commands that have no result (SPEC section 4).
_SILENT = ("DEL", "CHECK", "GC", "STATUS")


@dataclass
class Attached:
    """One container's interface in one network, from its first ADD on.

    ``before`` is the picture before ADD, ``own`` the differences that ADD brought, ``result`` what the last plugin
    answered (None when the runtime has lost it), ``lost`` whether the container is gone, ``broken`` whether somebody
    has meddled with it, ``reached`` what it reached of its host and ``beyond`` what only through it, ``is_ipam``
    whether its one plugin only gives addresses, ``knowledge`` the file that was handed in for the plugin under test,
    ``untrue`` the causes of what was found not to be as its result says, ``added`` the calls of its ADD where it was
    the only one then.
    """

    step: Step
    example: Example
    target: AttachmentTarget
    before: Picture
    own: frozenset[Leftover] = frozenset()
    result: Document | None = None
    lost: bool = False
    broken: bool = False
    reached: tuple[TrafficProbe, ...] = ()
    beyond: tuple[TrafficProbe, ...] = ()
    is_ipam: bool = False
    knowledge: str = ""
    untrue: frozenset[str] = frozenset()
    added: tuple[Call, ...] = ()

    @property
    def first(self) -> str:
        """The plugin that its network's list begins with."""
        return str(self.example.plugins[0].get("type", ""))

    @property
    def version(self) -> str:
        """The version of its network."""
        return version_of(self.example)

    @property
    def link(self) -> Link | None:
        """The interface in the container."""
        return next((link for link in self.target.sandbox.links if link.name == self.target.ifname), None)

    @property
    def addresses(self) -> tuple[results.Ip, ...]:
        """The addresses of the result."""
        return form.ips(self.result or {}, self.version)

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """What is known of the plugins of its network, in order."""
        return tuple(files.known(str(conf.get("type")), self.knowledge) for conf in self.example.plugins)


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


def owned(one: Attached) -> list[Leftover]:
    """The files and rules that came with an attachment, in the order of their words."""
    found = (left for left in one.own if left.difference.appeared and left.difference.table in ("files", *RULES))
    return sorted(found, key=str)


def new_rules(one: Attached) -> Iterator[tuple[str, FirewallLine]]:
    """The rules and chains of packet filters that came with an attachment, each with its backend."""
    for left in owned(one):
        if left.difference.table in RULES:
            yield left.difference.table, left.difference.after


def crashes(calls: Sequence[Call]) -> list[Violation]:
    """Hangs, signals and stack traces."""
    return [
        Violation("crash", call.plugin, f"{call.command} {tail(call, line)}", line)
        for call in calls
        for line in protocol.crash(call)
    ]


def rejections(calls: Sequence[Call]) -> list[Violation]:
    """What speaks against the way in which the last of some calls was rejected; an ADD without a result is none."""
    if not calls or protocol.crash(calls[-1]):
        return []
    call = calls[-1]
    if not protocol.failed(call):
        lacks = call.command == "ADD" and protocol.result_document(call) is None
        return [_of(call, "output", "succeeds without a result")] if lacks else []
    document = protocol.error_document(call)
    if document is None:
        return [_of(call, "error", f"fails {protocol.wordless(call)}")]
    code = document["code"]
    if code not in spec.ERRORS and not code >= 100:
        return [_of(call, "error", f"fails with code {code}, which is not defined")]
    return []


def noise(calls: Sequence[Call]) -> list[Violation]:
    """What succeeds and prints, though it has nothing to say; and what leaves somebody behind who holds its output."""
    found = []
    for call in calls:
        if call.command in _SILENT and not protocol.failed(call) and call.stdout.strip():
            found.append(_of(call, "output", "succeeds, and prints something"))
        if call.held_open:
            found.append(_of(call, "output", "leaves a process behind that holds its output"))
    return found


def failures(rule: str, calls: Sequence[Call]) -> list[Violation]:
    """Every call that has to succeed and did not, but for a program that this machine lacks."""
    return [
        _of(call, rule, f"fails: {protocol.words(call)}")
        for call in calls
        if protocol.failed(call) and not protocol.crash(call) and not protocol.lacking_programs(protocol.words(call))
    ]


def _of(call: Call, rule: str, words: str) -> Violation:
    return Violation(rule, call.plugin, f"{call.command} {words}", protocol.complaint(call, words))


def accepted(call: Call, why: str) -> Violation:
    """That a call succeeded which had to be rejected."""
    return _of(call, "accepted", f"accepts {why or 'what is invalid'}")


def tail(call: Call, detail: str) -> str:
    """A complaint about a call without the words that say which it is."""
    return detail.removeprefix(f"{call.subject}: ")
