"""The files about a failed test: what its lab knows: calls, what changed, packets, the cause, the picture."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from cnitest import text
from cnitest.cni.calls.invoke import Call
from cnitest.conformance.bench.record import BenchRecord
from cnitest.conformance.bench.steps import Look
from cnitest.events import Event
from cnitest.kernel.packet_socket import Frame
from cnitest.lab.frames import pcapng
from cnitest.lab.lab import Lab
from cnitest.lab.reach import Reach
from cnitest.lab.snapshot.difference import difference
from cnitest.lab.snapshot.state import State
from cnitest.topology import draw

#: The most bytes of one file, and of what a plugin said.
MOST = 1 << 20
_MOST_SAID = 64 << 10
#: The file that each part of a failure's report is, by the part's name.
_PARTS = {
    "why": "explanation.txt",
    "reachability": "explanation.txt",
    "topology": "topology.txt",
    "what changed": "states.txt",
}
_PREFIX = "cnitest: "


def of_lab(lab: Lab, sections: Sequence[tuple[str, str]], record: BenchRecord | None) -> dict[str, str | bytes]:
    """The content of each file, by its name: of a lab, of what its report says, of the record of its bench, if any.
    What has nothing to say is left out."""
    events = [Event(0.0, call) for call in record.calls] if record else list(lab.journal)
    found: dict[str, str | bytes] = {
        "topology.txt": f"{draw(lab.topology)}\n",
        **_parts(sections),
        "calls.jsonl": _cut("".join(_calls(events))),
        "packets.pcapng": _packets(lab.journal.of(Reach)),
    }
    if record and (changes := _changes([step for step in record.steps if isinstance(step, Look)])):
        found["states.txt"] = changes
    return {name: content for name, content in found.items() if content}


def _parts(sections: Sequence[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for headline, words in sections:
        name = _PARTS.get(headline.removeprefix(_PREFIX)) if headline.startswith(_PREFIX) else None
        if name:
            found[name] = "\n".join([*([found[name]] if name in found else []), words.rstrip(), ""])
    return found


def _calls(events: Sequence[Event]) -> Iterator[str]:
    """Each call as a line of JSON; text that is none is shown as Python escapes it."""
    for event in events:
        if isinstance(event.data, Call):
            yield json.dumps(_call(event.data, event.when), ensure_ascii=False) + "\n"


def _call(call: Call, when: float) -> dict[str, Any]:
    ended = {"ended": datetime.fromtimestamp(when, UTC).isoformat()} if when else {}
    return {
        **ended,
        "seconds": round(call.seconds, 6),
        "host": call.host,
        "plugin": call.plugin,
        "command": call.command,
        "argv": list(call.argv),
        "environment": dict(call.environment),
        "stdin": _said(call.stdin.encode(errors="backslashreplace")),
        "stdout": _said(call.stdout),
        "stderr": _said(call.stderr),
        "exit": call.exit_code,
        "timed_out": call.timed_out,
    }


def _said(stream: bytes) -> str:
    shown = stream[:_MOST_SAID].decode(errors="backslashreplace")
    return shown if len(stream) <= _MOST_SAID else f"{shown} … ({len(stream)} bytes)"


def _changes(looks: Sequence[Look]) -> str:
    """What differs between the first and the last look at each place."""
    if len(looks) < 2:
        return ""
    lines: list[str] = []
    first: Mapping[str, State] = {name: state for look in reversed(looks) for name, state in look.picture.items()}
    last: Mapping[str, State] = {name: state for look in looks for name, state in look.picture.items()}
    for name, state in last.items():
        if found := difference(first[name], state):
            lines += [f"{name}:", *(f"  {item}" for item in found)]
    return text.lines("\n".join(lines) + "\n") if lines else ""


def _packets(reaches: Sequence[Reach]) -> bytes:
    """The frames of all probes in the order of their stamps; where they are too many, those of the last ones."""
    frames: list[tuple[str, Frame]] = []
    size = 0
    for reach in reversed(reaches):
        mine = [(one.place, frame) for one in reach.seen.watched for frame in one.frames]
        size += sum(len(frame.data) + 100 for _, frame in mine)
        if size > MOST:
            break
        frames += mine
    return b"".join(pcapng.blocks(sorted(frames, key=lambda one: one[1].when))) if frames else b""


def _cut(content: str) -> str:
    """The last whole lines of a text that is too long: what failed came last."""
    if len(content) <= MOST:
        return content
    return content[-MOST:].partition("\n")[2]
