"""Causes in the routing decision: no route, routes that refuse, forwarding off, sources that are not believed."""

from __future__ import annotations

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.case import Case, NoRoute, Stage
from cnitest.kernel.rows.records import Route


@cause(
    "routing.no-route",
    Stage.SOCKET_OUT,
    Stage.ROUTING,
    reasons=("IP_INNOROUTES", "IP_OUTNOROUTES", "IPV6_NOROUTES", "IP_INADDRERRORS"),
)
def no_route(case: Case) -> Found | None:
    """The place has no route to where the packet goes."""
    found = case.route(case.packet.destination)
    if not isinstance(found, NoRoute) or found.name not in ("ENETUNREACH", "EHOSTUNREACH"):
        return None
    what = "reply" if case.returning else "packet"
    return Found(
        "no route",
        f"{case.place.full_name} has no route to {case.packet.destination}",
        hook="routing",
        evidence=(f"the kernel answers {found.name} for the {what}'s destination",),
        remedy=f"ip {'-6 ' if case.six else ''}route add {case.packet.destination} via …",
    )


@cause("routing.forwarding-off", Stage.ROUTING)
def forwarding_off(case: Case) -> Found | None:
    """The place is no router: IP forwarding is off, for the family or on the link where the packet comes in."""
    if not case.forwarded:
        return None
    names = _forwarding(case)
    off = next((name for name in names if case.sysctl(name) == "0"), "")
    if not off or not isinstance(case.route(case.packet.destination), Route):
        return None
    dotted = f"net.{off.replace('/', '.')}"
    return Found(
        "forwarding off",
        f"{case.place.full_name} does not forward {'IPv6' if case.six else 'IPv4'}: {dotted}=0",
        hook="routing",
        evidence=(f"{case.packet.destination} is no address of {case.place.full_name}",),
        remedy=f"sysctl -w {dotted}=1",
    )


def _forwarding(case: Case) -> tuple[str, ...]:
    """The sysctls that have to be on for a packet that comes in as this one does."""
    return (f"{case.family}/conf/{case.incoming}/forwarding",)
