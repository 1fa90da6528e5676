"""One leg of a packet's way: from the link by which IP sent it to the link of the next hop, over wires and bridges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cnitest.explain.evidence.loss import Loss
from cnitest.explain.evidence.rows import LastSeen
from cnitest.explain.evidence.wiring import LinkAt, Wiring
from cnitest.kernel.rows.records import Route
from cnitest.lab.place import Place
from cnitest.lab.probe import wire
from cnitest.lab.reach import Sighting
from cnitest.lab.snapshot import state as states


@dataclass(frozen=True)
class Leg:
    """``start`` is the link that IP sent the packet by, ``next_hop`` the address whose owner was to get it there (a
    ``gateway``, or the destination itself). ``owners`` are the links with that address in the lab, the intended one
    first; ``way`` leads from ``start`` to the link that the frame is addressed to, else to ``intended``, by which
    the intended owner would get it; empty and None when no wire or bridge leads there."""

    sender: Place
    start: LinkAt
    next_hop: str
    gateway: bool
    owners: tuple[LinkAt, ...]
    way: tuple[LinkAt, ...]
    intended: LinkAt | None

    @property
    def target(self) -> LinkAt | None:
        """The link where the packet was to arrive."""
        return self.way[-1] if self.way else None


def travelled(loss: Loss) -> Leg | None:
    """The leg on which the packet was last seen; None of one that never left, or whose sender is not known."""
    frame = loss.spot.frame
    start = _start(loss, frame.data[6:12].hex(":")) if frame else None
    if start is None or loss.wiring.links[start].kind == "loopback":
        return None
    sender = loss.wiring.places[start.place]
    if loss.is_question:
        wanted = loss.packet.destination if loss.returning else loss.probe.destination
        return _leg(loss, sender, start, wanted, gateway=False)
    found = loss.route(loss.packet.destination, place=sender)
    via = found.via if isinstance(found, Route) and found.link in ("", start.link) else ""
    return _leg(loss, sender, start, via or loss.packet.destination, gateway=bool(via))


def arrived(loss: Loss) -> bool:
    """Whether it was last seen where its leg ends."""
    leg = loss.once(travelled)
    return leg is not None and (loss.place.full_name, loss.link) == leg.target and not loss.spot.out


def ahead(loss: Loss) -> Leg | None:
    """The leg that the packet was to take from where it was last seen; None where there is no route."""
    if loss.spot.out:
        return None
    found = loss.routed
    if not isinstance(found, Route) or not found.link or loss.owns(loss.destination):
        return None
    start = LinkAt(loss.place.full_name, found.link)
    return _leg(loss, loss.place, start, found.via or loss.destination, gateway=bool(found.via))


def _start(loss: Loss, mac: str) -> LinkAt | None:
    """The link that sent a frame with this source MAC: its own, where it was seen to go out."""
    for sighting in loss.seen.sightings:
        at = LinkAt(sighting.place, sighting.frame.link)
        link = loss.wiring.links.get(at)
        sent = sighting.frame.out and sighting.returning == loss.returning
        if sent and link and link.mac == mac == sighting.frame.data[6:12].hex(":"):
            return at
    return None


def _leg(loss: Loss, sender: Place, start: LinkAt, next_hop: str, *, gateway: bool) -> Leg:
    ways = loss.wiring.ways(start)
    intended = loss.place.lab.owner(next_hop, sender)
    owners = sorted(
        owners_of(loss.wiring, next_hop, sender),
        key=lambda at: (intended is None or at.place != intended.full_name, len(ways.get(at, ())) or len(ways) + 1),
    )
    to_owner: tuple[LinkAt, ...] = ()
    if owners:
        # An address is answered for on every link of its owner; one of IPv6 on its own.
        on_each = not (loss.is_question and ":" in next_hop)
        near = (at for at in ways if at.place == owners[0].place and on_each)
        reached = [ways[at] for at in near if _ends_there(loss.wiring, at)]
        addressed = loss.mac == loss.wiring.links[owners[0]].mac
        # What comes in by a bridge's port is the bridge's, though the address be on the port.
        taking = LinkAt(owners[0].place, loss.wiring.links[owners[0]].master or owners[0].link)
        to_owner = ways.get(taking) or (() if addressed else min(reached, key=len, default=()))
    intended_link = to_owner[-1] if to_owner else None
    way = next((ways[at] for at in _addressed(loss, ways, start, intended_link)), to_owner)
    return Leg(sender, start, next_hop, gateway, tuple(owners), way, intended_link)


def _addressed(loss: Loss, ways: Mapping[LinkAt, object], start: LinkAt, intended: LinkAt | None) -> Iterator[LinkAt]:
    """The links whose MAC the frame is addressed to, first the intended one."""
    if loss.spot.out or loss.link:
        for at in sorted(ways, key=lambda one: one != intended):
            if at != start and loss.wiring.links[at].mac == loss.mac and _ends_there(loss.wiring, at):
                yield at


def _ends_there(wiring: Wiring, at: LinkAt) -> bool:
    """Whether IP gets what arrives by a link: it is no bridge's port."""
    return not wiring.links[at].master


def owners_of(wiring: Wiring, address: str, sender: Place) -> Iterator[LinkAt]:
    """The links that have an address, but for those of the one who asks."""
    for name, place in wiring.places.items():
        if place is not sender and states.has_address(place.namespace, address):
            yield from (LinkAt(name, row.link) for row in states.addresses(place.namespace) if row.ip == address)


def furthest(loss: Loss) -> LastSeen:
    """Where the packet was last seen on its way to the next hop; copies that a bridge sent elsewhere do not count."""
    leg = loss.once(travelled)
    at_home = loss.returning and loss.place is loss.probe.sender and loss.received
    if leg is None or loss.spot.frame is None or at_home:
        return loss.spot
    mac = loss.spot.frame.data[6:12]
    here = [
        sighting
        for sighting in loss.seen.sightings
        if sighting.returning == loss.returning
        and sighting.frame.data[6:12] == mac
        and not wire.is_about_another(sighting.frame.data)
    ]
    if leg.way:
        last = _furthest(here, leg, loss.wiring)
    else:
        last = _first_wire(here, leg) if loss.is_question or _is_bystander(loss) else None
    if last is None:
        return loss.spot
    return LastSeen(loss.place.lab.place(last.place), last.frame.link, last.frame.out, loss.returning, last.frame)


def _furthest(here: list[Sighting], leg: Leg, wiring: Wiring) -> Sighting | None:
    """The sighting that is nearest to the end of the way."""
    # A bridge that is only crossed shows what it floods, too.
    crossed = [step for step in leg.way[1:-1] if wiring.links[step].kind == "bridge"]
    at = {step: number for number, step in enumerate(leg.way) if step not in crossed}
    on_it = [sighting for sighting in here if LinkAt(sighting.place, sighting.frame.link) in at]
    return max(on_it, key=lambda one: at[LinkAt(one.place, one.frame.link)], default=None)


def _is_bystander(loss: Loss) -> bool:
    """Whether it was last seen at a link that it was only flooded to: it is addressed to another MAC."""
    link = loss.wiring.links.get(LinkAt(loss.place.full_name, loss.link))
    foreign = link is not None and not loss.spot.out and bool(link.mac) and loss.mac != link.mac
    return foreign and link is not None and not link.master and loss.place is not loss.probe.far


def _first_wire(here: list[Sighting], leg: Leg) -> Sighting | None:
    """The sighting where the packet was last on the one way that everything takes: its sender's link."""
    return next((one for one in here if LinkAt(one.place, one.frame.link) == leg.start and one.frame.out), None)
