"""Where scenarios run, one after the other: what is proved clean is used again.

Building a host is quick, but the kernel takes 20-25 ms to destroy a bridge, and nothing makes that parallel. So there
is a ladder of isolation: a host for each scenario, a host for many with new containers for each, or even the same
container where nothing but files is changed. Whatever differs afterwards, if only a little, means a new host.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import TypeVar

from cnitest.conformance.bench.bench import Bench, Picture, open_bench
from cnitest.conformance.bench.record import BenchRecord
from cnitest.conformance.model.subject import Trial
from cnitest.errors import KernelError
from cnitest.fuzz.execute import requirements
from cnitest.fuzz.execute.run import run
from cnitest.fuzz.execute.scenario_run import ScenarioRun
from cnitest.fuzz.model.scenario import Scenario
from cnitest.fuzz.model.violation import Violation
from cnitest.kernel.rtnetlink import rtnl

Run = TypeVar("Run", bound=ScenarioRun)
_NO_MAC, _USUAL_MTU = "00:00:00:00:00:00", 1500


class Isolation(enum.Enum):
    """How much is new for each scenario: everything, its containers, or nothing but its configuration."""

    EXAMPLE = "example"
    CONTAINER = "container"
    CONFIG = "config"


class ReusingExecutor:
    """Runs scenarios about one subject, each with the least that must be new. A context manager; not for threads.

    ``rebuild`` is after how many scenarios everything is made anew, ``isolation`` the least that is new each time,
    ``next_path`` directories of another release to upgrade to.
    """

    def __init__(
        self,
        trial: Trial,
        *,
        isolation: Isolation = Isolation.CONTAINER,
        rebuild: int = 50,
        next_path: tuple[str, ...] = (),
    ) -> None:
        self.trial = trial
        self.next_path = next_path
        self.runs = 0
        self.builds = 0
        self._isolation = isolation
        self._rebuild = rebuild
        self._stack = ExitStack()
        self._bench: Bench | None = None
        self._clean: Picture = {}
        self._age = 0
        self._host_links: frozenset[str] = frozenset()
        self._running: tuple[int, ...] = ()

    def __enter__(self) -> ReusingExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop the host."""
        self._bench = None
        self._stack.close()

    @property
    def is_open(self) -> bool:
        """Whether there is a host that can be used again."""
        return self._bench is not None

    def run(self, scenario: Scenario) -> list[Violation]:
        """What does not hold in a scenario, on a host that may have been used."""
        if scenario.held:
            self.runs += 1
            return requirements.tried(self.trial, scenario)
        with self.scenario_run(scenario) as scenario_run:
            self._clean = run(scenario_run, scenario)
            return scenario_run.violations

    def alone(self, scenario: Scenario) -> list[Violation]:
        """What does not hold in a scenario on a host of its own."""
        return alone(self.trial, scenario, self.next_path)

    def finish(self, state: Picture) -> None:
        """Take note of how a host is after a scenario."""
        self._clean = state

    def scenario_run(self, scenario: Scenario) -> AbstractContextManager[ScenarioRun]:
        """A scenario run for a scenario; what it leaves decides whether the host is used again."""
        return self.scenario_run_of(ScenarioRun, scenario)

    @contextmanager
    def scenario_run_of(self, kind: type[Run], scenario: Scenario) -> Iterator[Run]:
        """As `scenario_run`, of a class of its own."""
        bench, isolation = self._ready(), self.isolation_of(scenario)
        keep = isolation is Isolation.CONFIG
        serial = 0 if keep else self._age
        scenario_run = kind(
            bench,
            scenario.networks,
            serial=serial,
            start=self._clean,
            host_links=self._host_links,
            running=self._running,
            keep=keep,
        )
        scenario_run.next_path = self.next_path
        scenario_run.tidy = partial(self._tidy, bench)
        self.runs += 1
        self._age += 1
        try:
            yield scenario_run
        except BaseException:
            self.close()
            raise
        if scenario_run.violations or scenario_run.spent or isolation is Isolation.EXAMPLE:
            self.close()

    def isolation_of(self, scenario: Scenario) -> Isolation:
        """What must be new for a scenario: it depends on what it changes."""
        if self._isolation is Isolation.CONTAINER and scenario.raw:
            return Isolation.CONFIG
        return self._isolation

    def _ready(self) -> Bench:
        if self._bench is None or self._age >= self._rebuild:
            self.close()
            self._stack = ExitStack()
            self._bench = self._stack.enter_context(open_bench(self.trial))
            self._age = 0
            self.builds += 1
            self._clean = self._bench.look()
            self._running = self._bench.processes()
            self._host_links = frozenset(link.name for link in self._bench.node.links)
        self._bench.record = BenchRecord()
        return self._bench

    def _tidy(self, bench: Bench) -> None:
        """Take the addresses off bridges that plugins leave; one that is changed for good goes."""
        links = [link for link in bench.node.links if link.kind == "bridge" and link.name not in self._host_links]
        changed = [one for one in links if one.mac == _NO_MAC or one.mtu != _USUAL_MTU or one.promiscuity]
        index = {link.name: link.ifindex for link in links if link not in changed}
        messages = [
            rtnl.delete_address(index[address.link], address.address, address.link)
            for address in bench.node.addresses
            if address.link in index and address.scope == "global"
        ]
        messages += [rtnl.delete_link(link.ifindex, link.name) for link in changed]
        if messages:
            with contextlib.suppress(KernelError):  # whatever is left then will show as a difference
                bench.node.namespace.netlink.batch(messages)


def alone(trial: Trial, scenario: Scenario, next_path: tuple[str, ...] = ()) -> list[Violation]:
    """What does not hold in a scenario on a host of its own."""
    with ReusingExecutor(trial, isolation=Isolation.EXAMPLE, next_path=next_path) as executor:
        return executor.run(scenario)
