"""Where scenarios run, one after the other: what is proved clean is used again.

Building a host is quick, but the kernel takes 20-25 ms to destroy a bridge, and nothing makes that parallel. So there
is a ladder of isolation: a host for each scenario, a host for many with new containers for each, or even the same
container where nothing but files is changed. Whatever differs afterwards, if only a little, means a new host.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from cnitest.conformance.bench.bench import Bench, Picture, open_bench
from cnitest.conformance.bench.record import Record
from cnitest.conformance.model.subject import Trial
from cnitest.errors import KernelError
from cnitest.fuzz.execute import requirements
from cnitest.fuzz.execute.scenario_run import World, run
from cnitest.fuzz.model.scenario import Scenario
from cnitest.fuzz.model.violation import Trouble
from cnitest.kernel.rtnetlink import rtnl

_NO_MAC, _USUAL_MTU = "00:00:00:00:00:00", 1500


class Isolation(enum.Enum):
    """How much is new for each scenario: everything, its containers, or nothing but its configuration."""

    EXAMPLE = "example"
    CONTAINER = "container"
    CONFIG = "config"


class Arena:
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
        self._standing: frozenset[str] = frozenset()
        self._running: tuple[int, ...] = ()

    def __enter__(self) -> Arena:
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

    def run(self, scenario: Scenario) -> list[Trouble]:
        """What does not hold in a scenario, on a host that may have been used."""
        if scenario.held:
            self.runs += 1
            return requirements.tried(self.trial, scenario)
        with self.world(scenario) as world:
            self._clean = run(world, scenario)
            return world.troubles

    def alone(self, scenario: Scenario) -> list[Trouble]:
        """What does not hold in a scenario on a host of its own."""
        return alone(self.trial, scenario, self.next_path)

    def finished(self, world: World) -> None:
        """End a world whose steps were done one by one."""
        self.finish(world.finish())

    def finish(self, state: Picture) -> None:
        """Take note of how a host is after a scenario."""
        self._clean = state

    @contextmanager
    def world(self, scenario: Scenario) -> Iterator[World]:
        """A world for a scenario; what it leaves decides whether the host is used again."""
        bench, rung = self._ready(), self.rung(scenario)
        keep = rung is Isolation.CONFIG
        serial = 0 if keep else self._age
        world = World(
            bench,
            scenario.networks,
            serial=serial,
            start=self._clean,
            standing=self._standing,
            running=self._running,
            keep=keep,
        )
        world.next_path = self.next_path
        world.tidy = partial(self._tidy, bench)
        self.runs += 1
        self._age += 1
        try:
            yield world
        except BaseException:
            self.close()
            raise
        if world.troubles or world.spent or rung is Isolation.EXAMPLE:
            self.close()

    def rung(self, scenario: Scenario) -> Isolation:
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
            self._standing = frozenset(link.name for link in self._bench.node.links)
        self._bench.record = Record()
        return self._bench

    def _tidy(self, bench: Bench) -> None:
        """Take the addresses off bridges that plugins leave; one that is changed for good goes."""
        links = [link for link in bench.node.links if link.kind == "bridge" and link.name not in self._standing]
        spoilt = [one for one in links if one.mac == _NO_MAC or one.mtu != _USUAL_MTU or one.promiscuity]
        index = {link.name: link.ifindex for link in links if link not in spoilt}
        messages = [
            rtnl.delete_address(index[address.link], address.address, address.link)
            for address in bench.node.addresses
            if address.link in index and address.scope == "global"
        ]
        messages += [rtnl.delete_link(link.ifindex, link.name) for link in spoilt]
        if messages:
            with contextlib.suppress(KernelError):  # whatever is left then will show as a difference
                bench.node.namespace.netlink.batch(messages)


def alone(trial: Trial, scenario: Scenario, next_path: tuple[str, ...] = ()) -> list[Trouble]:
    """What does not hold in a scenario on a host of its own."""
    with Arena(trial, isolation=Isolation.EXAMPLE, next_path=next_path) as arena:
        return arena.run(scenario)
