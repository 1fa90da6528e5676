"""Where a packet or its answer left the usual way: by a policy rule, or the answer by another link than the request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_interface
from typing import NamedTuple

from cnitest.explain.evidence import leg, translation
from cnitest.explain.evidence.ip import declared, fib
from cnitest.explain.evidence.loss import Loss
from cnitest.explain.evidence.wiring import LinkAt
from cnitest.kernel.rows.records import Link, Route
from cnitest.lab.place import Place
from cnitest.lab.probe import wire
from cnitest.lab.reach import Sighting
from cnitest.lab.snapshot import words
from cnitest.topology.building.steps import AddAddress

_DEFAULTS = 3


class Parting(NamedTuple):
    """A place that sent the answer (``headers``) by another link than those that the request came in by.

    ``came_back_by`` is the link by which the answer came there, empty where it was made.
    """

    place: Place
    headers: wire.Headers
    came_by: str
    goes_by: str
    came_back_by: str = ""

    @property
    def destination(self) -> str:
        """Who the answer is for."""
        return self.headers.destination


class Turn(NamedTuple):
    """A place that sent the answer for ``destination`` by another router than the one (``by``, which has the address
    ``gateway`` there) that the request came from; ``gateway`` is empty where its sender itself (``by``) sent it there
    by ``link``."""

    place: Place
    destination: str
    gateway: str
    by: str
    link: str = ""


def turn(loss: Loss, to: str) -> Turn | None:
    """Who handed the answer over to a place that the request did not pass; None where none did."""
    there = [one for one in translation.passages(loss) if one.came.hops != one.left.hops]
    met = [one.place.full_name for one in there]
    asked = [one for one in loss.seen.sightings if wire.icmp_error(one.frame.data) is None and not one.returning]
    came = next((one for one in reversed(asked) if not one.frame.out), None)
    if came is None or to in (*met, came.place, loss.probe.sender.full_name):
        return None
    if not there:
        place = loss.place.lab.place(came.place)
        asker, by = wire.read(came.frame.data).source, loss.probe.sender.full_name
        return Turn(place, asker, "", by, came.frame.link) if loss.probe.far is place else None
    back = [one for one in translation.passages(loss, returning=True) if one.place.full_name in met]
    at = met.index(back[-1].place.full_name) if back else len(met)
    if not at:
        return None
    before, (place, link) = there[at - 1], (there[at].place, there[at].iif) if back else _received(loss, came)
    answer = wire.read(came.frame.data).source if not back else back[-1].left.destination
    rows = loss.addresses(before.place, before.oif)
    near = next((row.ip for row in rows if loss.in_network(row.ip, place, link)), "")
    return Turn(place, answer, near, before.place.full_name) if near else None


def _received(loss: Loss, came: Sighting) -> tuple[Place, str]:
    return loss.place.lab.place(came.place), came.frame.link


def partings(loss: Loss) -> Iterator[Parting]:
    """The places where the answer parted from the way of the request, in order; bridges part with nothing."""
    seen = [one for one in loss.seen.sightings if loss.returning and wire.icmp_error(one.frame.data) is None]
    left = {one.place: one for one in reversed(seen) if one.returning and one.frame.out and _is_sent(loss, one)}
    for name in dict.fromkeys(one.place for one in seen if one.returning):
        links = loss.links(loss.place.lab.place(name))
        came = [_by(links, s) for s in seen if s.place == name and not (s.returning or s.frame.out)]
        if came and name in left and left[name].frame.link not in came:
            away = left[name]
            back = [_by(links, s) for s in seen[: seen.index(away)] if s.place == name and s.returning]
            headers = wire.read(away.frame.data)
            yield Parting(loss.place.lab.place(name), headers, came[-1], away.frame.link, next(iter(back), ""))


class Bypass(NamedTuple):
    """A place that sent what is for ``owner``, a neighbour on its link ``at``, to a gateway, by ``route``: it has no
    route to that link's own subnet ``network``. ``lost`` is the address with that subnet that it was declared to have
    and does not have there any more; None where it has one."""

    place: Place
    at: LinkAt
    owner: LinkAt
    network: IPv4Network | IPv6Network
    route: Route
    lost: AddAddress | None


def bypasses(loss: Loss) -> Iterator[Bypass]:
    """The places on a packet's way that lack the route to the subnet that it is for, in order."""
    for place, question in sent(loss):
        decision = fib.decide(loss.state(place), question)
        route = decision.route if decision else None
        if route is not None and _by_a_gateway(route):
            yield from _passed_by(loss, place, question, route)


class Forsaken(NamedTuple):
    """A place that sent a packet by ``route``, since it has not got the one ``wanted`` any more that the topology
    declares, as long or longer, by its link ``at``."""

    place: Place
    at: LinkAt
    wanted: str
    route: Route


def forsaken(loss: Loss, *, replaced: bool = False) -> Iterator[Forsaken]:
    """The places on a packet's way that lack the topology's route, and took a shorter one, in order; with ``replaced``
    also those that took one which stands in its place."""
    for place, question in sent(loss):
        decision, wanted = fib.decide(loss.state(place), question), declared.route(place, question)
        route, link = decision.route if decision else None, declared.link(place, question)
        longest = fib.reach(wanted.split()[0], question) if wanted else -1
        if not (route and link and wanted) or longest < fib.length(route):
            continue
        if longest > fib.length(route) or (replaced and not declared.is_there(place, loss.state(place), question)):
            yield Forsaken(place, LinkAt(place.full_name, link), wanted, route)


