"""Addresses of both ends of a question for a MAC: the asked has the asker's, or the asker that of its next hop."""

from __future__ import annotations

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.causes.routing.commands import delete_address
from cnitest.explain.evidence.ip import declared
from cnitest.explain.evidence.leg import ahead, arrived, travelled
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.explain.evidence.rows import is_loopback
from cnitest.lab.place import Place


@cause("l2.asker-address", Stage.ROUTING, order=-1)
def asker_address(loss: Loss) -> Found | None:
    """Who is asked for a MAC has the address of who asks, too, and answers no question of its own."""
    leg, asker = loss.once(travelled), loss.packet.source
    if leg is None or not loss.is_question or loss.returning or not arrived(loss):
        return None
    if is_loopback(asker) or not loss.owns(asker):
        return None
    here, there = loss.place.full_name, leg.sender.full_name
    return _found(
        loss, asker, (loss.place, leg.sender), f"{here} has {asker}, too, and answers nobody who asks from it"
    )._replace(evidence=(f"{there} asks who has {leg.next_hop} from {asker}",))


@cause("l2.own-next-hop", Stage.NEIGHBOUR, order=-4)
def own_next_hop(loss: Loss) -> Found | None:
    """The place has the address of its next hop itself, so it takes nobody's answer for it."""
    leg = loss.once(ahead)
    if leg is None or not leg.owners or not loss.owns(leg.next_hop, leg.sender):
        return None
    other = loss.wiring.places[leg.owners[0].place]
    here = leg.sender.full_name
    return _found(
        loss,
        leg.next_hop,
        (leg.sender, other),
        f"{here} has {leg.next_hop} itself, by which it sends {loss.destination}",
    )


def _found(loss: Loss, address: str, both: tuple[Place, Place], words: str) -> Found:
    """The copy that the topology does not have goes, else that of the first place."""
    stray = next((place for place in both if not declared.is_own(place, address)), both[0])
    return Found(
        "duplicate address",
        words,
        "neighbour",
        (f"{both[0].full_name} and {both[1].full_name} both have {address}",),
        delete_address(loss, address, stray),
        stray.full_name,
    )
