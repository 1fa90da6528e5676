"""Routes that take what is for one place for something else: for the place itself, or for everybody on a link."""

from __future__ import annotations

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.causes.routing.commands import delete_rule, replace_route, rule_words
from cnitest.explain.evidence.ip import fib, next_hops
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.kernel.rows.records import Route
from cnitest.lab.snapshot import words

_TO_MANY = ("broadcast", "multicast")


@cause("routing.loopback-route", Stage.SOCKET_OUT, Stage.ROUTING, order=-5)
def loopback_route(loss: Loss) -> Found | None:
    """A route keeps at a place what is for another one: it leads to the loopback link (``dev lo``), or is of kind
    local."""
    decision = loss.decision if next_hops.routed(loss) else None
    route = decision.route if decision else None
    if decision is None or route is None or not _stays(loss, route.kind, route.link):
        return None
    owner = loss.owner(loss.destination)
    by = f", by rule {rule_words(decision)}" if decision.custom else ""
    whose = f"{owner.full_name} has it" if owner else "nobody has it there"
    return Found(
        "route to lo" if route.kind == "unicast" else "local route",
        f"{loss.place.full_name} keeps {loss.destination} to itself, but {whose}: {words.route_key(route)}{by}",
        "routing",
        (f"{loss.destination} is no address of {loss.place.full_name}",),
        delete_rule(loss, decision) if decision.custom else replace_route(loss, route),
    )


def _stays(loss: Loss, kind: str, link: str) -> bool:
    """Whether a route of a kind, over a link, keeps what the place does not have an address for."""
    if loss.owns(loss.destination):
        return False
    if kind == "local":
        return loss.owner(loss.destination) not in (None, loss.place)
    return kind == "unicast" and link == "lo"


@cause("routing.group-route", Stage.SOCKET_OUT, Stage.WIRE, Stage.ROUTING, order=-5)
def group_route(loss: Loss) -> Found | None:
    """A route of kind broadcast or multicast takes the address of one place for that of everybody on a link."""
    way = loss.route(loss.destination) if loss.spot.out else loss.routed
    owner = loss.owner(loss.destination)
    if not isinstance(way, Route) or way.kind not in _TO_MANY or owner is None:
        return None
    rows = [row for row in loss.state().routes if row.kind == way.kind and fib.reach(row.to, loss.question) >= 0]
    route = max(rows, key=fib.length, default=None)
    if route is None:
        return None
    return Found(
        f"{way.kind} route",
        f"{loss.place.full_name} takes {loss.destination} for an address of everybody: {words.route_key(route)}",
        "routing",
        (f"{loss.destination} is that of {owner.full_name} alone",),
        replace_route(loss, route),
    )
