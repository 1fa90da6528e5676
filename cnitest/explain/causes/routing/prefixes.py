"""Subnets that a place does not know, or knows too narrow: a neighbour on the link is sent to by another way, or by
none."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.ip import declared, detours
from cnitest.explain.evidence.leg import owners_of
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.explain.evidence.wiring import LinkAt
from cnitest.kernel.rows.records import Address, Route
from cnitest.lab.place import Place
from cnitest.lab.snapshot import words

_STAGES = (Stage.SOCKET_OUT, Stage.WIRE, Stage.INGRESS, Stage.BRIDGE, Stage.ROUTING, Stage.NEIGHBOUR)
_FIRST = -11
_LEAST_OF_IPV6 = 1280


@cause("routing.subnet-route", *_STAGES, order=_FIRST)
def subnet_route(loss: Loss) -> Found | None:
    """A place has no route to a link's own subnet (deleted, ``noprefixroute``, or gone with the address), so it sends
    what is for a neighbour there to its gateway."""
    up = (one for one in detours.bypasses(loss) if one.at in loss.wiring.links and loss.wiring.links[one.at].up)
    found = next(up, None)
    if found is None or (loss.six and _has_no_ipv6(loss, found)):
        return None
    place, link = found.place, found.at.link
    by = words.route_key(found.route)
    lost = (f"the topology declares {found.lost.address} on {link}, which is gone",) if found.lost else ()
    return Found(
        "no subnet route",
        f"{place.full_name} has no route to {found.network} on {link}, and sends it by {by}",
        "routing",
        (f"{found.owner} is on that link's segment", *lost),
        _connected_again(loss, found),
        place.full_name,
    )


def _has_no_ipv6(loss: Loss, found: detours.Bypass) -> bool:
    """Whether the link cannot have the address, for another cause."""
    disabled = loss.sysctl(f"ipv6/conf/{found.at.link}/disable_ipv6", found.place) == "1"
    return disabled or 0 < loss.links(found.place)[found.at.link].mtu < _LEAST_OF_IPV6


def _connected_again(loss: Loss, found: detours.Bypass) -> str:
    """The command that gives a place the route to a link's subnet again: with the address, where that is gone."""
    place, state, family = found.place, loss.state(found.place), "-6 " if loss.six else ""
    if found.lost is None:
        return f"ip {family}route replace {found.network} dev {found.at.link}"
    address = found.lost.address
    moved = declared.moved_back(place, state, address.partition("/")[0])
    again = f"ip address add {address} dev {found.at.link}{' nodad' if loss.six else ''}"
    gone = (f"ip {family}route replace {one}" for one in declared.gone_with(place, state, address))
    return moved or " && ".join((again, *gone))


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
