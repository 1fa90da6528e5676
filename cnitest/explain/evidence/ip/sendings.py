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
    """The last other place that got the packet from elsewhere and routed it on; None where nobody was seen to."""
    places = loss.wiring.places
    sent = (one for one in _same(loss) if one.frame.out and one.place != loss.place.full_name and one.place in places)
    got = {one.place for one in _same(loss) if not one.frame.out}
    found = [places[one.place] for one in sent if one.place in got and _from_own_mac(loss, one)]
    return found[-1] if found else None


def _from_own_mac(loss: Loss, sighting: Sighting) -> bool:
    """Whether a frame has the MAC of its place's link as its source: who bridges it on leaves it as it is."""
    link = loss.links(loss.wiring.places[sighting.place]).get(sighting.frame.link)
    return link is not None and link.mac == sighting.frame.data[6:12].hex(":")


def _same(loss: Loss) -> list[Sighting]:
    """Where the packet was seen, in order, without the ICMP errors and redirects about it."""
    ours = (one for one in loss.seen.sightings if one.returning == loss.returning)
    return [one for one in ours if not wire.is_about_another(one.frame.data)]


def refuses_own(loss: Loss) -> bool:
    """Whether it came back to who has sent it and takes nothing from its own address: for IPv4 nobody does, for IPv6
    who does not forward."""
    if not loss.owns(loss.packet.source):
        return False
    return not loss.six or (loss.sysctl("ipv6/conf/all/forwarding") == "0" and not loss.owns(loss.destination))
