"""What is not forwarded: by a place that is no router, or because its address holds on one link only."""

from __future__ import annotations

import ipaddress

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.causes.routing import strays
from cnitest.explain.evidence.ip import declared, fib
from cnitest.explain.evidence.ip.next_hops import to_and_fro
from cnitest.explain.evidence.ip.sysctls import set_to, sysctl_name
from cnitest.explain.evidence.leg import travelled
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.lab.place import Place
from cnitest.lab.snapshot import words


@cause("routing.no-router", Stage.ROUTING, order=-1)
def no_router(loss: Loss) -> Found | None:
    """A route leads to a neighbour that forwards nothing, and never did, instead of the topology's gateway or where
    the next route leads to."""
    off = _switched_off(loss)
    leg = loss.once(travelled) if off else None
    if leg is None or not leg.gateway or strays.is_router(loss.place):
        return None
    lookup, here = fib.RouteLookup(loss.packet), leg.sender.full_name
    decision, route = fib.decide(loss.state(leg.sender), lookup), declared.route(leg.sender, lookup)
    wanted = declared.gateway(leg.sender, lookup) or route
    if decision is None or decision.route is None or wanted == leg.next_hop:
        return None
    remedy = strays.again(loss, leg.sender, decision, lookup) if wanted else _without(loss, leg.sender, decision)
    if not remedy:
        return None
    return Found(
        "no router",
        f"{here} sends {loss.destination} by {words.route_key(decision.route)}, and {loss.place.full_name}, which "
        f"has {leg.next_hop}, is no router{f'; the topology has {wanted} there' if wanted else ''}",
        "routing",
        (f"{sysctl_name(off)}=0 at {loss.place.full_name}",),
        remedy,
        here,
    )


def _without(loss: Loss, place: Place, taken: fib.Decision) -> str:
    """The command that takes away what decided on the packet at a place, where the next decision leads to somebody
    else; else empty."""
    route = taken.route
    later = (one for one in fib.decisions(loss.state(place), fib.RouteLookup(loss.packet)) if one.route != route)
    other = next((one.route for one in later if one.route and one.kind == "unicast"), None)
    if route is None or other is None or (other.via, other.link) == (route.via, route.link):
        return ""
    return strays.undone(loss, taken, place)


@cause("routing.forwarding-off", Stage.ROUTING)
def forwarding_off(loss: Loss) -> Found | None:
    """The place is no router: IP forwarding is off, for the family or on the link where the packet comes in."""
    off = _switched_off(loss)
    if not off or to_and_fro(loss):
        return None
    return Found(
        "forwarding off",
        f"{loss.place.full_name} does not forward {'IPv6' if loss.six else 'IPv4'}: {sysctl_name(off)}=0",
        "routing",
        (f"{loss.destination} is no address of {loss.place.full_name}",),
        set_to(1, off),
    )


def _switched_off(loss: Loss) -> str:
    """The sysctl by which the place does not forward the packet; empty where it does, or does not have to."""
    if not loss.forwarded or loss.decision is None or loss.decision.kind != "unicast":
        return ""
    family, link = loss.family, f"{loss.family}/conf/{loss.incoming}"
    if loss.six:
        off = f"{family}/conf/all/forwarding" if loss.sysctl(f"{link}/force_forwarding") != "1" else ""
    else:
        off = "ipv4/ip_forward" if loss.sysctl("ipv4/ip_forward") == "0" else f"{link}/forwarding"
    on = loss.sysctl(f"{link}/forwarding" if not loss.six else off) != "0" if off else True
    return "" if on else off


@cause("routing.link-local", Stage.ROUTING)
def link_local(loss: Loss) -> Found | None:
    """A packet from or to a link-local address of IPv6 is not forwarded to another link."""
    found = next((a for a in (loss.packet.source, loss.destination) if loss.six and _is_link_local(a)), "")
    if not loss.forwarded or not found:
        return None
    sender, said = loss.probe.sender, "a link-local address holds on one link only"
    own = not loss.returning and found == loss.packet.source
    again = declared.given_again(sender, loss.state(sender), six=True) if own else ""
    return Found(
        "link-local address",
        f"{loss.place.full_name} does not forward {found}: {said}",
        "routing",
        (f"{sender.full_name} lacks addresses that the topology declares",) if again else (),
        again or "send from and to a global address",
        sender.full_name if again else "",
    )


def _is_link_local(address: str) -> bool:
    return ipaddress.ip_address(address).is_link_local if address else False
