"""Routes that take what is for one place for something else: for the place itself, or for everybody on a link."""

from __future__ import annotations

import ipaddress

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.causes.routing.commands import delete_rule, replace_route, rule_words
from cnitest.explain.evidence.ip import declared, fib, next_hops
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.kernel.rows.records import Route
from cnitest.lab.snapshot import words

_TO_MANY = ("broadcast", "multicast", "anycast")


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
    """A route of kind broadcast, multicast or anycast takes the address of one place for that of many on a link."""
    asked = loss.question._replace(iif="") if loss.spot.out else loss.question
    decision, owner = fib.decide(loss.state(), asked), loss.owner(loss.destination)
    route = decision.route if decision else None
    if decision is None or route is None or route.kind not in _TO_MANY or owner is None or owner is loss.place:
        return None
    by = f", by rule {rule_words(decision)}" if decision.custom else ""
    return Found(
        f"{route.kind} route",
        f"{loss.place.full_name} takes {loss.destination} for an address of many: {words.route_key(route)}{by}",
        "routing",
        (f"{loss.destination} is that of {owner.full_name} alone",),
        delete_rule(loss, decision) if decision.custom else _broadcaster(loss, route) or replace_route(loss, route),
    )


def _broadcaster(loss: Loss, route: Route) -> str:
    """The command that takes the address away whose broadcast address is the packet's destination, with all its routes;
    empty where the topology has that address, or none made the route."""
    wanted = {step.address for step in declared.addresses(loss.place)}
    for row in loss.state().addresses if route.kind == "broadcast" else ():
        network = ipaddress.ip_interface(row.address).network
        makes = loss.destination in (row.broadcast, str(network.broadcast_address), str(network.network_address))
        if row.link == route.link and makes and row.address not in wanted:
            return f"ip address del {row.address} dev {row.link}"
    return ""
