"""Packets whose hop limit is at its end: it was small, or they go round in a circle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.causes.routing import strays
from cnitest.explain.evidence.ip import carriers, declared, detours, fib, next_hops, sendings, sizes
from cnitest.explain.evidence.ip.sysctls import set_to, sysctl_name
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.explain.evidence.rows import is_loopback
from cnitest.kernel.rows.records import Route
from cnitest.lab.place import Place
from cnitest.lab.probe import wire
from cnitest.lab.reach import Sighting
from cnitest.lab.snapshot import words

_ROUNDS = 3
_USUAL = 64


@cause("limits.routing-loop", Stage.ROUTING, order=-1)
def routing_loop(loss: Loss) -> Found | None:
    """Places send the packet round in a circle until its hop limit is at its end."""
    if not loss.forwarded or _least(loss.seen.sightings, loss) > 1:
        return None  # whichever of those that it goes round got it last
    here = [s for s in loss.seen.sightings if s.place == loss.place.full_name and s.returning == loss.returning]
    rounds = sum(not sighting.frame.out and sighting.frame.link == loss.link for sighting in here)
    if rounds < _ROUNDS or not isinstance(loss.routed, Route):
        return None
    place, key, remedy = _leading_out(loss) or (loss.place, words.route_key(loss.routed), "")
    by = loss.route(loss.destination, place=place)
    nearest = loss.owner((by.via if isinstance(by, Route) else "") or loss.destination)
    other = f" to {nearest.full_name}" if nearest else ""
    return Found(
        "routing loop",
        f"{place.full_name} sends {loss.destination}{other} ({key}), and it comes back",
        "routing",
        (f"it came in at {loss.place.full_name} by {loss.link} {rounds} times",),
        remedy or f"correct the route to {loss.destination} of one of those that it goes round",
        place.full_name,
    )


def _leading_out(loss: Loss) -> tuple[Place, str, str] | None:
    """A place of the circle with the route that it takes and the command that leads out: first one that has not the
    topology's route, else one that has a router beside it which hands the packet on to others."""
    out = Counter(one.place for one in loss.seen.sightings if one.returning == loss.returning and one.frame.out)
    circle = [(place, question) for place, question in detours.sent(loss) if out[place.full_name] >= _ROUNDS]
    decided = [(place, question, fib.decide(loss.state(place), question)) for place, question in circle]
    there = [(place, question, one, one.route) for place, question, one in decided if one and one.route]
    for place, question, one, route in there:
        if declared.route(place, question) and declared.gateway(place, question) not in ("", route.via):
            return place, words.route_key(route), strays.again(loss, place, one, question)
    for place, _, _, route in there:
        way_on = next_hops.way_on(loss, place)
        beside = loss.owner(way_on.rpartition("via ")[2]) if " via " in way_on and "…" not in way_on else None
        if beside and beside not in [one for one, _ in circle]:
            return place, words.route_key(route), f"ip {'-6 ' if loss.six else ''}route replace {way_on}"
    return None


@cause("limits.hop-limit", Stage.ROUTING, order=-1)
def hop_limit(loss: Loss) -> Found | None:
    """The hop limit (TTL) of the packet is at its end before it is where it goes."""
    hops = _hops(loss)
    if not loss.forwarded or hops > 1 or not isinstance(loss.routed, Route) or is_loopback(loss.packet.source):
        return None
    name = "hop limit" if loss.six else "TTL"
    origin = _tunnel(loss) or _origin(loss)
    missing = sum(1 for _ in sizes.way(loss, loss.place))
    return Found(
        f"{name} expired",
        f"{loss.place.full_name} gets it with a {name} of {hops}, and it is {missing} more to {loss.destination}",
        "routing",
        origin.evidence,
        origin.remedy or f"send it with a {name} that is higher by at least {missing}",
        origin.place,
    )


class _Origin(NamedTuple):
    """What gives a packet its small number; ``place`` is where that is set, empty of what the probe itself has."""

    evidence: tuple[str, ...]
    remedy: str = ""
    place: str = ""


