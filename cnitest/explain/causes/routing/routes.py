"""Routes and rules that refuse a packet, and routes that are not there."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.causes.routing.commands import answers, delete_rule, kernel_answer, replace_route, rule_words
from cnitest.explain.evidence.ip import declared, detours, fib, next_hops
from cnitest.explain.evidence.ip.sysctls import sysctl_name
from cnitest.explain.evidence.leg import ahead, owners_of
from cnitest.explain.evidence.loss import Loss, NoRoute, Stage
from cnitest.kernel.rows.records import Route
from cnitest.lab.snapshot import words

_FIRST = -11
_REFUSES = {"blackhole": "drops it silently", "unreachable": "rejects it", "prohibit": "rejects it as prohibited"}


@cause("routing.blackhole", Stage.SOCKET_OUT, Stage.ROUTING)
def blackhole(loss: Loss) -> Found | None:
    """A route or rule of kind blackhole drops the packet without a word."""
    return _refused(loss, "blackhole") or _refusing_nexthop(loss)


@cause("routing.unreachable", Stage.SOCKET_OUT, Stage.ROUTING)
def unreachable(loss: Loss) -> Found | None:
    """A route or rule of kind unreachable rejects the packet."""
    return _refused(loss, "unreachable")


@cause("routing.prohibit", Stage.SOCKET_OUT, Stage.ROUTING)
def prohibit(loss: Loss) -> Found | None:
    """A route or rule of kind prohibit rejects the packet as administratively prohibited."""
    return _refused(loss, "prohibit")


def _refused(loss: Loss, kind: str) -> Found | None:
    decision = loss.decision
    if not next_hops.routed(loss) or decision is None or decision.kind != kind or isinstance(loss.routed, Route):
        return None
    if decision.route is None:
        said = f"{loss.place.full_name} has a rule of kind {kind}: {rule_words(decision)}"
        return Found(f"{kind} rule", f"{said}, which {_REFUSES[kind]}", "routing", remedy=delete_rule(loss, decision))
    by = f", by rule {rule_words(decision)}" if decision.custom else ""
    return Found(
        f"{kind} route",
        f"{loss.place.full_name} has {words.route_key(decision.route)}{by}, which {_REFUSES[kind]}",
        "routing",
        (f"the kernel answers {kernel_answer(loss)} for {loss.destination}",),
        replace_route(loss, decision.route),
    )


def _refusing_nexthop(loss: Loss) -> Found | None:
    """A next hop object of kind blackhole, which routes show by its number alone."""
    route = loss.decision.route if loss.decision and next_hops.routed(loss) else None
    if route is None or not route.nhid or isinstance(loss.routed, Route):
        return None
    hop = next((one for one in loss.state().nexthops if one.id == route.nhid and "blackhole" in one.flags), None)
    if hop is None:
        return None
    said = f"{loss.place.full_name} has {words.route_key(route)}, and next hop {hop.id} is a blackhole"
    return Found("blackhole nexthop", said, "routing", remedy=replace_route(loss, route))


@cause("routing.throw", Stage.SOCKET_OUT, Stage.ROUTING)
def throw(loss: Loss) -> Found | None:
    """A throw route ends the search in its table, and no later table has a route."""
    found = fib.thrown(loss.state(), loss.question) if next_hops.routed(loss) and loss.decision is None else None
    if found is None or found.route is None or isinstance(loss.routed, Route):
        return None
    key = words.route_key(found.route)
    return Found(
        "throw route",
        f"{loss.place.full_name} has {key}, and no table after that has a route to {loss.destination}",
        "routing",
        (f"the kernel answers {kernel_answer(loss)}", f"rule {rule_words(found)}"),
        replace_route(loss, found.route),
    )


@cause("routing.nexthop-dead", Stage.SOCKET_OUT, Stage.ROUTING)
def nexthop_dead(loss: Loss) -> Found | None:
    """There is a route, but its link is down or has no carrier, so the kernel passes it over."""
    if not next_hops.routed(loss) or isinstance(loss.routed, Route) or loss.decision:
        return None
    route = next(
        (one for one in loss.state().routes if _has_no_carrier(one) and fib.would_lead(one, loss.question)), None
    )
    if route is None:
        return None
    ignores = f"{loss.family}/conf/all/ignore_routes_with_linkdown"
    why = f" and {sysctl_name(ignores)}=1" if loss.sysctl(ignores) == "1" else ""
    return Found(
        "next hop dead",
        f"{loss.place.full_name} does not use {words.route_key(route)}: {route.link} has no carrier{why}",
        "routing",
        (f"the route is marked {' '.join(route.state)}",),
        f"bring up the other end of {route.link}",
    )


def _has_no_carrier(route: Route) -> bool:
    return bool({"dead", "linkdown"} & {*route.state})


@cause("routing.route-gone", Stage.SOCKET_OUT, Stage.ROUTING, Stage.NEIGHBOUR, order=_FIRST)
def route_gone(loss: Loss) -> Found | None:
    """A route that the topology has is gone, and its place sends the packet by another one: to where no route leads on,
    or by a link where its receiver is not."""
    elsewhere = isinstance(loss.routed, NoRoute)
    one = _led_away(loss) if elsewhere else _looked_for_elsewhere(loss)
    if one is None:
        return None
    replaced = fib.length(one.route) == fib.reach(one.wanted.split()[0], loss.question)
    ends = _end(loss) if elsewhere else f"asks in vain who has {next_hops.hop(loss)} on {one.route.link}"
    return Found(
        "route gone",
        f"{one.place.full_name} sends {loss.destination} by {words.route_key(one.route)}: it has not got the "
        "topology's route",
        "routing",
        (f"the topology declares {one.wanted}, which is gone", f"{loss.place.full_name} {ends}"),
        f"ip {'-6 ' if loss.six else ''}route {'replace' if replaced else 'add'} {one.wanted}",
        one.place.full_name,
    )


def _end(loss: Loss) -> str:
    """How a packet ended at a place from which the kernel routes it no further."""
    if loss.owns(loss.packet.source):
        return "gets its own packet back"
    return "does not route it on" if loss.decision else "has no route"


def _led_away(loss: Loss) -> detours.Forsaken | None:
    """Who sent the packet on to a place that does not route it on."""
    if not loss.forwarded:
        return None
    there = (one for one in detours.forsaken(loss) if one.place is not loss.place)
    return next((one for one in there if one.at in loss.wiring.links and loss.wiring.links[one.at].up), None)


def _looked_for_elsewhere(loss: Loss) -> detours.Forsaken | None:
    """The place itself, where it looks for the receiver on a segment that does not have it, and the topology's route
    leads to one that does."""
    leg, decision = loss.once(ahead), loss.decision
    if leg is None or leg.gateway or leg.way or not leg.owners or not next_hops.unanswered(loss):
        return None
    if decision is None or decision.custom or decision.kind != "unicast":
        return None
    for one in detours.forsaken(loss, replaced=True):
        if one.place is loss.place and one.at in loss.wiring.links and loss.wiring.links[one.at].up:
            wanted = declared.gateway(one.place, loss.question) or loss.destination
            near = loss.wiring.ways(one.at)
            if any(owner in near for owner in owners_of(loss.wiring, wanted, one.place)):
                return one
    return None


@cause("routing.no-route", Stage.SOCKET_OUT, Stage.ROUTING)
def no_route(loss: Loss) -> Found | None:
    """The place has no route to where the packet goes."""
    return None if loss.returning else _no_route(loss, "no route", "no route")


@cause("routing.no-return-route", Stage.SOCKET_OUT, Stage.ROUTING)
def no_return_route(loss: Loss) -> Found | None:
    """The packet arrived, but a place has no route for the answer back to its sender."""
    return _no_route(loss, "no route back", "no route for the reply") if loss.returning else None


def _no_route(loss: Loss, dropped_by: str, what: str) -> Found | None:
    if not next_hops.routed(loss) or loss.decision or not answers(loss, "ENETUNREACH", "EHOSTUNREACH"):
        return None
    destination = loss.destination
    missing = declared.route(loss.place, loss.question)
    family = "-6 " if loss.six else ""
    over = [row for row in loss.state().routes if "expired" in row.state and fib.would_lead(row, loss.question)]
    route = f"ip {family}route {'replace' if over else 'add'} {missing or _way_on(loss)}"
    remedy = _moved(loss) or f"{_connected(loss)}{route}"
    gone = (f"the topology declares {missing}, which is gone",) if missing and not over else ()
    expired = (f"{words.route_key(row)} has expired" for row in over)
    evidence = (f"the kernel answers {kernel_answer(loss)}", *gone, *expired)
    return Found(dropped_by, f"{loss.place.full_name} has {what} to {destination}", "routing", evidence, remedy)


def _way_on(loss: Loss) -> str:
    """The route that would lead on: the default one where the place has none, and the destination is in nobody's
    subnet, as what is outside the network is."""
    found = next_hops.way_on(loss, loss.place)
    defaults = (row for row in loss.state().routes if row.to == "default" and row.family == loss.question.family)
    if any(defaults) or next_hops.in_a_subnet(loss):
        return found
    return found.replace(f"{loss.destination} via", "default via")


def _moved(loss: Loss) -> str:
    """The command that moves an address back, where it is on another link than the topology has it on, and the gateway
    of the route that is lacking is in its subnet; else empty."""
    gateway = declared.gateway(loss.place, loss.question)
    if not gateway or isinstance(loss.route(gateway), Route):
        return ""
    own = (ip_interface(step.address) for step in declared.addresses(loss.place))
    near = (str(one.ip) for one in own if ip_address(gateway) in one.network)
    return next(filter(None, (declared.moved_back(loss.place, loss.state(), ip) for ip in near)), "")


def _connected(loss: Loss) -> str:
    """The command, with ``&&``, that gives a place the route of a link's subnet again, where the gateway of the route
    that it lacks is in there and has no route either (``noprefixroute``, a table that was flushed); else empty."""
    gateway = declared.gateway(loss.place, loss.question)
    if not gateway or isinstance(loss.route(gateway), Route):
        return ""
    rows = loss.addresses(loss.place)
    near = next((row for row in rows if ip_address(gateway) in ip_interface(row.address).network), None)
    if near is None:
        return _widened(loss, gateway)
    return f"ip {'-6 ' if loss.six else ''}route add {ip_interface(near.address).network} dev {near.link} && "


def _widened(loss: Loss, gateway: str) -> str:
    """The command, with ``&&``, that gives an address the prefix again that the topology has for it, and that the
    gateway is in; empty where it has that."""
    own = {(row.ip, row.link) for row in loss.state().addresses}
    for step in declared.addresses(loss.place):
        found = ip_interface(step.address)
        if (str(found.ip), step.link.name) in own and ip_address(gateway) in found.network and not loss.six:
            return f"ip address add {step.address} dev {step.link.name} && "
    return ""
