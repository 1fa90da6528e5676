"""Replies to a translated source that go elsewhere than to the place that translated it."""

from __future__ import annotations

from cnitest.explain.causes.nat import source as sources
from cnitest.explain.causes.nat import untranslated
from cnitest.explain.causes.registry import Found
from cnitest.explain.evidence import translation
from cnitest.explain.evidence.ip import detours, fib
from cnitest.explain.evidence.ip.detours import Parting
from cnitest.explain.evidence.loss import Loss
from cnitest.explain.evidence.translation import Passage
from cnitest.kernel.rows.records import Route
from cnitest.lab.place import Place

_MOST_HOPS = 16


def source(loss: Loss) -> Found | None:
    """The reply to a source that a place has put into the request (SNAT, MASQUERADE), where it came to another place,
    from which no way leads to the one that would translate it back."""
    one = _translated(loss)
    if one is None or not (loss.received and untranslated.uplink_of(loss, one)) or _leads_to(loss, loss.place, one):
        return None
    new = one.left.source
    where, command = _remedy(loss, one)
    return Found(
        "reply not translated back",
        f"the reply to {new} comes to {loss.place.full_name}, not to {one.place.full_name}, which translated "
        f"{one.came.source} to it",
        hook="routing",
        evidence=tuple(f"{one.place.full_name}: {rule}" for rule in _rules(loss, one)),
        remedy=command,
        place=where.full_name,
    )


def _translated(loss: Loss) -> Passage | None:
    """Where the source that the reply is for was put in the place of another one, by a place that has it; None where
    the reply came back there, or to a place that the request had come by since then."""
    if not loss.returning:
        return None
    ways = translation.passages(loss)
    for at, one in enumerate(ways):
        if one.came.source != one.left.source == loss.packet.destination and loss.owns(one.left.source, one.place):
            after = {way.place.full_name for way in ways[at:]} | {_receiver(loss)}
            back = {seen.place for seen in loss.seen.sightings if seen.returning and not seen.frame.out}
            return None if loss.place.full_name in after or one.place.full_name in back else one
    return None


def _receiver(loss: Loss) -> str:
    """The place that has sent the reply."""
    return next((seen.place for seen in loss.seen.sightings if seen.returning), "")


def _leads_to(loss: Loss, start: Place, one: Passage, address: str = "") -> bool:
    """Whether routers lead from a place to the one that translated, by the ``address`` that it has; the sender is
    none."""
    place: Place | None = start
    for _ in range(_MOST_HOPS):
        if place is one.place:
            return True
        wanted = address or one.left.source
        if place is None or place is loss.probe.sender or loss.owns(wanted, place):
            return False
        found = loss.route(wanted, place=place)
        if not isinstance(found, Route) or found.kind != "unicast":
            return False
        place = loss.place.lab.owner(found.via or wanted, place)
    return False


def _rules(loss: Loss, one: Passage) -> list[translation.NatRule]:
    held = (rule for rule in sources.rules_of(loss, one) if rule.translates_source)
    return [rule for rule in held if not sources.mismatched(rule, one)][:1]


def _remedy(loss: Loss, one: Passage) -> tuple[Place, str]:
    """Where to run which command: the translating place takes the address of the link that the packet leaves by, where
    a way leads back to that; else the place where the reply parts sends it back to there."""
    uplink, receiver = untranslated.uplink_of(loss, one), loss.place.lab.place(_receiver(loss))
    if uplink not in ("", one.left.source) and _leads_to(loss, receiver, one, uplink):
        return one.place, sources.masquerade(loss, one, "-I", next(iter(_rules(loss, one)), None))
    for parting in detours.partings(loss):
        via = _neighbour(loss, one, parting)
        if via:
            return parting.place, _sent_back(loss, parting, via)
    return one.place, f"have the reply to {one.left.source} come by {one.place.full_name}"


def _neighbour(loss: Loss, one: Passage, parting: Parting) -> str:
    """The address of the last router before the place where the reply parts, on the link that the request came by."""
    ways = [way for way in translation.passages(loss) if way.place is not parting.place]
    for way in reversed(ways[ways.index(one) :]):
        rows = loss.addresses(way.place, way.oif)
        near = next((row.ip for row in rows if loss.in_network(row.ip, parting.place, parting.came_by)), "")
        if near:
            return near
    return ""


def _sent_back(loss: Loss, parting: Parting, via: str) -> str:
    """The command that replaces the route that the reply takes by one that leads where the request came from."""
    place, new = parting.place, parting.destination
    mark = loss.mark_at(place, sent=not parting.came_back_by)
    taken = fib.decide(loss.state(place), fib.RouteLookup(parting.headers, parting.came_back_by, mark))
    words = ["ip", *(["-6"] if loss.six else []), "route", "replace", new]
    words += [] if via == new else ["via", via]
    words += ["dev", parting.came_by]
    if taken and taken.route:
        words += ["table", str(taken.route.table)] if taken.custom else []
        exact = taken.route.to.partition("/")[0] == new
        words += ["metric", str(taken.route.metric)] if exact and taken.route.metric else []
    return " ".join(words)
