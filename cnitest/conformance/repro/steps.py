"""The commands that take the recorded steps again, in order."""

from __future__ import annotations

import base64
import gzip
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import NamedTuple

from cnitest.cni.calls.invoke import Call
from cnitest.conformance.bench.steps import (
    Ask,
    CommandRun,
    DaemonEnd,
    DaemonStart,
    Fake,
    FileWritten,
    Forget,
    Look,
    ProbeSent,
    Release,
    SearchPath,
    Step,
)
from cnitest.conformance.repro import fake
from cnitest.conformance.repro.quote import document, joined, quoted
from cnitest.conformance.repro.topology import PlaceNames
from cnitest.lab.place import ENVIRONMENT

#: Where the script keeps what a test had written to a directory of its own.
FILES = "/run/repro-files"
_LONG = 4096
_DRAWN = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}|veth[0-9a-f]{8}")


class AtOnce(NamedTuple):
    """A packet that is sent the moment a call, by its number, has ended, and how many seconds its answer may take."""

    call: int
    place: str
    target: str
    seconds: float


def number_of(call: Call, calls: Sequence[Call]) -> int:
    """What a call is called in the script."""
    return next(number for number, other in enumerate(calls, 1) if other is call)


class Moved:
    """Text with a test's own directory replaced by that of the script."""

    def __init__(self, steps: Sequence[Step]) -> None:
        found = {directory for step in steps for directory in _directories(step)}
        self._old = os.path.commonpath(found) if found else ""

    def __call__(self, text: str) -> str:
        """The text as the script needs it."""
        return text.replace(self._old, FILES) if len(self._old) > 1 else text


def _directories(step: Step) -> Iterator[str]:
    if isinstance(step, SearchPath):
        yield from step.directories
    elif isinstance(step, Fake):
        yield step.directory
    elif isinstance(step, FileWritten):
        yield str(PurePath(step.path).parent)


class Steps:
    """The commands for a record: ``looks`` are the names of the pictures that count; others are not taken again.
    ``packets`` are sent after calls."""

    def __init__(
        self,
        steps: Sequence[Step],
        needed: Sequence[Call],
        path: Sequence[str],
        machines: PlaceNames,
        looks: set[str],
        packets: Sequence[AtOnce] = (),
    ) -> None:
        self._steps = steps
        self._calls = [step.call for step in steps if isinstance(step, Ask)]
        self._needed = needed
        self._first = self._path = ":".join(path)
        self._machines = machines
        self._looks = looks
        self._packets = packets
        self.moved = Moved(steps)

    def commands(self) -> Iterator[str]:
        """All of them."""
        batch = 0
        for position, step in enumerate(self._steps):
            number = step.batch if isinstance(step, Ask) else 0
            if batch and number != batch:
                yield "wait"
            batch = number
            yield from self._of(step, position)
        if batch:
            yield "wait"

    def _of(self, step: Step, position: int) -> Iterator[str]:
        match step:
            case Ask():
                yield from self._ask(step)
            case Look() if step.name in self._looks:
                yield from self._look(step, position)
            case CommandRun() | ProbeSent() | DaemonStart() | DaemonEnd():
                yield self._on_the_host(step)
            case FileWritten() | SearchPath() | Release() | Fake() | Forget():
                yield from self._programs(step)

    def _on_the_host(self, step: CommandRun | ProbeSent | DaemonStart | DaemonEnd) -> str:
        match step:
            case CommandRun():
                place = "-" if step.place == "node" else step.place
                return f"{'run' if step.works else 'try'} {place} {self._quoted(step.argv)}"
            case ProbeSent():
                return f"probe {self._machines.name(step.place)} {quoted(step.target)}"
            case DaemonStart():
                program, *words = step.argv
                return f"daemon {quoted(step.socket)} {self._program(program)} {joined(words)}"
            case DaemonEnd():
                return "kill -KILL $daemon; wait $daemon 2>/dev/null"

    def _programs(self, step: FileWritten | SearchPath | Release | Fake | Forget) -> Iterator[str]:
        match step:
            case FileWritten():
                yield f"cat >{self._quoted((step.path,))} {document(self.moved(step.text))}"
                yield f"chmod +x {self._quoted((step.path,))}"
            case SearchPath():
                yield f"mkdir -p {self._quoted(step.directories)}"
            case Release():
                self._path = ":".join([*step.directories, self._first])
                yield f"release {quoted(':'.join(step.directories))}"
            case Fake():
                place = self._quoted((step.directory, step.name))
                yield f"fake {place} {document(self.moved(fake.program(step.replies)))}"
            case Forget():
                yield f"forget {self._quoted((step.directory, step.name))}"

    def _quoted(self, words: Sequence[str]) -> str:
        return self.moved(joined(words))

    def _program(self, path: str) -> str:
        """A program by its path: one of the search path is looked for there."""
        if str(PurePath(path).parent) in self._path.split(":"):
            return f'"$(binary {quoted(PurePath(path).name)})"'
        return self.moved(quoted(path))

    def _look(self, look: Look, position: int) -> Iterator[str]:
        """A look; where the record has several in a row, the kernel was given time."""
        waited = 0.0
        for earlier in reversed(self._steps[:position]):
            if not isinstance(earlier, Look) or earlier.containers != look.containers:
                break
            waited = look.moment - earlier.moment
        if waited > 0.01:
            yield f"sleep {waited:.2f}"
        yield joined(["look", look.name, *look.containers])

    def _ask(self, ask: Ask) -> Iterator[str]:
        call, number = ask.call, number_of(ask.call, self._calls)
        yield from self._stdin(call, number)
        for packet in self._packets:
            if packet.call == number:
                yield f"at_once {joined((packet.place, packet.target, f'{packet.seconds:g}'))}"
        before = [self._quoted((word,)) for word in call.argv[:-1]]
        limit = f"limit={ask.limit:.4f} " if ask.limit is not None else ""
        limit += f"change={ask.change} " if ask.change else ""
        words = [f"{limit}call {number} {quoted(call.plugin)}", *self._environment(call), "--", *before]
        yield " ".join(words) + (" &" if ask.batch else "")
        if ask.batch:
            return
        tokens = list(dict.fromkeys(_DRAWN.findall(call.stdout[:20000].decode(errors="replace"))))
        if tokens and call.exit_code == 0:
            yield f"drawn {number} {' '.join(tokens)}"
        if any(call is other for other in self._needed):
            yield f"needed {number}"

    def _stdin(self, call: Call, number: int) -> Iterator[str]:
        text = self.moved(call.stdin)
        data = text.encode("utf-8", "surrogateescape")
        if len(data) <= _LONG and _is_text(text):
            yield f"sends {number} {quoted(text)}"
        else:
            lines = base64.b64encode(gzip.compress(data, mtime=0)).decode()
            folded = "\n".join(lines[start : start + 120] for start in range(0, len(lines), 120))
            yield f"sends_packed {number} <<'END'\n{folded}\nEND"

    def _environment(self, call: Call) -> Iterator[str]:
        variables = dict(call.environment)
        if ENVIRONMENT.items() <= variables.items():
            variables = {key: value for key, value in variables.items() if ENVIRONMENT.get(key) != value}
            yield '"${usual[@]}"'
        for key, value in variables.items():
            if key == "CNI_PATH" and value.endswith(self._path):
                first = value.removesuffix(self._path)
                yield f'CNI_PATH={self._quoted((first,)) if first else ""}"$path"'
            else:
                yield self._quoted((f"{key}={value}",))


def _is_text(text: str) -> bool:
    return all(character.isprintable() or character in "\n\t" for character in text)