def _tunnel(loss: Loss) -> _Origin | None:
    within = loss.once(carriers.inside)
    link = within.links()[within.link] if within and within is not loss else None
    ttl = dict(link.detail).get("ttl") if link else None
    if within is None or link is None or not ttl:
        return None
    said = (f"{within.place.full_name}:{link.name} sends with ttl {ttl}",)
    return _Origin(said, f"ip link set dev {link.name} type {link.kind} ttl {_USUAL}", within.place.full_name)


def _hops(loss: Loss) -> int:
    """The least hop limit with which the packet came to the place."""
    return _least([s for s in loss.seen.sightings if s.place == loss.place.full_name], loss)


def _least(sightings: Iterable[Sighting], loss: Loss) -> int:
    """The least hop limit with which the packet came anywhere."""
    here = (s for s in sightings if s.returning == loss.returning and not s.frame.out)
    found = (wire.read(s.frame.data).hops for s in here if wire.icmp_error(s.frame.data) is None)
    return min(found, default=loss.packet.hops)


def _origin(loss: Loss) -> _Origin:
    """Where the small number comes from: the probe, the sender's sysctl or its route."""
    sender = loss.owner(loss.packet.source) or loss.probe.sender
    if sender is loss.probe.sender and loss.probe.options.ttl is not None:
        return _Origin((f"the probe was sent with {loss.probe.options.ttl}",))
    route = loss.route(loss.destination, place=sender)
    metric = dict(route.metrics).get("hoplimit") if isinstance(route, Route) else None
    if metric:
        said = f"the route of {sender.full_name} has hoplimit {metric}"
        return _Origin((said,), _usual_by_route(loss, sender), sender.full_name)
    link = route.link if isinstance(route, Route) else "all"
    sysctl = f"ipv6/conf/{link}/hop_limit" if loss.six else "ipv4/ip_default_ttl"
    said = f"{sender.full_name} has {sysctl_name(sysctl)}={loss.sysctl(sysctl, sender)}"
    low = loss.number(sysctl, sender) < _USUAL
    return _Origin((said,), set_to(_USUAL, sysctl), sender.full_name) if low else _Origin((said,))


def _usual_by_route(loss: Loss, sender: Place) -> str:
    """The command that takes the hop limit from the route of a sender's."""
    found = fib.decide(loss.state(sender), fib.RouteLookup(loss.packet, tos=loss.question.tos))
    if found is None or found.route is None:
        return ""
    return f"ip {'-6 ' if loss.six else ''}route change {words.route_in_command(found.route)} hoplimit {_USUAL}"


@cause("limits.sent-back", Stage.ROUTING, order=-2)
def sent_back(loss: Loss) -> Found | None:
    """A place sends the packet back to who has sent it, who takes nothing from its own address."""
    if loss.returning or not loss.received or not sendings.refuses_own(loss):
        return None
    place = sendings.sent_back_by(loss) if sendings.came_round(loss) else None
    route = loss.route(loss.destination, place=place) if place else None
    if place is None or not isinstance(route, Route) or loss.owner(route.via or loss.destination) is not loss.place:
        return None
    question = fib.RouteLookup(loss.packet)
    found, *others = (*fib.decisions(loss.state(place), question), None)
    key = words.route_key(found.route) if found and found.route else f"via {route.via}"
    right = declared.route(place, question) if declared.gateway(place, question) != route.via else ""
    on = any(one and one.route and one.route.link not in ("", "lo", route.link) for one in others)
    change = f"del {key}" if on and not right else f"replace {right or next_hops.way_on(loss, place)}"
    return Found(
        "sent back",
        f"{place.full_name} sends {loss.destination} back to {loss.place.full_name}, which has sent it: {key}",
        "routing",
        (f"{loss.place.full_name} gets a packet from its own {loss.packet.source}",),
        f"ip {'-6 ' if loss.six else ''}route {change}",
        place.full_name,
    )
