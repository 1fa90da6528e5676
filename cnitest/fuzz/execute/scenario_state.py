"""A host and its attachments while a scenario runs: who is there, what was before, and what does not hold."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from cnitest.conformance.bench.bench import AttachmentTarget, Bench, Picture
from cnitest.conformance.bench.leftovers import Leftover
from cnitest.conformance.model.finding import Detail
from cnitest.fuzz.execute.caller import BenchCaller
from cnitest.fuzz.model.example import Example
from cnitest.fuzz.model.scenario import Step
from cnitest.fuzz.model.violation import Violation
from cnitest.fuzz.oracles import leftovers
from cnitest.fuzz.oracles.attached import Attached

Key = tuple[int, str, str]


class ScenarioState:
    """What is known of a scenario's host.

    ``serial`` keeps the names of its containers apart from others', ``start`` is the host's state before,
    ``host_links`` and ``running`` are the links and processes that are part of the host, and ``keep`` leaves the
    containers for the next scenario.
    """

    def __init__(
        self,
        bench: Bench,
        networks: Sequence[Example],
        *,
        serial: int = 0,
        start: Picture | None = None,
        host_links: Collection[str] | None = None,
        running: Collection[int] | None = None,
        keep: bool = False,
    ) -> None:
        self.bench = bench
        self.networks = tuple(networks)
        self.attached: dict[Key, Attached] = {}
        self.violations: list[Violation] = []
        self.call = BenchCaller(bench)
        self.start = bench.look() if start is None else start
        self.host_links = {link.name for link in bench.node.links} if host_links is None else set(host_links)
        #: Directories of another release of the plugins, to change to in the middle.
        self.next_path: tuple[str, ...] = ()
        #: Whether the host is of no more use afterwards, for something else than plugins has changed it.
        self.spent = False
        #: Whether packets go through the host that no rule lets pass.
        self.forwards = True
        #: Called when all is deleted, before the last look.
        self.tidy: Callable[[], None] = lambda: None
        self.keeps_containers = keep
        #: Networks of which an ADD has succeeded, so that they cannot be called invalid any more.
        self.proven: set[int] = set()
        self._suffix = f"-{serial}" if serial else ""
        #: What was deleted last, by what it was about, and who was there before.
        self.gone: dict[Key, Attached] = {}
        # What a profile's commands for containers put on the host.
        self._setup_links: set[str] = set()
        self._running = set(bench.processes() if running is None else running)

    def note(self, violations: Sequence[Violation]) -> None:
        """Note what does not hold, each thing once; for a script to see it again, too."""
        for violation in violations:
            if violation not in self.violations:
                self.violations.append(violation)
                about = violation.evidence.about if isinstance(violation.evidence, Detail) else None
                self.bench.complain(Detail(violation.evidence or violation.words, violation.kernel, about))

    def key(self, step: Step) -> Key:
        """What a step is about."""
        return step.network, step.container, step.ifname or self.networks[step.network].ifname

    def target(self, step: Step) -> AttachmentTarget:
        """The container's interface that a step is about; the container is made when it is new."""
        example = self.networks[step.network]
        name = f"{step.container}{self._suffix}"
        before = self._links() if self.bench.setting.container_setup else set()
        target = self.bench.target(
            name,
            step.ifname or example.ifname,
            network=str(example.network.get("name", "")),
            conf={},
            before=(),
            args=";".join(f"{key}={value}" for key, value in example.args.items()),
            capabilities={},
            container_id=f"cnitest_.{name}",  # every character that an ID may have
        )
        self._setup_links |= self._links() - before if self.bench.setting.container_setup else set()
        return target

    def _links(self) -> set[str]:
        return {link.name for link in self.bench.node.links}

    def is_foreign(self, step: Step) -> bool:
        """Whether the interface is another network's: no runtime gives one name in a container to two networks."""
        network, *place = self.key(step)
        return any([*place] == [*key[1:]] and key[0] != network for key in self.attached)

    def live(self) -> list[Attached]:
        """The attachments whose containers are there, and that nobody has meddled with."""
        return [one for one in self.attached.values() if not one.lost and not one.broken]

    def has_others(self, one: Attached) -> bool:
        """Whether a container has more than one attachment."""
        return sum(other.target.sandbox is one.target.sandbox for other in self.attached.values()) > 1

    def not_shared(self, found: Sequence[Leftover]) -> list[Leftover]:
        """Differences without the changes of what is there all the time, which others may still need as it is."""
        return [left for left in found if not (self.attached and left.difference.changed)]

    def left_in_the_end(self, now: Picture) -> list[Leftover]:
        """What is on the host now, when all is deleted, and was not at the start."""
        found = self.differing(self.start, now)
        return leftovers.in_the_end(found, self.start, self.host_links, self._setup_links)

    def differing(self, before: Picture, after: Picture) -> list[Leftover]:
        """What plugins have changed between two looks, without what they may."""
        return leftovers.differing(self.bench, self.networks, self.host_links, before, after)
