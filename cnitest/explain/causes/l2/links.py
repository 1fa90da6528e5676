"""Links on the way to the next hop that carry nothing: down, without a carrier, held down."""

from __future__ import annotations

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence import gone
from cnitest.explain.evidence.crossing import rest
from cnitest.explain.evidence.leg import ahead
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.explain.evidence.wiring import LinkAt

_ON_THE_WAY = (Stage.WIRE, Stage.BRIDGE, Stage.NEIGHBOUR)
_FIRST = -4


@cause("l2.link-down", *_ON_THE_WAY, order=_FIRST)
def link_down(loss: Loss) -> Found | None:
    """A link on the way is down: the place's own, its peer, a bridge or one of its ports, the parent of a macvlan."""
    for at in loss.once(_before):
        kind = loss.wiring.links[at].kind
        if not loss.wiring.links[at].up:
            words = f"{'the bridge ' if kind == 'bridge' else ''}{at} is down"
            remedy = " && ".join((f"ip link set {at.link} up", *gone.commands(loss, at)))
            return Found("link down", words, hook="link", remedy=remedy, place=at.place)
    return None


@cause("l2.protodown", *_ON_THE_WAY, order=_FIRST)
def protodown(loss: Loss) -> Found | None:
    """A link on the way is held down by a protocol daemon (``protodown``)."""
    for at in loss.once(_before):
        if loss.wiring.links[at].protodown:
            words = f"{at} is held down: protodown is on"
            return Found("protodown", words, hook="link", remedy=f"ip link set {at.link} protodown off", place=at.place)
    return None


@cause("l2.no-carrier", *_ON_THE_WAY, order=_FIRST)
def no_carrier(loss: Loss) -> Found | None:
    """A link on the way is up and has no carrier: nothing is at its other end."""
    for at in loss.once(_before):
        link = loss.wiring.links[at]
        if link.up and not link.carrier and link.kind != "bridge":
            words = f"{at} has no carrier: nothing is plugged in at its other end"
            return Found("no carrier", words, hook="link", evidence=(f"{at} is up ({link.kind})",), place=at.place)
    return None


def _before(loss: Loss) -> tuple[LinkAt, ...]:
    """The links that the packet still had to come through to the next hop, in their order, with what they stand on."""
    leg = loss.once(ahead)
    peer = loss.wiring.peer(leg.start) if leg else None
    onward = (leg.way or (leg.start, *((peer,) if peer else ()))) if leg else ()
    way = loss.once(rest) if loss.spot.out or loss.port else onward
    found: dict[LinkAt, None] = {}
    for at in way:
        parent = loss.wiring.parent(at)
        found.update(dict.fromkeys((at, parent) if parent else (at,)))
    return tuple(found)
