"""Next hops: whether anybody in the lab has the one that a route leads to, and whether another route would do."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from cnitest.explain.evidence.ip import fib
from cnitest.explain.evidence.ip.fib import Decision
from cnitest.explain.evidence.ip.kernel_routes import IN_VAIN
from cnitest.explain.evidence.leg import travelled
from cnitest.explain.evidence.loss import Loss
from cnitest.explain.evidence.wiring import LinkAt
from cnitest.kernel.rows.records import Address, Route
from cnitest.lab.place import Place
from cnitest.lab.snapshot import state as states


def routed(loss: Loss) -> bool:
    """Whether the place decides where the packet goes on: it sends or forwards it."""
    return not loss.link or loss.forwarded


def arrived(loss: Loss) -> bool:
    """Whether the packet came to the place that it is for, on its way there."""
    return loss.received and not loss.forwarded and not loss.returning


def to_and_fro(loss: Loss) -> bool:
    """Whether the place could only send it back by the link that it came in by: to who has sent it, or to a neighbour
    that its sender looks for there itself."""
    leg, route = loss.once(travelled), loss.decision.route if loss.decision else None
    if leg is None or route is None or route.link != loss.incoming:
        return False
    return not leg.gateway or loss.owner(route.via or loss.destination) is leg.sender


def hop(loss: Loss) -> str:
    """The address of the next hop, empty when there is no route."""
    return loss.routed.via or loss.destination if isinstance(loss.routed, Route) else ""


def unanswered(loss: Loss) -> str:
    """The next hop, where the kernel asks for its MAC and nobody answers: the packet has come so far; else empty."""
    wanted = hop(loss)
    asks = any(row.ip == wanted and row.state in IN_VAIN for row in loss.place.neighbours)
    return wanted if asks else ""


def missing(loss: Loss) -> bool:
    """Whether the kernel has a route for the packet, and nobody has its next hop."""
    return routed(loss) and isinstance(loss.routed, Route) and _is_missing(loss, loss.routed)


def better(loss: Loss) -> tuple[Decision, Decision] | None:
    """What decided on a packet whose next hop nobody has, and the next decision, whose next hop somebody has.

    Where a rule chose the table, a next hop that somebody has, but not on the link where it is asked for in vain, is
    nobody's there; else it may as well be the wiring that is wrong. None, too, where nobody has the destination: no way
    would lead there.
    """
    if not (missing(loss) or _is_elsewhere(loss)) or loss.owner(loss.destination) is None:
        return None
    decisions = fib.decisions(loss.state(), loss.question)
    first = next(decisions, None)
    if first is None or not (missing(loss) or first.custom):
        return None
    usable = (one for one in decisions if one.route and one.kind == "unicast" and not one.route.state)
    return next(((first, one) for one in usable if one.route and _leads_on(loss, one.route)), None)


def _is_elsewhere(loss: Loss) -> bool:
    """Whether the next hop is asked for in vain on a link that no wire or bridge leads from to whoever has it."""
    return (
        routed(loss) and bool(unanswered(loss)) and isinstance(loss.routed, Route) and not _is_near(loss, loss.routed)
    )


def _leads_on(loss: Loss, route: Route) -> bool:
    """Whether somebody on the route's link has its next hop."""
    return not _is_missing(loss, route) and _is_near(loss, route)


def _is_near(loss: Loss, route: Route) -> bool:
    """Whether a wire or bridge leads from a route's link to whoever has its next hop; so it is where nobody has it."""
    owner = loss.owner(route.via or loss.destination)
    ways = loss.wiring.ways(LinkAt(loss.place.full_name, route.link))
    return owner is None or any(at.place == owner.full_name for at in ways)


def nobody(loss: Loss) -> tuple[str, ...]:
    """The evidence that a next hop is nobody's."""
    link = loss.routed.link if isinstance(loss.routed, Route) else ""
    return (f"nobody answers for {hop(loss)} on {loss.place.full_name}:{link}",)


