"""Known sequences of operations: what goes wrong most, tried first, before any is drawn."""

from __future__ import annotations

from collections.abc import Iterator

from cnitest.fuzz.execute.operations import TAMPERINGS
from cnitest.fuzz.model.example import Example
from cnitest.fuzz.model.scenario import Scenario, Step

_ADD, _DEL, _CHECK = Step("ADD"), Step("DEL"), Step("CHECK")
_ADD2, _DEL2, _CHECK2 = (step._replace(container="c2") for step in (_ADD, _DEL, _CHECK))
_ADD_OTHER, _DEL_OTHER, _CHECK_OTHER = (step._replace(ifname="eth1") for step in (_ADD, _DEL, _CHECK))
_LOSE, _GC, _STATUS = Step("LOSE"), Step("GC"), Step("STATUS")

_ALONE: tuple[tuple[Step, ...], ...] = (
    (_ADD, _ADD, _CHECK, _DEL),
    (_ADD, _ADD2, _DEL, _CHECK2, _DEL, _CHECK2, _DEL2),
    (_ADD, _ADD_OTHER, _CHECK, _CHECK_OTHER, _DEL_OTHER, _CHECK, _DEL),
    (_ADD, _ADD_OTHER, _DEL, _CHECK_OTHER),
    (_ADD, _DEL, _CHECK, _ADD, _CHECK),
    (_ADD, _DEL, _ADD_OTHER, _CHECK_OTHER, _DEL_OTHER),
    (_ADD, _STATUS, _ADD2, _STATUS),
    (_ADD, _ADD2, _GC, _CHECK, _CHECK2),
    (_ADD, _ADD_OTHER, _GC, _CHECK, _CHECK_OTHER),
    (_ADD, _ADD2, _LOSE, _GC, _CHECK2, _DEL),
    (_ADD, _LOSE, _DEL, _ADD, _CHECK),
    (_ADD, _ADD2, _LOSE, _DEL, _CHECK2),
    (_ADD, _ADD2, Step("RESTART"), _CHECK, _CHECK2),
    (_ADD, Step("FORGET"), _DEL, _ADD, _CHECK),
    (_ADD, Step("MEDDLE"), _DEL, _ADD, _CHECK),
    (_ADD, Step("FORWARD-DROP"), _ADD2, _CHECK),
    (_ADD, Step("REBOOT"), _ADD, _CHECK),
    (Step("ADD-TOGETHER"), _ADD, _CHECK),
    *((_ADD, Step(f"TAMPER-{number}"), _DEL) for number in range(TAMPERINGS)),
)


def of_one(network: Example) -> Iterator[Scenario]:
    """Sequences over one network."""
    return (Scenario((network,), steps) for steps in _ALONE)


def of_two(networks: tuple[Example, Example]) -> Iterator[Scenario]:
    """Sequences of one container in two networks."""
    other, gone, asked = (step._replace(network=1) for step in (_ADD, _DEL, _CHECK))
    for steps in ((_ADD, other, _CHECK, asked, gone, _CHECK), (_ADD, other, _DEL, asked), (other, _ADD, _DEL, asked)):
        yield Scenario(networks, steps)
