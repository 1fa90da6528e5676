"""Routes that are taken, and lead to a next hop that nobody has."""

from __future__ import annotations

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.causes.routing import strays
from cnitest.explain.causes.routing.commands import delete_route, delete_rule, rule_words
from cnitest.explain.evidence.ip import declared, detours, fib, next_hops
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.kernel.rows.records import Route
from cnitest.lab.reach import Sighting
from cnitest.lab.snapshot import words


@cause("routing.rule-table", Stage.NEIGHBOUR, order=-3)
def rule_table(loss: Loss) -> Found | None:
    """A policy rule chooses a table that leads to a next hop that nobody has; without the rule it would pass."""
    taken, other = next_hops.better(loss) or (None, None)
    if not taken or not other or not taken.route or not other.route or not taken.custom or taken.rule == other.rule:
        return None
    return Found(
        f"rule to table {taken.rule.table}",
        f"{loss.place.full_name} has rule {rule_words(taken)}: {words.route_key(taken.route)}; without it the packet "
        f"would take {words.route_key(other.route)}",
        "routing",
        next_hops.nobody(loss),
        delete_rule(loss, taken),
    )


@cause("routing.preferred-route", Stage.NEIGHBOUR, order=-3)
def preferred_route(loss: Loss) -> Found | None:
    """A route to a next hop that nobody has is preferred (longer prefix, lower metric) to one that would work."""
    taken, other = next_hops.better(loss) or (None, None)
    if not taken or not other or not taken.route or not other.route or (taken.custom and taken.rule != other.rule):
        return None
    why = "longer prefix" if fib.length(taken.route) > fib.length(other.route) else "lower metric"
    return Found(
        "preferred route",
        f"{loss.place.full_name} prefers {words.route_key(taken.route)} ({why}) to {words.route_key(other.route)}",
        "routing",
        next_hops.nobody(loss),
        delete_route(taken.route),
    )


@cause("routing.no-such-gateway", Stage.NEIGHBOUR, order=-2)
def no_such_gateway(loss: Loss) -> Found | None:
    """The route leads to a gateway that nobody in the lab has."""
    hop = next_hops.hop(loss)
    if not next_hops.missing(loss) or hop == loss.destination or declared.holders(loss.place, hop):
        return None
    key = words.route_key(loss.decision.route) if loss.decision and loss.decision.route else f"via {hop}"
    meant = declared.gateway(loss.place, loss.question)
    other = meant not in ("", hop)
    link = loss.routed.link if isinstance(loss.routed, Route) else ""
    place, given = (None if other else next_hops.vacant_bridge(loss, loss.place, link, hop)) or ("", "")
    return Found(
        "no such gateway",
        f"{loss.place.full_name} sends {loss.destination} by {key}, and nobody has {hop}",
        "neighbour",
        (*next_hops.nobody(loss), *([f"the bridge of {place} that {link} leads to has no address"] if place else ())),
        given or _instead(loss, other=other),
        place or loss.place.full_name,
    )


def _instead(loss: Loss, *, other: bool) -> str:
    """The command that has a place take the topology's route, where that has an ``other`` gateway, else one that leads
    on."""
    if other and loss.decision:
        return strays.again(loss, loss.place, loss.decision, loss.question)
    return f"ip {'-6 ' if loss.six else ''}route replace {next_hops.way_on(loss, loss.place)}"


@cause("routing.reply-other-way", Stage.WIRE, Stage.EGRESS, order=90)
def reply_other_way(loss: Loss) -> Found | None:
    """The reply takes another way than the request, and ends on it, where no other cause is found."""
    if not loss.returning or not loss.link or any(one.place == loss.place.full_name for one in _forth(loss)):
        return None
    said = detours.by_another_link(loss)
    if not said:
        return None
    return Found(
        "reply by another way",
        f"the reply ends on {loss.place.full_name}, which the request did not pass",
        "routing",
        (),
        f"have the reply leave by the link that the request came in by: {said}",
    )


def _forth(loss: Loss) -> list[Sighting]:
    return [sighting for sighting in loss.seen.sightings if not sighting.returning]
