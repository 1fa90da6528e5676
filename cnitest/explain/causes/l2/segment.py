"""Next hops that are not on the segment where they are looked for: no bridge, another one, another subnet, nobody."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.causes.routing.commands import delete_route
from cnitest.explain.evidence.ip import declared, fib, next_hops
from cnitest.explain.evidence.leg import Leg, travelled
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.explain.evidence.wiring import LinkAt
from cnitest.kernel.rows.records import Route
from cnitest.lab.probe import wire
from cnitest.lab.snapshot import words
from cnitest.topology.building.steps import AddLink, SetLink

_STAGES = (Stage.WIRE, Stage.INGRESS, Stage.BRIDGE)


@cause("l2.no-bridge", *_STAGES)
def no_bridge(loss: Loss) -> Found | None:
    """The link that leads to the next hop, or to the sender, is no port of a bridge."""
    leg = _astray(loss)
    if leg is None or not leg.owners:
        return None
    near, far = loss.wiring.ways(leg.start), loss.wiring.ways(leg.owners[0])
    for side, other in ((far, near), (near, far)):
        for at in side:
            bridge = _bridge(loss, other, at.place)
            if bridge and (_is_loose(loss, at) or _has_left(loss, at, bridge)):
                return Found(
                    "no bridge port",
                    f"{at} is no port of a bridge: it should be one of {bridge.link}",
                    hook="bridge",
                    evidence=(
                        f"no wire or bridge leads from {leg.start} to {leg.owners[0]}, which has {leg.next_hop}",
                    ),
                    remedy=f"ip link set {at.link} master {bridge.link}",
                    place=at.place,
                )
    return None


@cause("l2.wrong-bridge", *_STAGES)
def wrong_bridge(loss: Loss) -> Found | None:
    """The sender and the next hop are on different bridges of a place."""
    leg = _astray(loss)
    if leg is None or not leg.owners:
        return None
    near, far = loss.wiring.ways(leg.start), loss.wiring.ways(leg.owners[0])
    for bridge in _bridges(loss, near):
        other = _bridge(loss, far, bridge.place)
        if other:
            wrong, right = _misplaced(loss, (bridge, near), (other, far))
            return Found(
                "wrong bridge",
                f"{wrong} is a port of {loss.wiring.links[wrong].master}, not of {right.link}",
                hook="bridge",
                evidence=(_apart(leg),),
                remedy=f"ip link set {wrong.link} master {right.link}",
                place=wrong.place,
            )
    return None


@cause("l2.elsewhere", *_STAGES)
def elsewhere(loss: Loss) -> Found | None:
    """The next hop is looked for on a link, but is on another segment: a prefix too wide, or a gateway out of reach."""
    leg = _astray(loss)
    if leg is None or not leg.owners:
        return None
    wide = _wide_prefix(loss, leg)
    router, astray = _router(loss, leg), _stray_route(loss, leg)
    shown = (words.route_key(astray),) if astray else ()
    return Found(
        "wrong subnet",
        f"{leg.sender.full_name} looks for {leg.next_hop} on {leg.start.link}, but it is at {leg.owners[0]}",
        hook="neighbour",
        evidence=(f"{leg.start} has {wide}, which holds {leg.next_hop}",) if wide else shown,
        remedy=_moved_back(leg, wide)
        or _undeclared(loss, leg, wide)
        or _by_right_link(loss, leg)
        or (
            delete_route(astray)
            if astray and not wide
            else f"ip route {_add(loss, leg)} {leg.next_hop} via {router or '…'}"
        ),
        place=leg.sender.full_name,
    )


def _moved_back(leg: Leg, wide: str) -> str:
    """The command that gives an address back to the link that the topology has it on; empty where it is there."""
    address = wide.partition("/")[0]
    steps = [step for step in declared.addresses(leg.sender) if step.address.partition("/")[0] == address]
    if not wide or not steps or any(step.link.name == leg.start.link for step in steps):
        return ""
    nodad = " nodad" if ":" in wide else ""
    again = f"ip address add {steps[0].address} dev {steps[0].link.name}{nodad}"
    return f"ip address del {wide} dev {leg.start.link} && {again}"


def _undeclared(loss: Loss, leg: Leg, wide: str) -> str:
    """The command that takes away an address that the topology does not have, beside one of that link's own; else
    empty."""
    here = [step for step in declared.addresses(leg.sender) if step.link.name == leg.start.link]
    own = {step.address.partition("/")[0] for step in here if (":" in step.address) == (":" in wide)}
    there = {row.ip for row in loss.state(leg.sender).addresses if row.link == leg.start.link}
    known = declared.holders(leg.sender, wide.partition("/")[0])
    return f"ip address del {wide} dev {leg.start.link}" if wide and not known and own & there else ""


def _by_right_link(loss: Loss, leg: Leg) -> str:
    """The command that has a route lead by the link where its gateway is, of one that names another link (``onlink``);
    empty where no link of the sender's leads to the gateway."""
    near = [at.link for at in loss.wiring.ways(leg.owners[0]) if at.place == leg.sender.full_name]
    rows = (row for row in loss.state(leg.sender).routes if (row.via, row.link) == (leg.next_hop, leg.start.link))
    wrong = next(rows, None)
    if not wrong or not near:
        return ""
    if wrong.nhid:
        return f"ip nexthop replace id {wrong.nhid} via {wrong.via} dev {near[-1]}"
    right = words.route_key(wrong._replace(link=near[-1]))
    return f"ip {'-6 ' if ':' in leg.next_hop else ''}route replace {right}"


