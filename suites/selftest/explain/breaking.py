"""One way to break a working topology, and what the explanation has to say of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from cnitest import Lab, Reach, load
from cnitest.lab.place import Place
from cnitest.topology import find
from cnitest.topology.load import loads
from cnitest.topology.model import Topology

WARM = pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
"""Whether the probe got through before, so that neighbours and forwarding tables are filled."""

PROBES: dict[str, Callable[[Place, str], Reach]] = {
    "ping": Place.ping,
    "tcp": lambda place, to: place.tcp(to, 4711),
    "udp": lambda place, to: place.udp(to, 4711),
}
"""One probe of each kind, to an address."""


@dataclass(frozen=True)
class Broken:
    """``commands`` are a shell's, by the place that they run at. ``remedy`` is the cause's, whole; ``place`` and
    ``dropped_by`` are its, too. ``afterwards`` runs after the remedy, for what only time would fix. ``needs`` is a
    sysctl of the place that a kernel may lack."""

    cause: str
    dropped_by: str
    place: str
    remedy: str
    commands: dict[str, str]
    sender: str = "node/ns01"
    to: str = "10.40.80.12"
    topology: str = "bridge-walkthrough"
    afterwards: dict[str, str] = field(default_factory=dict)
    probe: Callable[[Place, str], Reach] = Place.ping
    setup: dict[str, str] = field(default_factory=dict)
    needs: str = ""

    def __str__(self) -> str:
        return f"{self.cause}-{self.to}"

    def send(self, lab: Lab) -> Reach:
        """The probe that is lost."""
        return self.probe(lab.place(self.sender), self.to)


def _topology(given: str) -> Topology:
    """A topology by name, or as text."""
    return loads(given) if "\n" in given else load(find(given))


def run(lab: Lab, commands: dict[str, str]) -> None:
    """Run a shell's commands, each at its place."""
    for place, command in commands.items():
        lab.place(place).run(["sh", "-ec", command])


def demand(broken: Broken, *, warm: bool) -> None:
    """Break it; the explanation names the cause, and its remedy lets the probe pass."""
    with Lab(_topology(broken.topology)) as lab:
        if broken.needs and lab.place(broken.place).sysctl(broken.needs) is None:
            pytest.skip(f"this kernel has no {broken.needs}")
        run(lab, broken.setup)
        if warm:
            assert broken.send(lab)
        run(lab, broken.commands)

        reach = broken.send(lab)

        assert reach.verdict.value != "delivered"
        assert reach.cause is not None, str(reach.explanation)
        assert (reach.cause.id, reach.cause.place) == (broken.cause, broken.place), str(reach.explanation)
        assert (reach.dropped_by, reach.cause.remedy) == (broken.dropped_by, broken.remedy)
        assert reach.cause.hook
        if "…" not in broken.remedy and broken.remedy:
            run(lab, {broken.place: broken.remedy})
            run(lab, broken.afterwards)
            assert broken.send(lab), str(broken.send(lab).explanation)
