"""Packets whose hop limit is at its end: it was small, or they go round in a circle."""

from __future__ import annotations

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.case import Case, Stage
from cnitest.explain.evidence.ip import sizes
from cnitest.explain.evidence.ip.sysctls import told
from cnitest.kernel.rows.records import Route
from cnitest.lab.probe import wire
from cnitest.lab.snapshot import words

_ROUNDS = 3


@cause("limits.routing-loop", Stage.ROUTING, order=-1)
def routing_loop(case: Case) -> Found | None:
    """Places send the packet round in a circle until its hop limit is at its end."""
    if not case.forwarded or _hops(case) > 1:
        return None
    here = [s for s in case.seen.sightings if s.place == case.place.full_name and s.returning == case.returning]
    rounds = sum(not sighting.frame.out and sighting.frame.link == case.link for sighting in here)
    if rounds < _ROUNDS or not isinstance(case.routed, Route):
        return None
    nearest = case.owner(case.routed.via or case.destination)
    other = f" to {nearest.full_name}" if nearest else ""
    return Found(
        "routing loop",
        f"{case.place.full_name} sends {case.destination}{other} ({words.route_key(case.routed)}), and it comes back",
        "routing",
        (f"it came in by {case.link} {rounds} times",),
        f"correct the route to {case.destination} of one of those that it goes round",
    )


@cause("limits.hop-limit", Stage.ROUTING, order=-1)
def hop_limit(case: Case) -> Found | None:
    """The hop limit (TTL) of the packet is at its end before it is where it goes."""
    hops = _hops(case)
    if not case.forwarded or hops > 1 or not isinstance(case.routed, Route):
        return None
    name = "hop limit" if case.six else "TTL"
    missing = sum(1 for _ in sizes.way(case, case.place))
    return Found(
        f"{name} expired",
        f"{case.place.full_name} gets it with a {name} of {hops}, and it is {missing} more to {case.destination}",
        "routing",
        _origin(case),
        f"send it with a {name} that is higher by at least {missing}",
    )


def _hops(case: Case) -> int:
    """The least hop limit with which the packet came to the place."""
    here = [s for s in case.seen.sightings if s.place == case.place.full_name and s.returning == case.returning]
    found = [wire.read(s.frame.data).hops for s in here if not s.frame.out and wire.icmp_error(s.frame.data) is None]
    return min(found, default=case.packet.hops)


def _origin(case: Case) -> tuple[str, ...]:
    """Where the small number comes from: the probe, the sender's sysctl or its route."""
    sender = case.owner(case.packet.source) or case.probe.sender
    if sender is case.probe.sender and case.probe.options.ttl is not None:
        return (f"the probe was sent with {case.probe.options.ttl}",)
    route = case.route(case.destination, place=sender)
    metric = dict(route.metrics).get("hoplimit") if isinstance(route, Route) else None
    if metric:
        return (f"the route of {sender.full_name} has hoplimit {metric}",)
    link = route.link if isinstance(route, Route) else "all"
    sysctl = f"ipv6/conf/{link}/hop_limit" if case.six else "ipv4/ip_default_ttl"
    return (f"{sender.full_name} has {told(sysctl)}={case.sysctl(sysctl, sender)}",)