def sent(loss: Loss) -> Iterator[tuple[Place, fib.RouteLookup]]:
    """The places that routed a packet, in order, each with the packet as it left; and where it was to be routed at
    last."""
    came, left = dict[str, str](), dict[str, fib.RouteLookup]()
    for one in loss.seen.sightings:
        other = one.returning != loss.returning or wire.is_about_another(one.frame.data)
        if other or one.place not in loss.wiring.places:
            continue
        if not one.frame.out:
            came.setdefault(one.place, _by(loss.links(loss.wiring.places[one.place]), one))
        elif _is_sent(loss, one):
            mark = loss.mark_at(loss.wiring.places[one.place], sent=one.place not in came)
            question = fib.RouteLookup(wire.read(one.frame.data), came.get(one.place, ""), mark)
            left.setdefault(one.place, question)
    if not loss.spot.out and not loss.bridged:
        left.setdefault(loss.place.full_name, loss.question)
    yield from ((loss.wiring.places[name], question) for name, question in left.items())


def _by_a_gateway(route: Route) -> bool:
    return route.kind == "unicast" and bool(route.gateways or route.nhid)


def _passed_by(loss: Loss, place: Place, question: fib.RouteLookup, route: Route) -> Iterator[Bypass]:
    """The links with the destination's owner in a subnet of the place's own to which it has no route."""
    state, destination = loss.state(place), ip_address(question.headers.destination)
    routes = [one.route for one in fib.decisions(state, question) if one.route]
    there = [(row.link, row.address, None) for row in state.addresses if row.scope == "global"]
    kept = {(row.link, row.ip) for row in state.addresses}  # if at all, with another prefix
    lost = (step for step in declared.addresses(place) if (step.link.name, step.address.split("/")[0]) not in kept)
    gone = [(step.link.name, step.address, step) for step in lost]
    for link, address, step in (*there, *gone):
        network, at = ip_interface(address).network, LinkAt(place.full_name, link)
        row = loss.wiring.links.get(at)
        on_it = destination in network and fib.length(route) <= network.prefixlen
        if not on_it or (row and (row.kind == "loopback" or row.master)) or any(fib.goes_by(r, link) for r in routes):
            continue
        near = loss.wiring.ways(at) if row else loss.wiring.links
        owner = next((one for one in leg.owners_of(loss.wiring, str(destination), place) if one in near), None)
        if owner:
            yield Bypass(place, at, owner, network, route, step)


def _by(links: Mapping[str, Link], one: Sighting) -> str:
    """The link by which IP gets a frame: the bridge of a port."""
    link = links.get(one.frame.link)
    return (link and link.master) or one.frame.link


def _is_sent(loss: Loss, one: Sighting) -> bool:
    """Whether IP sent it by that link, which is no bridge's port."""
    link = loss.links(loss.place.lab.place(one.place)).get(one.frame.link)
    return link is not None and not link.master


def remarks(loss: Loss) -> tuple[str, ...]:
    """What is to be said of the way that a packet took, for who looks for the reason of its end somewhere else."""
    another = by_another_link(loss)
    return (*dict.fromkeys(_by_rules(loss)), *((another,) if another else ()))


def _by_rules(loss: Loss) -> Iterator[str]:
    """The policy rules that sent it where it went, at each place that it left."""
    came: dict[str, Sighting] = {}
    for sighting in loss.seen.sightings:
        if sighting.returning != loss.returning or wire.icmp_error(sighting.frame.data):
            continue
        if not sighting.frame.out:
            came[sighting.place] = sighting
            continue
        place = loss.wiring.places.get(sighting.place)
        if place is None or place is loss.place or len(place.rules) <= _DEFAULTS:
            continue
        headers = wire.read(sighting.frame.data)
        before = came.get(sighting.place)
        mark = loss.mark_at(place, sent=before is None)
        iif = before.frame.link if before else ""
        decision = fib.decide(loss.state(place), fib.RouteLookup(headers, iif, mark))
        if decision and decision.custom and decision.route:
            rule = f"{decision.rule.priority}: {words.rule(decision.rule)}"
            yield f"{place.full_name} has sent it by rule {rule} ({words.route_key(decision.route)})"


def by_another_link(loss: Loss) -> str:
    """That the answer left, or was to leave, by another link than the one that the request came in by; else empty."""
    seen = [sighting for sighting in loss.seen.sightings if wire.icmp_error(sighting.frame.data) is None]
    came = [s for s in seen if not s.returning and not s.frame.out]
    if not loss.returning or not came:
        return ""
    request = came[-1]
    left = [s.frame.link for s in seen if s.returning and s.frame.out and s.place == request.place]
    ahead = loss.routed.link if not loss.link and isinstance(loss.routed, Route) else ""
    reply = next(iter(left), ahead)
    if reply in ("", request.frame.link, "lo"):
        return ""
    return f"the request came to {request.place} by {request.frame.link}, and the reply goes by {reply}"