def vacant_bridge(loss: Loss, sender: Place, link: str, address: str) -> tuple[str, str] | None:
    """The host whose bridge a link leads to, where that has no address of the family itself, and the command that gives
    it the address of a next hop; None where there is not just one such, or the next hop is of no subnet of the link."""
    ways = loss.wiring.ways(LinkAt(sender.full_name, link))
    bridges = [at for at in ways if loss.wiring.links[at].kind == "bridge" and at.place in sender.lab.hosts]
    length = _length(loss, sender, link, address)
    if len(bridges) != 1 or not length:
        return None
    at = bridges[0]
    rows = [row for row in loss.state(loss.wiring.places[at.place]).addresses if row.link == at.link]
    if any(row.scope == "global" and (":" in row.ip) == (":" in address) for row in rows):
        return None
    return at.place, f"ip address add {address}/{length} dev {at.link}{' nodad' if ':' in address else ''}"


def _length(loss: Loss, place: Place, link: str, address: str) -> int:
    """The length of the prefix of a link's subnet that an address is in; 0 where there is none."""
    own = (ipaddress.ip_interface(row.address).network for row in loss.state(place).addresses if row.link == link)
    return next((network.prefixlen for network in own if ipaddress.ip_address(address) in network), 0)


def _is_missing(loss: Loss, route: Route) -> bool:
    """Whether nobody has the next hop of a route, and no neighbour entry says otherwise."""
    address = route.via or loss.destination
    known = any(row.ip == address and row.link == route.link and row.mac for row in loss.state().neighbours)
    return not known and route.kind == "unicast" and loss.owner(address) is None


def way_on(loss: Loss, place: Place) -> str:
    """A route that would lead a packet on from a place, as ``ip route add`` takes it: to the subnet of an address of
    the place's own that its destination is in, else through the one router on its links that has a route there.

    Of several routers it is not known which was meant: then, and where there is none, ``DESTINATION via …``."""
    destination = ipaddress.ip_address(loss.destination)
    for row in _own(loss, place):
        network = ipaddress.ip_interface(row.address).network
        if destination in network and network.num_addresses > 1:
            return f"{network} dev {row.link}"
    routers = {found for row in _own(loss, place) for found in _routers(loss, place, row)}
    return f"{loss.destination} via {routers.pop() if len(routers) == 1 else '…'}"


def in_a_subnet(loss: Loss) -> bool:
    """Whether the packet's destination is in the subnet of a link of anybody's."""
    destination = ipaddress.ip_address(loss.destination)
    rows = (row for place in loss.wiring.places.values() for row in states.addresses(place.namespace))
    networks = (ipaddress.ip_interface(row.address).network for row in rows)
    return any(destination in network and network.num_addresses > 1 for network in networks)


def _own(loss: Loss, place: Place) -> list[Address]:
    """The addresses of a place in the packet's family that others can reach."""
    return [row for row in loss.addresses(place) if row.link != "lo"]


def _routers(loss: Loss, place: Place, own: Address) -> Iterator[str]:
    """Addresses in the subnet of a place's own one, on its link, of those who have the destination or hand packets on
    to it."""
    subnet = ipaddress.ip_interface(own.address).network
    near = {at.place for at in loss.wiring.ways(LinkAt(place.full_name, own.link))} - {place.full_name}
    for other in (loss.wiring.places[name] for name in sorted(near)):
        if loss.owner(loss.destination) is other or _hands_on(loss, other, place):
            yield from (row.ip for row in _own(loss, other) if ipaddress.ip_address(row.ip) in subnet)


def _hands_on(loss: Loss, router: Place, back: Place) -> bool:
    """Whether a place forwards, and has a route for the packet that does not lead back to another place."""
    forwards = loss.sysctl("ipv6/conf/all/forwarding" if loss.six else "ipv4/ip_forward", router) == "1"
    route = loss.route(loss.destination, place=router) if forwards else None
    return isinstance(route, Route) and route.kind == "unicast" and not loss.owns(route.via, back)