def _add(loss: Loss, leg: Leg) -> str:
    """Whether a route to the next hop alone is to be added, or there is one that has to be replaced, as ip(8) says."""
    alone = f"{leg.next_hop}/{128 if ':' in leg.next_hop else 32}"
    rows = loss.state(leg.sender).routes
    return "replace" if any(row.to == alone and row.table == fib.MAIN for row in rows) else "add"


def _stray_route(loss: Loss, leg: Leg) -> Route | None:
    """The route without a gateway that has the next hop looked for on the wrong link, where another one leads to whom
    it is at; None where there is none."""
    decisions = fib.decisions(loss.state(leg.sender), fib.RouteLookup(wire.Headers(destination=leg.next_hop)))
    routes = [one.route for one in decisions if one.route and one.kind == "unicast"]
    first, others = (routes[0], routes[1:]) if routes else (None, [])
    if first is None or first.link != leg.start.link or first.via or first.protocol == "kernel":
        return None
    near = {at.link for at in loss.wiring.ways(leg.owners[0]) if at.place == leg.sender.full_name}
    return first if any(one.link in near or one.via for one in others) else None


@cause("l2.nobody", *_STAGES)
def nobody(loss: Loss) -> Found | None:
    """Nobody has the address of the next hop."""
    leg = _astray(loss) if loss.is_question else _remembered(loss)
    if leg is None or leg.owners:
        return None
    place, remedy = next_hops.vacant_bridge(loss, leg.sender, leg.start.link, leg.next_hop) or ("", "")
    return Found(
        "address not in use",
        f"nobody has {leg.next_hop}, which {leg.sender.full_name} looks for on {leg.start.link}",
        hook="neighbour",
        evidence=(
            "no place of the lab has it",
            *([f"the bridge of {place} there has no address"] if place else ()),
            *([f"neighbour: {leg.next_hop} dev {leg.start.link} lladdr {loss.mac}, {leg.target}'s"] if leg.way else ()),
        ),
        remedy=remedy or f"ip address add {leg.next_hop}/… dev …",
        place=place or leg.sender.full_name,
    )


