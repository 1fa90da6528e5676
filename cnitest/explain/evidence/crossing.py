"""What was still before a packet on its leg when it was last seen: links, and bridges with the ports in and out."""

from __future__ import annotations

from dataclasses import dataclass

from cnitest.explain.evidence.leg import travelled
from cnitest.explain.evidence.loss import Loss
from cnitest.explain.evidence.wiring import LinkAt
from cnitest.kernel.rows.records import Fdb, Port


@dataclass(frozen=True)
class Crossing:
    """A bridge on the way; ``into`` is the port that the frame comes in by (None: the bridge itself sends it), ``out``
    the one that it is to leave by (None: it is for the bridge itself)."""

    bridge: LinkAt
    into: Port | None
    out: Port | None

    @property
    def place(self) -> str:
        """The place that has the bridge."""
        return self.bridge.place

    @property
    def ports(self) -> tuple[Port, ...]:
        """The ports that take part."""
        return tuple(port for port in (self.into, self.out) if port)


def rest(loss: Loss) -> tuple[LinkAt, ...]:
    """The links of the leg between the one where the packet was last seen and the first one that would have shown it.

    Both ends included. Where no way leads to the next hop, the last is what the link is wired to, or its bridge.
    """
    if not loss.link:
        return ()
    leg, here = loss.once(travelled), LinkAt(loss.place.full_name, loss.link)
    if leg and here in leg.way:
        way = leg.way[leg.way.index(here) :]
        inside = 1 + sum(1 for at in way[1:] if at.place == here.place)
        return way[: 2 if loss.spot.out and _is_wire(loss, way[:2]) else inside + 1]
    peer = loss.wiring.peer(here) if loss.spot.out else None
    link = loss.wiring.links.get(here)
    bridge = (LinkAt(here.place, link.master),) if link and link.master and not loss.spot.out else ()
    return (here, *((peer,) if peer else ()), *bridge)


def _is_wire(loss: Loss, ends: tuple[LinkAt, ...]) -> bool:
    """Whether the first of two links is the other end of the second."""
    return len(ends) > 1 and loss.wiring.peer(ends[0]) == ends[1]


def crossings(loss: Loss) -> tuple[Crossing, ...]:
    """The bridges that are before it; the first may be the one in which it was last seen."""
    way = loss.once(rest)
    around = (None, *way, None)
    return tuple(
        crossing
        for before, at, after in zip(around, way, around[2:], strict=False)
        if loss.wiring.links[at].kind == "bridge" and (crossing := _crossing(loss, before, at, after))
    )


def _crossing(loss: Loss, before: LinkAt | None, at: LinkAt, after: LinkAt | None) -> Crossing | None:
    ports = {port.name: port for port in loss.state(loss.wiring.places[at.place]).ports if port.bridge == at.link}
    into = ports.get(before.link) if before and before.place == at.place else None
    out = ports.get(after.link) if after and after.place == at.place else None
    return Crossing(at, into, out) if into or out else None


def forwarding(loss: Loss, crossing: Crossing, mac: str) -> tuple[Fdb, ...]:
    """The entries that a bridge has for a MAC."""
    found = loss.state(loss.wiring.places[crossing.place]).fdb
    return tuple(row for row in found if row.mac == mac and crossing.bridge.link in (row.bridge, row.link))
