"""Prefixes that are too narrow: a neighbour on the link is sent to by another way, or by none."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.ip import detours
from cnitest.explain.evidence.leg import owners_of
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.explain.evidence.wiring import LinkAt
from cnitest.kernel.rows.records import Address, Route
from cnitest.lab.place import Place

_STAGES = (Stage.SOCKET_OUT, Stage.WIRE, Stage.INGRESS, Stage.BRIDGE, Stage.ROUTING, Stage.NEIGHBOUR)
_FIRST = -11


@cause("routing.narrow-prefix", *_STAGES, order=_FIRST)
def narrow_prefix(loss: Loss) -> Found | None:
    """The prefix of a place's address is too narrow: it sends what is for a neighbour on that link by another way."""
    for place, address, goes_by in _left_the_link(loss):
        for owner in owners_of(loss.wiring, address, place):
            near = _beside(loss, place, owner, goes_by)
            if near:
                return _found(loss, place, address, owner, near)
    return None


def _left_the_link(loss: Loss) -> Iterator[tuple[Place, str, str]]:
    """The places that sent it by another link than the one that its destination is on, or that have no route to it;
    with the destination there, and the link that it went by."""
    for parting in detours.partings(loss):
        yield parting.place, parting.destination, parting.goes_by
    if not loss.spot.out and not loss.bridged and not loss.owns(loss.destination):
        yield loss.place, loss.destination, loss.routed.link if isinstance(loss.routed, Route) else ""


def _beside(loss: Loss, place: Place, owner: LinkAt, goes_by: str) -> tuple[str, Address] | None:
    """A link of a place that is on the segment of an address's owner, and its own address there, where that is in the
    owner's subnet and the owner is in none of the link's."""
    wanted = _interface(loss, owner)
    if wanted is None:
        return None
    ways = loss.wiring.ways(owner)
    rows = [row for row in loss.state(place).addresses if row.scope == "global" and row.link != goes_by]
    for row in rows:
        here = ipaddress.ip_interface(row.address)
        if LinkAt(place.full_name, row.link) in ways and here.ip in wanted.network and here.version == wanted.version:
            same = [one for one in rows if one.link == row.link]
            holds = any(wanted.ip in ipaddress.ip_interface(one.address).network for one in same)
            return None if holds else (row.link, row)
    return None


def _interface(loss: Loss, owner: LinkAt) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface | None:
    """An owner's address with its prefix."""
    rows = loss.state(loss.wiring.places[owner.place]).addresses
    found = (ipaddress.ip_interface(row.address) for row in rows if row.link == owner.link and row.scope == "global")
    return next((one for one in found if str(one.ip) in (loss.destination, loss.packet.destination)), None)


def _found(loss: Loss, place: Place, address: str, owner: LinkAt, near: tuple[str, Address]) -> Found:
    link, row = near
    wanted = _interface(loss, owner)
    assert wanted is not None, "an owner has its address"
    right = f"{row.ip}/{wanted.network.prefixlen}"
    six = wanted.version == 6
    made = f"ip address del {row.address} dev {link} && ip address add {right} dev {link} nodad" if six else ""
    return Found(
        "narrow prefix",
        f"{place.full_name} has {row.address} on {link}, which does not hold {address}: it does not look for it there",
        "routing",
        (f"{owner} has {wanted}, on the same segment",),
        made or f"ip address add {right} dev {link}",
        place.full_name,
    )
