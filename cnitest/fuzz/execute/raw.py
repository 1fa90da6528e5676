"""One call of a plugin that no runtime would make, and what has to hold whatever comes of it."""

from __future__ import annotations

import json
from collections.abc import Callable

from cnitest.cni.calls.invoke import Call
from cnitest.conformance.bench.bench import AttachmentTarget, Bench, Picture
from cnitest.conformance.bench.leftovers import Leftover, settle
from cnitest.conformance.model import protocol
from cnitest.conformance.model.finding import Detail
from cnitest.fuzz.execute.caller import BenchCaller
from cnitest.fuzz.model.example import Example
from cnitest.fuzz.model.scenario import Raw
from cnitest.fuzz.model.violation import Violation
from cnitest.fuzz.oracles.attached import accepted, crashes, failures, noise, rejections, tail
from cnitest.fuzz.oracles.demands import misanswered

#: What differs between two pictures and may not.
Differing = Callable[[Picture, Picture], list[Leftover]]


def tried(
    bench: Bench, target: AttachmentTarget, caller: BenchCaller, example: Example, raw: Raw, differing: Differing
) -> tuple[list[Violation], Picture]:
    """Make the call; a rejection has to be clean, and what succeeds has to go away with the usual DEL. ``differing``
    says what differs between two pictures and may not.

    What does not hold, and how host and container are afterwards.
    """
    before = bench.look(target)
    call = _made(bench, target, caller, example, raw)
    found = [*crashes([call]), *rejections([call])]
    found += _demanded(bench, call, raw, example.why)
    after = bench.look(target)
    changed = differing(before, after)
    if raw.command == "ADD" and (changed or not protocol.failed(call)):
        found += _undone(bench, target, call, raw)
        after = bench.look(target)

    def look() -> list[Leftover]:
        nonlocal after
        after = bench.look(target)
        return differing(before, after)

    changed = settle(look) if changed else []
    when = f"after {raw.command} by hand" + (" and DEL" if raw.command == "ADD" else "")
    words = ((left, f"{when}: {left.difference}") for left in changed)
    return [*found, *(Violation("left", call.plugin, said, Detail(left, about=left)) for left, said in words)], after


def _demanded(bench: Bench, call: Call, raw: Raw, why: str) -> list[Violation]:
    """What does not answer what the call has to be answered with."""
    if raw.valid is True:
        wrong = misanswered(call, bench.subject) if raw.command == "VERSION" and not protocol.failed(call) else []
        answered = [Violation("output", call.plugin, f"{why}: {words}") for words in wrong]
        return [*failures("refused", [call]), *noise([call]), *answered]
    if raw.valid is False and not protocol.failed(call):
        return [accepted(call, why)]
    return _rejected(bench, call, raw, why) if protocol.failed(call) and not protocol.crash(call) else []


def _rejected(bench: Bench, call: Call, raw: Raw, why: str) -> list[Violation]:
    """What is wrong with a rejection: its code, what it does not name or does not have."""
    document = protocol.error_document(call)
    if document is None:  # which is noted already
        return []
    found = [] if raw.valid is None else protocol.rejection(call, raw.codes, raw.names)
    needed = ("msg",) if bench.subject.skel else ("cniVersion", "msg")  # Go's library leaves it out
    found += [protocol.complaint(call, f"the error has no {key}") for key in needed if key not in document]
    return [
        Violation("error", call.plugin, f"{call.command} rejects {why}: {tail(call, line)}", line) for line in found
    ]


def _made(bench: Bench, target: AttachmentTarget, caller: BenchCaller, example: Example, raw: Raw) -> Call:
    conf = next((conf for conf in example.plugins if conf.get("type") == raw.plugin), example.plugins[-1])
    stdin = json.dumps(caller.request(example, conf, None, target)).encode() if raw.stdin is None else raw.stdin
    return bench.raw(raw.command, target, plugin=raw.plugin, stdin=stdin, changes=raw.variables)


def _undone(bench: Bench, target: AttachmentTarget, call: Call, raw: Raw) -> list[Violation]:
    """DEL with the same input, as whoever called ADD would do it."""
    stdin = call.stdin.encode("utf-8", "surrogateescape")
    return crashes([bench.raw("DEL", target, plugin=raw.plugin, stdin=stdin, changes=raw.variables)])
