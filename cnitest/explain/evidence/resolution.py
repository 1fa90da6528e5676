"""The question for a next hop's MAC, ARP or neighbour solicitation, asked again where the kernel gets no answer."""

from __future__ import annotations

from cnitest.explain.evidence.ip.kernel_routes import IN_VAIN
from cnitest.explain.evidence.leg import Leg, ahead
from cnitest.explain.evidence.loss import Loss
from cnitest.kernel.rows.records import Neighbour
from cnitest.lab.probe.base import Probe
from cnitest.lab.probe.verdict.neighbour import NeighbourProbe, as_before, asked_by_kernel, question


def unresolved(leg: Leg) -> Neighbour | None:
    """The entry of the next hop, where the kernel asks for its MAC and gets no answer."""
    return next(
        (
            row
            for row in leg.sender.neighbours
            if (row.ip, row.link) == (leg.next_hop, leg.start.link) and row.state in IN_VAIN
        ),
        None,
    )


def asked_anew(loss: Loss, leg: Leg) -> Loss | None:
    """The same question, asked by us, with all evidence gathered; whom it is about believes afterwards what it did. It
    comes from the address that the kernel asks from, where it was seen to ask."""
    if loss.again is None:
        return None
    sender, link, address = leg.sender, leg.start.link, leg.next_hop
    by_kernel = asked_by_kernel(sender, question(sender.link(link), sender.addresses, address))
    with as_before(sender, link, address):
        return loss.again(NeighbourProbe(sender, address, link, by_kernel[-1].data if by_kernel else b""))


def asked(loss: Loss) -> Loss | None:
    """That question as a lost packet; None where nothing was asked, or an answer comes by now, and of the question
    itself, which waits for no MAC."""
    leg = loss.once(ahead)
    if leg is None or unresolved(leg) is None or _is_question(loss.probe, leg):
        return None
    found = asked_anew(loss, leg)
    return None if found is None or found.attempt.answered else found


def _is_question(probe: Probe, leg: Leg) -> bool:
    """Whether a probe asks for the MAC of a leg's next hop."""
    if not isinstance(probe, NeighbourProbe):
        return False
    return (probe.sender, probe.destination, probe.link) == (leg.sender, leg.next_hop, leg.start.link)
