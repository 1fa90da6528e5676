"""Where a private source left the last place that knows the way back to it, as nobody translated it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import replace

from cnitest.explain.evidence import translation
from cnitest.explain.evidence.ip import declared, fib, next_hops
from cnitest.explain.evidence.loss import Loss, NoRoute
from cnitest.explain.evidence.rows import LastSeen
from cnitest.explain.evidence.translation import Passage
from cnitest.kernel.rows.records import Route
from cnitest.lab.place import Place
from cnitest.lab.probe import wire
from cnitest.lab.reach import Sighting

_DEFAULT = "default"


def left_untranslated(loss: Loss) -> Passage | None:
    """Where a private source left the last place that knows the way back to it; None where that is not what is lost."""
    if _knows_a_way_on(loss):
        return None
    loss = _where_answered(loss)
    sent = translation.first(loss)
    if not loss.returning or sent is None or sent.source not in (loss.packet.destination, loss.destination):
        return None
    if not ipaddress.ip_address(sent.source).is_private or _awaits_neighbour(loss):
        return None
    ways = translation.passages(loss)
    again = next((one for one in ways if one.came.source == sent.source and _translates(one)), None)
    if not (_has_default_at_best(loss, again) if again else _knows_no_way_back(loss, sent.source)):
        return None
    knowing = [one for one in ways if translation.leads_back(loss, one.place, sent.source, one.iif)]
    if not knowing or any(one.place is loss.place for one in knowing):
        return None
    last = knowing[-1]
    uplink = uplink_of(loss, last)
    if not uplink or loss.in_network(sent.source, last.place, last.oif) or not _answers(loss, last, uplink):
        return None
    return last


def uplink_of(loss: Loss, one: Passage) -> str:
    """The address that a place would put in the place of the source."""
    return next((row.ip for row in loss.addresses(one.place, one.oif)), "")


def who_lacks_a_way(loss: Loss, last: Passage) -> Place:
    """Who has no way back to the source that ``last`` did not translate: the place behind that which translated it
    instead, else the one that answered."""
    return next((one.place for one in _behind(loss, last) if _translates(one)), _where_answered(loss).place)


def _behind(loss: Loss, last: Passage) -> Iterator[Passage]:
    """The routers that the request came to after one."""
    ways = translation.passages(loss)
    behind = ways[[one.place for one in ways].index(last.place) + 1 :]
    return (one for one in behind if one.came.hops != one.left.hops)


def _translates(one: Passage) -> bool:
    return one.came.source != one.left.source


def _answers(loss: Loss, last: Passage, uplink: str) -> bool:
    """Whether those who cannot answer the source could answer the uplink: all up to who translates the source again."""
    for one in _behind(loss, last):
        meant = declared.route(one.place, loss.question)
        if not isinstance(loss.route(uplink, place=one.place), Route) or not (meant or _DEFAULT).startswith(_DEFAULT):
            return False
        if _translates(one):
            return True
    return isinstance(loss.route(uplink), Route)


def _awaits_neighbour(loss: Loss) -> bool:
    """Whether the answer goes no further, since its next hop, which somebody in the lab has, is asked for its MAC in
    vain."""
    hop = "" if loss.spot.out or loss.bridged else next_hops.unanswered(loss)
    return bool(hop) and loss.owner(hop) is not None


def _where_answered(loss: Loss) -> Loss:
    """The answer where it was made, of one that was sent from there to who never saw the request."""
    came = _came(loss)
    if not loss.returning or not came or any(one.place == loss.place.full_name for one in came):
        return loss
    spot = LastSeen(loss.place.lab.place(came[-1].place), returning=True)
    return replace(loss, spot=spot, asked=wire.read(came[-1].frame.data))


def _knows_a_way_on(loss: Loss) -> bool:
    """Whether the answer came to a router that the request never saw, and that has more than a default route for it."""
    if not loss.returning or not loss.forwarded or any(one.place == loss.place.full_name for one in _came(loss)):
        return False
    chosen = loss.decision.route if loss.decision else None
    return chosen is not None and chosen.kind == "unicast" and chosen.to != _DEFAULT


def _came(loss: Loss) -> list[Sighting]:
    """Where the request came in, in order."""
    seen = (one for one in loss.seen.sightings if wire.icmp_error(one.frame.data) is None)
    return [one for one in seen if not (one.returning or one.frame.out)]


def _has_default_at_best(loss: Loss, again: Passage) -> bool:
    """Whether a router that translated the source, and so gets the answer for it, sends that on by a default route that
    leads elsewhere, or has no route."""
    answer = again.came._replace(source=again.came.destination, destination=again.came.source)
    found = fib.decide(loss.state(again.place), fib.RouteLookup(answer, again.oif))
    if found is None:
        return True
    return found.route is not None and found.route.to == _DEFAULT and not fib.goes_by(found.route, again.iif)


def _knows_no_way_back(loss: Loss, source: str) -> bool:
    """Whether the place never had a route to the source of a request that it got: at best a default one, which leads
    elsewhere; no route that is gone or refuses."""
    here = [one for one in _came(loss) if one.place == loss.place.full_name]
    if not here or loss.place is loss.probe.sender:
        return False
    found, meant = loss.route(source), declared.route(loss.place, loss.question) or declared.subnet(loss.place, source)
    chosen = loss.decision.route if loss.decision else None
    if chosen and chosen.link == "lo":
        return False
    if isinstance(found, NoRoute):
        return found.name == "ENETUNREACH" and not meant
    if chosen is None or chosen.to != _DEFAULT or found.link == here[-1].frame.link:
        return False
    if loss.decision and loss.decision.custom:  # without the rule it would go back by where it came in?
        rest = [one.route for one in fib.decisions(loss.state(), loss.question) if not one.custom and one.route]
        if rest and rest[0].link == here[-1].frame.link:
            return False
    return not meant or f"via {chosen.via}" in meant
