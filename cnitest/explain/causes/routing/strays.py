"""Rules, routes and addresses that the topology does not have, without which an answer would go back as it came."""

from __future__ import annotations

import ipaddress

from cnitest.explain.causes.routing.commands import delete_route, delete_rule
from cnitest.explain.evidence.ip import declared, fib
from cnitest.explain.evidence.ip.fib import Decision
from cnitest.explain.evidence.loss import Loss
from cnitest.kernel.rows.records import Route
from cnitest.lab.place import Place
from cnitest.topology.building.steps import AddRoute, AddRule, Sysctl

_CONNECTED = "kernel"


def of_strict_filter(loss: Loss, question: fib.RouteLookup, link: str) -> str:
    """As `removed`, where reverse path filtering on ``link`` was strict from the start; empty where it was made so
    later: then that is what is to be undone."""
    names = [f"ipv4/conf/{name}/rp_filter" for name in ("all", link)]
    strict = max(names, key=loss.number)
    declared_so = any(_same(step.name, name) and step.value == "1" for step in _sysctls(loss.place) for name in names)
    if not declared_so and loss.number(strict) != loss.number("ipv4/conf/default/rp_filter"):
        return ""
    return removed(loss, question, link)


def restored(loss: Loss, question: fib.RouteLookup, link: str) -> str:
    """The command that has the topology's route by ``link`` again, where the place has another one instead; else
    empty."""
    decision = next(fib.decisions(loss.state(), question), None)
    lacks = declared.link(loss.place, question) == link and not declared.is_there(loss.place, loss.state(), question)
    if decision is None or decision.route is None or decision.custom or not lacks:
        return ""
    if fib.length(decision.route) > fib.reach(declared.route(loss.place, question).split()[0], question):
        return ""
    return again(loss, loss.place, decision, question)


def is_router(place: Place) -> bool:
    """Whether the topology has a place forward anything."""
    names = ("ipv4.ip_forward", "ipv4.conf.all.forwarding", "ipv6.conf.all.forwarding")
    return any(step.value == "1" and any(_same(step.name, name) for name in names) for step in _sysctls(place))


def again(loss: Loss, place: Place, decision: Decision, question: fib.RouteLookup) -> str:
    """The command that has a place take the topology's route again, of which there is one: what decided goes, or is
    replaced where it is that route with another gateway."""
    route, wanted = decision.route, declared.route(place, question)
    if decision.custom or route is None:
        return delete_rule(loss, decision, place)
    gateway = declared.gateway(place, question)
    others = (one.route for one in fib.decisions(loss.state(place), question) if one.route and one.route != route)
    there = any(one.via == gateway for one in others) if gateway else False
    if there or fib.length(route) > fib.reach(wanted.split()[0], question):
        return delete_route(route)
    return f"ip {'-6 ' if loss.six else ''}route replace {wanted}"


def undone(loss: Loss, decision: Decision, place: Place) -> str:
    """The command that takes away what decided on a packet at a place: its rule, or the route alone where the topology
    has the rule and not the route."""
    route = decision.route
    steps = [step for step in place.lab.plan.steps if getattr(step, "place", "") == place.full_name]
    ruled = any(isinstance(step, AddRule) and step.rule.priority == decision.rule.priority for step in steps)
    routed = route and any(
        isinstance(step, AddRoute)
        and (_network(step.route.to), step.route.via or "") == (_network(route.to), route.via)
        for step in steps
    )
    if route and (not decision.custom or (ruled and not routed)):
        return delete_route(route)
    return delete_rule(loss, decision, place)


def _sysctls(place: Place) -> list[Sysctl]:
    steps = (step for step in place.lab.plan.steps if isinstance(step, Sysctl))
    return [step for step in steps if step.place == place.full_name]


def _same(declared_name: str, name: str) -> bool:
    return declared_name.replace("/", ".").removeprefix("net.") == name.replace("/", ".")


def removed(loss: Loss, question: fib.RouteLookup, link: str) -> str:
    """The command that takes away what decides on a packet at the place, where the topology does not have that and the
    packet would go by ``link`` without it; empty elsewhere."""
    decisions = fib.decisions(loss.state(), question)
    first = next(decisions, None)
    if first is None or first.route is None or first.route.kind != "unicast":
        return ""
    left = next((one.route for one in decisions if not (first.custom and one.rule == first.rule)), None)
    if left is None or left.kind != "unicast" or not fib.goes_by(left, link):
        return ""
    return _without(loss, first, first.route)


def _without(loss: Loss, decision: Decision, route: Route) -> str:
    steps = [step for step in loss.place.lab.plan.steps if getattr(step, "place", "") == loss.place.full_name]
    if decision.custom:
        known = any(isinstance(step, AddRule) and step.rule.priority == decision.rule.priority for step in steps)
        return "" if known else delete_rule(loss, decision)
    if route.protocol == _CONNECTED:
        return _foreign_address(loss, route)
    same = (step for step in steps if isinstance(step, AddRoute) and (step.route.via or "") == route.via)
    return "" if any(_network(step.route.to) == _network(route.to) for step in same) else delete_route(route)


def _foreign_address(loss: Loss, route: Route) -> str:
    """The command that takes an address away whose subnet the route is, where nobody declared it."""
    wanted = {step.address for step in declared.addresses(loss.place)}
    for row in loss.state().addresses:
        same = row.link == route.link and ipaddress.ip_interface(row.address).network == _network(route.to)
        if same and row.address not in wanted:
            return f"ip address del {row.address} dev {row.link}"
    return ""


def _network(prefix: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    return None if prefix == "default" else ipaddress.ip_network(prefix, strict=False)
