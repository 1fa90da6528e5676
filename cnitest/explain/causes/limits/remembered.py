"""Packets that are larger than a route on the way lets them be, or than their sender remembers that they may be."""

from __future__ import annotations

from cnitest.explain.causes.limits.sizes import message_ended
from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.ip import fib, sizes
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.kernel.rows.records import Route
from cnitest.lab.place import Place
from cnitest.lab.snapshot import words


@cause("limits.path-route-mtu", Stage.SOCKET_OUT, Stage.ROUTING, order=1)
def path_route_mtu(loss: Loss) -> Found | None:
    """A route of a place on the way has an MTU that is too small for the packet, which must not be sent in parts."""
    reported = loss.attempt.too_large if not loss.link else loss.forwarded and sizes.is_whole(loss)
    for place, _ in sizes.way(loss, loss.place) if reported else ():
        route = _configured(loss, place)
        if place is loss.probe.sender or route is None or not 0 < route.mtu < sizes.length(loss):
            continue
        key, size = words.route_key(route), sizes.length(loss)
        return Found(
            "route MTU",
            f"{place.full_name} has {key} with MTU {route.mtu}; the packet has {size} bytes, not to be sent in parts",
            "routing",
            (f"{loss.probe.sender.full_name} remembers the MTU until ip route flush cache",)
            if not loss.link
            else message_ended(loss),
            remedy=f"ip {'-6 ' if loss.six else ''}route change {words.route_in_command(route)} mtu {size}",
            place=place.full_name,
        )
    return None


@cause("limits.remembered-mtu", Stage.SOCKET_OUT, order=3)
def remembered_mtu(loss: Loss) -> Found | None:
    """The sender learned a small MTU on the way, and remembers it, while no link or route there has it any more."""
    route, size = loss.routed, sizes.length(loss)
    if loss.link or not loss.attempt.too_large or not isinstance(route, Route) or not 0 < route.mtu < size:
        return None
    return Found(
        "remembered MTU",
        f"{loss.place.full_name} remembers an MTU of {route.mtu} to {loss.destination}; the packet has {size} bytes",
        "routing",
        (f"the kernel says: {loss.attempt.violation}", "no link and no route on the way is as small"),
        f"ip {'-6 ' if loss.six else ''}route flush cache",
    )


def _configured(loss: Loss, place: Place) -> Route | None:
    """The route that a place has in its tables for the packet, without what it has learned meanwhile."""
    found = fib.decide(loss.state(place), fib.RouteLookup(loss.packet, tos=loss.question.tos))
    return found.route if found else None
