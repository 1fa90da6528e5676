"""Who has sent a packet, where it is seen more than once at a place."""

from __future__ import annotations

from cnitest.explain.evidence.loss import Loss
from cnitest.lab.place import Place
from cnitest.lab.probe import wire
from cnitest.lab.reach import Sighting


def came_round(loss: Loss) -> bool:
    """Whether the place where a packet was last seen has sent it itself, and somebody sent it back."""
    here = (one for one in _same(loss) if one.place == loss.place.full_name and one.frame.out)
    return any(wire.read(one.frame.data).source == loss.packet.source for one in here)


def sent_back_by(loss: Loss) -> Place | None:
    """The last other place that got the packet from elsewhere and sent it on; None where nobody was seen to."""
    others = [one.place for one in _same(loss) if one.frame.out and one.place != loss.place.full_name]
    got = {one.place for one in _same(loss) if not one.frame.out}
    names = [name for name in others if name in got]
    return loss.wiring.places.get(names[-1]) if names else None


def _same(loss: Loss) -> list[Sighting]:
    """Where the packet was seen, in order, without the ICMP errors and redirects about it."""
    ours = (one for one in loss.seen.sightings if one.returning == loss.returning)
    return [one for one in ours if not (wire.icmp_error(one.frame.data) or wire.is_redirect(one.frame.data))]


def refuses_own(loss: Loss) -> bool:
    """Whether it came back to who has sent it and takes nothing from its own address: for IPv4 nobody does, for IPv6
    who does not forward."""
    if not loss.owns(loss.packet.source):
        return False
    return not loss.six or (loss.sysctl("ipv6/conf/all/forwarding") == "0" and not loss.owns(loss.destination))
