"""Answers that part from the way of their request, and end where nobody knows a way on."""

from __future__ import annotations

from collections.abc import Iterator

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.causes.routing import strays
from cnitest.explain.causes.routing.commands import rule_words
from cnitest.explain.evidence.ip import declared, detours, fib, sendings
from cnitest.explain.evidence.ip.detours import Parting
from cnitest.explain.evidence.loss import Loss, NoRoute, Stage
from cnitest.explain.evidence.translation import first, passages
from cnitest.explain.evidence.wiring import LinkAt
from cnitest.kernel.rows.records import Route
from cnitest.lab.place import Place
from cnitest.lab.snapshot import words


@cause("routing.reply-astray", Stage.ROUTING, order=-2)
def reply_astray(loss: Loss) -> Found | None:
    """A rule or a longer prefix sends the reply by another link than the request came in by, and it ends there."""
    for parting in detours.partings(loss) if _leads_nowhere(loss) else ():
        taken, *others = _decisions(loss, parting)
        back = next((one.route for one in others if one.route and fib.goes_by(one.route, parting.came_by)), None)
        if back is None or taken.route is None:
            continue
        return _misled(loss, parting.place, f"the reply to {parting.destination}", taken, back)
    return None


def _misled(loss: Loss, place: Place, what: str, taken: fib.Decision, better: Route) -> Found:
    """A place sends something by what it has ``taken``, and without that would by a ``better`` route."""
    rule = f" by rule {rule_words(taken)}" if taken.custom else ""
    by = words.route_key(taken.route) if taken.route else ""
    return Found(
        f"rule to table {taken.rule.table}" if taken.custom else "preferred route",
        f"{place.full_name} sends {what}{rule} by {by}; without it, it would take {words.route_key(better)}",
        "routing",
        (),
        strays.undone(loss, taken, place),
        place.full_name,
    )


@cause("routing.astray", Stage.ROUTING, order=-2)
def astray(loss: Loss) -> Found | None:
    """A rule or a longer prefix sends the packet elsewhere, where no route leads on, and not to its receiver on a link
    of its place."""
    owner = loss.owner(loss.destination)
    lost = loss.received and loss.decision is None and isinstance(loss.routed, NoRoute)
    for place, question in _ways(loss) if owner and lost and not loss.returning else ():
        ways = [one for one in fib.decisions(loss.state(place), question) if one.route and one.kind == "unicast"]
        taken, straight = (
            next(iter(ways), None),
            next((one.route for one in ways[1:] if _is_near(loss, place, one)), None),
        )
        if taken is None or taken.route is None or straight is None or _is_near(loss, place, taken):
            continue
        found = _misled(loss, place, question.headers.destination, taken, straight)
        return found._replace(evidence=(f"{loss.place.full_name} has no route to {loss.destination}",))
    return None


def _ways(loss: Loss) -> Iterator[tuple[Place, fib.RouteLookup]]:
    """The places that sent the request and handed it on, each with what its routing decision was about."""
    sender = loss.probe.sender
    yield sender, fib.RouteLookup(first(loss) or loss.packet, mark=loss.mark_at(sender, sent=True))
    for one in passages(loss):
        yield one.place, fib.RouteLookup(one.left, one.iif, loss.mark_at(one.place, sent=False))


def _is_near(loss: Loss, place: Place, decision: fib.Decision) -> bool:
    """Whether a route leads to whoever has the packet's destination by a wire or bridge, without a gateway."""
    owner, route = loss.owner(loss.destination), decision.route
    ways = loss.wiring.ways(LinkAt(place.full_name, route.link)) if route and not route.via else {}
    return owner is not None and any(at.place == owner.full_name for at in ways)


@cause("routing.reply-by-default", Stage.ROUTING, order=-1)
def reply_by_default(loss: Loss) -> Found | None:
    """A place got the request, and has no route back to its source but the default one, which leads elsewhere."""
    parting = next(detours.partings(loss), None) if _leads_nowhere(loss) else None
    came_round = loss.owns(loss.packet.source)
    if parting is None or (not came_round and declared.route(loss.place, loss.question)):
        return None
    decisions = _decisions(loss, parting)
    if not decisions or not decisions[0].route or decisions[0].route.to != "default":
        return None
    here = parting.place.full_name
    six, via = "-6 " if loss.six else "", _previous(loss, parting)
    return Found(
        "no route back",
        f"{here} has no route back to {parting.destination} but {words.route_key(decisions[0].route)}, and the request "
        f"came in by {parting.came_by}",
        "routing",
        (f"{loss.place.full_name} {'gets its own packet back' if came_round else 'has no route to it either'}",),
        f"ip {six}route add {parting.destination} {f'via {via}' if via else f'dev {parting.came_by}'}",
        here,
    )


def _leads_nowhere(loss: Loss) -> bool:
    """Whether an answer ended where nobody refused it: there is no route on, or it came round to who has sent it."""
    if not loss.returning or not loss.received:
        return False
    lost = loss.decision is None and isinstance(loss.routed, NoRoute)
    return lost or sendings.refuses_own(loss)


def _decisions(loss: Loss, parting: Parting) -> list[fib.Decision]:
    """What decides on the answer where it parts, then what would without that, and so on."""
    place = parting.place
    mark = loss.mark_at(place, sent=not parting.came_back_by)
    question = fib.RouteLookup(parting.headers, parting.came_back_by, mark)
    return [one for one in fib.decisions(loss.state(place), question) if one.route and one.kind == "unicast"]


def _previous(loss: Loss, parting: Parting) -> str:
    """The address by which the request's last router, or its sender, is reached from where its answer parted; empty of
    none."""
    found = loss.route(parting.destination, place=parting.place)
    taken = found.link if isinstance(found, Route) else ""
    handed = [(one.place, one.oif) for one in passages(loss)]
    sent = (s.frame.link for s in loss.seen.sightings if s.place == loss.probe.sender.full_name and s.frame.out)
    handed += [(loss.probe.sender, link) for link in sent][:1]
    for place, link in handed:
        rows = loss.addresses(place, link)
        near = next((row.ip for row in rows if loss.in_network(row.ip, parting.place, parting.came_by)), "")
        if place is not parting.place and taken != parting.came_by and near:
            return near
    return ""
