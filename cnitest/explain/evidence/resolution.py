"""The question for a next hop's MAC, ARP or neighbour solicitation, asked again where the kernel asks it in vain."""

from __future__ import annotations

from cnitest.explain.evidence.case import Case
from cnitest.explain.evidence.leg import Leg, ahead
from cnitest.kernel.rows.records import Neighbour
from cnitest.lab.probe.verdict.neighbour import NeighbourProbe

_IN_VAIN = ("incomplete", "failed")


def unresolved(leg: Leg) -> Neighbour | None:
    """The entry of the next hop, where the kernel asks for its MAC and gets no answer."""
    return next(
        (
            row
            for row in leg.sender.neighbours
            if (row.ip, row.link) == (leg.next_hop, leg.start.link) and row.state in _IN_VAIN
        ),
        None,
    )


def asked(case: Case) -> Case | None:
    """The case of that question; None where nothing was asked, or an answer comes by now."""
    leg = case.once(ahead)
    if leg is None or case.again is None or unresolved(leg) is None:
        return None
    found = case.again(NeighbourProbe(leg.sender, leg.next_hop, leg.start.link))
    return None if found.attempt.answered else found
