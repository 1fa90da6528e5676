"""One trial of fault injection: ADD or DEL is hit at one call, then what a runtime does next has to work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from cnitest.cni.conf import Network
from cnitest.conformance.model.subject import Setting
from cnitest.errors import CnitestError
from cnitest.faults.stage import TrialHost, open_stage
from cnitest.injection.aim import Aim, Point

#: The ways to hit a call: the plugin's whole process tree is killed before it, or the call fails.
WAYS = ("kill", "fail")
#: The commands that can be hit, in the order of an attachment's life.
COMMANDS = ("ADD", "DEL")


class Consequence(NamedTuple):
    """What does not hold after a hit: ``leak``, or which later call fails or hangs, and the words of it."""

    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


@dataclass(frozen=True)
class TrialOutcome:
    """What came of hitting one point in one way. ``hit`` is the number that its call had this time, 0 when it never
    came; ``ended`` says how the command that was hit failed, nothing when it succeeded all the same."""

    point: Point
    way: str
    hit: int
    ended: str
    faults: tuple[Consequence, ...]


@dataclass(frozen=True)
class SweptNetwork:
    """What is swept: a network, where its plugins are, after how many seconds one hangs, what they are called with
    besides, and what their attachments leave when nothing is hit, which is not held against a hit."""

    network: Network
    path: tuple[str, ...]
    timeout: float
    setting: Setting = field(default_factory=Setting)
    usual: frozenset[str] = frozenset()


@dataclass(frozen=True)
class UndisturbedRun:
    """ADD and DEL as they go when nothing is hit: their calls, and what is left."""

    points: tuple[Point, ...]
    leftovers: frozenset[str]


def baseline(subject: SweptNetwork) -> UndisturbedRun:
    """Watch an attachment come and go. Raises CnitestError when that fails already without a hit, FeatureMissing."""
    aims = {command: Aim() for command in COMMANDS}
    with open_stage(subject.network, subject.path, subject.timeout, subject.setting) as stage:
        for command, act in (("ADD", stage.add), ("DEL", stage.delete)):
            violation = act(aim=aims[command])
            if violation:
                causes = [f"  {'or' if at else 'likely'}: {each}" for at, each in enumerate(stage.likely())]
                said = f"{subject.network.name}: {command} fails when nothing is hit: {violation}"
                raise CnitestError("\n".join([said, *causes]))
        found = frozenset(stage.leftovers())
    points = (point for command, aim in aims.items() for point in aim.points(command))
    return UndisturbedRun(tuple(points), found)


def attempt(subject: SweptNetwork, point: Point, way: str) -> TrialOutcome:
    """Hit one call on a fresh host, then hold the runtime's next calls and the state to what must be."""
    with open_stage(subject.network, subject.path, subject.timeout, subject.setting) as stage:
        return _Attempt(subject, stage, point, way).make()


class _Attempt:
    """The steps of one trial, and what was found wrong so far."""

    def __init__(self, subject: SweptNetwork, stage: TrialHost, point: Point, way: str) -> None:
        self._subject, self._stage, self._point, self._way = subject, stage, point, way
        self._aim = Aim(point, way)
        self._faults: list[Consequence] = []
        self._leftovers: set[str] = set()

    def make(self) -> TrialOutcome:
        """Make the call fail, then validate; nothing is said of a call that never came."""
        ended = self._before() or self._hit()
        if self._aim.hit:
            if self._point.command == "DEL" and not ended:
                self._look("leak though DEL succeeds")
            self._do("DEL", self._stage.delete)
            self._look("leak")
            self._go_on()
        return TrialOutcome(self._point, self._way, self._aim.hit, ended, tuple(self._faults))

    def _before(self) -> str:
        """What the command that is hit builds on; why that failed, which leaves the point undecided."""
        return self._stage.add() if self._point.command == "DEL" else ""

    def _hit(self) -> str:
        stage, command = self._stage, self._point.command
        ended = (stage.add if command == "ADD" else stage.delete)(aim=self._aim)
        if stage.hangs():
            self._faults.append(Consequence(f"{command} hangs", ended))
        return ended

    def _go_on(self) -> None:
        """The same container and another one come and go."""
        stage = self._stage
        works = self._do("next ADD", stage.add, undo=stage.delete)
        if self._do("ADD of another", lambda: stage.add("c2"), undo=lambda: stage.delete("c2")):
            self._do("DEL of another", lambda: stage.delete("c2"))
        if works:
            self._do("next DEL", stage.delete)
        self._look("leak after the next DEL")

    def _do(self, what: str, act: Callable[[], str], undo: Callable[[], object] = lambda: None) -> bool:
        """Whether something works, at the latest the second time; a runtime tries again, after DEL when ADD failed."""
        violation = act()
        if not violation:
            return True
        hangs = self._stage.hangs()
        undo()
        works = not act()
        if not works:
            undo()
        self._faults.append(Consequence(f"{what} {'hangs' if hangs else 'fails'}{' once' if works else ''}", violation))
        return works

    def _look(self, kind: str) -> None:
        """Note what is left now and was not known to be."""
        found = set(self._stage.leftovers()) - self._subject.usual - self._leftovers
        self._faults += [Consequence(kind, line) for line in sorted(found)]
        self._leftovers |= found