def _remembered(loss: Loss) -> Leg | None:
    """The leg of a packet to a neighbour that its sender still has the MAC of, and that is gone from there."""
    leg = loss.once(travelled) if next_hops.to_and_fro(loss) and loss.forwarded else None
    there = leg is None or leg.gateway or bool(declared.holders(loss.place, leg.next_hop))
    return None if there else leg


def _astray(loss: Loss) -> Leg | None:
    """The leg of a packet whose next hop no wire or bridge leads to."""
    leg = loss.once(travelled)
    return leg if leg and not leg.way else None


def _apart(leg: Leg) -> str:
    return f"no wire or bridge leads from {leg.start} to {leg.owners[0]}, which has {leg.next_hop}"


def _bridges(loss: Loss, ways: Iterable[LinkAt]) -> list[LinkAt]:
    return [at for at in ways if loss.wiring.links[at].kind == "bridge"]


def _bridge(loss: Loss, ways: Iterable[LinkAt], place: str) -> LinkAt | None:
    """The first bridge of a place on a segment."""
    return next((at for at in _bridges(loss, ways) if at.place == place), None)


def _is_loose(loss: Loss, at: LinkAt) -> bool:
    """Whether a link is an end of a wire that belongs to no bridge and has no address."""
    wired = loss.wiring.peer(at) is not None and not loss.wiring.links[at].master
    place = loss.wiring.places[at.place]
    return wired and not any(row.link == at.link and row.scope == "global" for row in loss.state(place).addresses)


def _has_left(loss: Loss, at: LinkAt, bridge: LinkAt) -> bool:
    """Whether the topology has a link as a port of a bridge, and it is a port of none."""
    return not loss.wiring.links[at].master and _declared_master(loss, at) == bridge.link


def _misplaced(
    loss: Loss, near: tuple[LinkAt, Iterable[LinkAt]], far: tuple[LinkAt, Iterable[LinkAt]]
) -> tuple[LinkAt, LinkAt]:
    """The port that is on the wrong bridge, and the right one: as the topology has it, else the next hop's port."""
    found = []
    for (bridge, _), (own, ways) in ((near, far), (far, near)):
        port = next((at for at in ways if at.place == own.place and loss.wiring.links[at].master == own.link), None)
        if port and _declared_master(loss, port) == bridge.link:
            return port, bridge
        found += [(port, bridge)] if port else []
    return found[0]


def _declared_master(loss: Loss, at: LinkAt) -> str:
    """The bridge that a link is a port of as the topology has it, empty of none."""
    indexes = {link.ifindex: name.link for name, link in loss.wiring.links.items() if name.place == at.place}
    for step in loss.place.lab.plan.steps:
        if isinstance(step, AddLink | SetLink) and (step.place, step.link.name) == at and step.master:
            return indexes.get(step.master, "")
    return ""


def _wide_prefix(loss: Loss, leg: Leg) -> str:
    """The address of the link whose prefix holds the next hop, empty when it is none of them."""
    wanted = ipaddress.ip_address(leg.next_hop)
    rows = [row.address for row in loss.state(leg.sender).addresses if row.link == leg.start.link]
    return next((one for one in rows if wanted in ipaddress.ip_interface(one).network), "")


def _router(loss: Loss, leg: Leg) -> str:
    """The address of a neighbour on the segment that forwards, else the gateway of another route of the sender's; empty
    when there is none."""
    six = ":" in leg.next_hop
    name = f"{'ipv6' if six else 'ipv4'}/conf/all/forwarding"
    for at in loss.wiring.ways(leg.start):
        place = loss.wiring.places[at.place]
        if place is not leg.sender and loss.number(name, place):
            for row in loss.state(place).addresses:
                if row.link == at.link and row.scope == "global" and (":" in row.ip) == six:
                    return row.ip
    decisions = fib.decisions(loss.state(leg.sender), fib.RouteLookup(wire.Headers(destination=leg.next_hop)))
    routes = (
        one.route for one in decisions if one.route and one.kind == "unicast" and one.route.link != leg.start.link
    )
    return next((route.via for route in routes if route.via), "")
