"""What the topology declares of a place, for what is no longer there."""

from __future__ import annotations

from cnitest.explain.evidence.ip import fib
from cnitest.lab.place import Place
from cnitest.topology.building.steps import AddAddress, AddRoute
from cnitest.topology.words.ip_words import is_ipv6, route_words


def route(place: Place, question: fib.Question) -> str:
    """The declared route that would lead to a packet's destination, as ``ip route add`` takes it; empty without one."""
    best, found = -1, ""
    for step in place.lab.plan.steps:
        if not isinstance(step, AddRoute) or step.place != place.full_name or step.route.kind != "unicast":
            continue
        length = fib.reach(step.route.to, question) if is_ipv6(step.route) == (question.family == 6) else -1
        if length > best:
            best, found = length, route_words(step.route)
    return found


def holders(place: Place, address: str) -> list[AddAddress]:
    """Which links were declared to have an address."""
    return [
        step
        for step in place.lab.plan.steps
        if isinstance(step, AddAddress) and step.address.partition("/")[0] == address
    ]
