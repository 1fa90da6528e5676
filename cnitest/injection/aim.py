"""Watches what a plugin changes call by call, and hits one of them: the plugin is killed or held before it, or it
fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from cnitest.cni.calls.invoke import HostExec
from cnitest.deadline import Deadline
from cnitest.injection.calls import ChangingCall, change
from cnitest.kernel.processes import process
from cnitest.kernel.processes.process import Finished
from cnitest.kernel.processes.seccomp import Notice
from cnitest.kernel.processes.supervised import KILL, LET, Supervised
from cnitest.lab.hosts import Host


class Point(NamedTuple):
    """A call of a command that changes something: its number in the command's order, and how to know it again: by its
    words, and how many calls of these words came before it."""

    command: str
    number: int
    process: str
    words: str
    before: int


@dataclass
class Aim:
    """Counts the calls of one command, and hits one of them when it is due: ``point``, or the one of a ``number``, in
    the order of the command. ``way`` is ``kill``, ``fail`` or ``hold``: the call waits while ``meanwhile`` runs, and is
    then made."""

    point: Point | None = None
    way: str = ""
    number: int = 0
    meanwhile: Callable[[], object] = lambda: None
    seen: list[ChangingCall] = field(default_factory=list)
    hit: int = 0
    _before: Counter[tuple[str, str]] = field(default_factory=Counter)

    def decide(self, notice: Notice, pid: int, name: str) -> int:
        """What is to become of a call."""
        found = change(notice, pid, name)
        if found is None:
            return LET
        key = (found.process, found.words)
        self.seen.append(found)
        self._before[key] += 1
        if self.hit or not (len(self.seen) == self.number or self._is_at_point(key)):
            return LET
        self.hit = len(self.seen)
        if self.way == "hold":
            self.meanwhile()
            return LET
        return KILL if self.way == "kill" else found.errno

    def _is_at_point(self, key: tuple[str, str]) -> bool:
        point = self.point
        return point is not None and key == (point.process, point.words) and self._before[key] > point.before

    def points(self, command: str) -> list[Point]:
        """The calls that were seen, as points to aim at."""
        before: Counter[tuple[str, str]] = Counter()
        found = []
        for number, call in enumerate(self.seen, 1):
            key = (call.process, call.words)
            found.append(Point(command, number, *key, before[key]))
            before[key] += 1
        return found


@dataclass(frozen=True)
class AimedExec:
    """Calls plugins on a host under an aim. Raises FeatureMissing."""

    host: Host
    aim: Aim

    def find(self, plugin: str, path: Sequence[str]) -> str:
        """As `HostExec` does."""
        return HostExec(self.host).find(plugin, path)

    def run(self, binary: str, environment: Mapping[str, str], stdin: bytes, timeout: float) -> Finished:
        """Run it inside the host, each change of it shown to the aim."""
        with Supervised(self.aim.decide) as tree:
            started = self.host.start_supervised(tree, (binary,), environment)
            return process.finish(started, stdin, Deadline.exactly(timeout, binary))
