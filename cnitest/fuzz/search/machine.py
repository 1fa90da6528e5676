"""Sequences: a rule-based state machine over a host with one or two networks and a few containers.

Its rules are those of `cnitest.fuzz.execute.operations`; each is done for real at once, and everything that holds
after one step is asked after each. What it drew is kept as a scenario, which can be done again without it.
"""

from __future__ import annotations

from contextlib import ExitStack

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from hypothesis.strategies import SearchStrategy

from cnitest.fuzz.execute.operations import OPERATIONS, TAMPERINGS
from cnitest.fuzz.execute.scenario_run import ScenarioRun
from cnitest.fuzz.model.example import Example
from cnitest.fuzz.model.scenario import Scenario, Step
from cnitest.fuzz.search.rounds import Hit, Round

_CONTAINERS = st.sampled_from(["c1", "c2"])
_IFNAMES = st.sampled_from(["", "", "eth1", "fifteen-letters"])


def machine(current: Round, networks: SearchStrategy[tuple[Example, ...]]) -> type[RuleBasedStateMachine]:
    """The class of machines for one round, over some networks."""

    class Machine(_Machine):
        """One sequence."""

        _round = current

        @initialize(drawn=networks)
        def declare(self, drawn: tuple[Example, ...]) -> None:
            """The networks of the host."""
            self._open(drawn)

    return Machine


class _Machine(RuleBasedStateMachine):
    """The rules; `machine` adds the networks."""

    _round: Round

    def __init__(self) -> None:
        super().__init__()
        self._steps: list[Step] = []
        self._networks: tuple[Example, ...] = ()
        self._stack = ExitStack()
        self._run: ScenarioRun | None = None

    def _open(self, networks: tuple[Example, ...]) -> None:
        if self._round.is_over:
            return
        self._networks = networks
        self._run = self._stack.enter_context(self._round.searcher.scenario_run(Scenario(networks, ())))

    def _step(self, operation: str, network: int, container: str = "c1", ifname: str = "") -> Step:
        """A step about one of the networks that there are; no two of them meet at an interface of a container."""
        network %= max(len(self._networks), 1)
        name = f"{ifname[:14]}{network}" if ifname and network else ifname
        return Step(operation, network, container, name)

    def _do(self, step: Step) -> None:
        """One step, and what has to hold after it."""
        if self._run is None or self._round.is_over:
            return
        self._steps.append(step)
        OPERATIONS[step.operation](self._run, step)
        self._run.unharmed()
        self._check()

    def _check(self) -> None:
        assert self._run is not None, "there is something to check only when it is open"
        scenario = Scenario(self._networks, tuple(self._steps))
        if self._round.is_shown(scenario, self._run.violations):
            raise Hit

    def _is_attached(self) -> bool:
        return self._run is not None and bool(self._run.attached)

    @rule(network=st.integers(0, 1), container=_CONTAINERS, ifname=_IFNAMES)
    def add(self, network: int, container: str, ifname: str) -> None:
        """ADD, of what may be attached already."""
        self._do(self._step("ADD", network, container, ifname))

    @precondition(_is_attached)
    @rule(data=st.data(), operation=st.sampled_from(["DEL", "CHECK", "RESTART", "LOSE", "FORGET", "MEDDLE"]))
    def change(self, data: st.DataObject, operation: str) -> None:
        """Something happens to one attachment."""
        if self._run is None:
            return
        key = data.draw(st.sampled_from(sorted(self._run.attached)))
        self._do(self._run.attached[key].step._replace(operation=operation))

    @precondition(_is_attached)
    @rule(data=st.data(), number=st.integers(0, TAMPERINGS - 1))
    def tamper(self, data: st.DataObject, number: int) -> None:
        """Somebody changes what one attachment has, which CHECK is to notice."""
        if self._run is None:
            return
        key = data.draw(st.sampled_from(sorted(self._run.attached)))
        self._do(self._run.attached[key].step._replace(operation=f"TAMPER-{number}"))

    @rule(network=st.integers(0, 1), container=_CONTAINERS, ifname=_IFNAMES)
    def check(self, network: int, container: str, ifname: str) -> None:
        """CHECK, of what may have been deleted."""
        self._do(self._step("CHECK", network, container, ifname))

    @rule(network=st.integers(0, 1), container=_CONTAINERS, ifname=_IFNAMES)
    def delete(self, network: int, container: str, ifname: str) -> None:
        """DEL, of what may not be attached."""
        self._do(self._step("DEL", network, container, ifname))

    @precondition(_is_attached)
    @rule(network=st.integers(0, 1), operation=st.sampled_from(["GC", "STATUS", "FORWARD-DROP", "REBOOT", "UPGRADE"]))
    def happen(self, network: int, operation: str) -> None:
        """Something happens to the host, or to a whole network."""
        self._do(self._step(operation, network))

    @rule(network=st.integers(0, 1))
    def add_together(self, network: int) -> None:
        """Three containers at the same time."""
        self._do(self._step("ADD-TOGETHER", network))

    def teardown(self) -> None:
        """DEL of all that is left, and the host as it was."""
        scenario_run, self._run = self._run, None
        if scenario_run is None:
            return
        with self._stack:
            before = len(scenario_run.violations)
            self._round.searcher.finished(scenario_run)
            scenario = Scenario(self._networks, tuple(self._steps))
            shown = (
                self._steps
                and len(scenario_run.violations) > before
                and self._round.is_shown(scenario, scenario_run.violations)
            )
        if shown:
            raise Hit
