"""Links that the topology declares and that somebody deleted or renamed, and permanent neighbours that are gone."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence import gone, resolution
from cnitest.explain.evidence.ip import declared, detours
from cnitest.explain.evidence.leg import ahead, travelled
from cnitest.explain.evidence.loss import Loss, NoRoute, Stage
from cnitest.explain.evidence.wiring import LinkAt
from cnitest.kernel import features
from cnitest.topology.building.steps import AddLink

_FIRST = -5


@cause("l2.link-gone", Stage.WIRE, Stage.INGRESS, Stage.BRIDGE, order=_FIRST)
def link_gone(loss: Loss) -> Found | None:
    """A link that the topology has on the way to the next hop is not there: somebody deleted it."""
    leg = loss.once(travelled)
    if leg is None or leg.way:
        return None
    there = (step for step in declared.holders(loss.place, leg.next_hop) if step.place in loss.wiring.places)
    for step in there:
        for at in gone.way(loss, leg.start, LinkAt(step.place, step.link.name)):
            if at not in loss.wiring.links:
                return _found(loss, at)
    return None


@cause("l2.own-link-gone", Stage.SOCKET_OUT, Stage.ROUTING, order=_FIRST)
def own_link_gone(loss: Loss) -> Found | None:
    """The link by which the topology leads to the next hop is not there: deleted or renamed, and its routes with it."""
    if not isinstance(loss.route(loss.destination), NoRoute):
        return _passed_by(loss)
    hop = ip_address(declared.gateway(loss.place, loss.question) or loss.destination)
    for step in declared.addresses(loss.place):
        at = LinkAt(step.place, step.link.name)
        if hop in ip_interface(step.address).network and at not in loss.wiring.links:
            return _found(loss, at)
    return _passed_by(loss)


def _passed_by(loss: Loss) -> Found | None:
    """A link that is gone, so that its place sends by another one what is for a neighbour there.

    Where the packet finds no way on, it is also what the topology has the place send by that link.
    """
    passed = [one.at for one in detours.bypasses(loss)]
    passed += [one.at for one in detours.forsaken(loss) if isinstance(loss.routed, NoRoute)]
    return next((_found(loss, at) for at in passed if at not in loss.wiring.links), None)


def _found(loss: Loss, at: LinkAt) -> Found:
    made = gone.made_by(loss, at)
    now = _now(loss, at, made)
    if now:
        lost, remedy = _renaming(loss, now, at)
        words = f"{at}, which the topology has on the way, is named {now.link} now"
    else:
        lost = gone.commands(loss, at)
        words = f"{at}, which the topology has on the way, is not there any more"
        remedy = f"make {at} again: {_description(made, at)}" if made else ""
    evidence = tuple(f"gone with it: {one}" for one in lost if " fe80:" not in one)
    return Found("link gone", words, hook="link", evidence=evidence, remedy=remedy, place=at.place)


def _renaming(loss: Loss, now: LinkAt, at: LinkAt) -> tuple[tuple[str, ...], str]:
    """The commands for what a link lost when it was renamed, and all that give it its name and these again.

    A kernel that renames no link which is up wants it down first, by which it loses its routes and IPv6 addresses.
    """
    rows = [row for row in loss.state(loss.wiring.places[at.place]).addresses if row.link == now.link]
    name = f"ip link set {now.link} name {at.link}"
    if features.renames_while_up():
        lost = _without(gone.commands(loss, at), {row.address for row in rows})
        return lost, " && ".join((name, *lost))
    lost = _without(gone.commands(loss, at, six=None), {row.address for row in rows if ":" not in row.address})
    return lost, " && ".join((f"ip link set {now.link} down", name, f"ip link set {at.link} up", *lost))


def _without(commands: tuple[str, ...], addresses: set[str]) -> tuple[str, ...]:
    return tuple(one for one in commands if addresses.isdisjoint(one.split()))


def _now(loss: Loss, at: LinkAt, made: AddLink | None) -> LinkAt | None:
    """The link that ``made`` once made under another name; None where it is gone."""
    ends = (made.link, made.peer) if made else ()
    numbers = [end.ifindex for end in ends if end and (end.place, end.name) == at]
    links = loss.wiring.links.items()
    return next((name for name, link in links if name.place == at.place and link.ifindex in numbers), None)


def _description(made: AddLink, at: LinkAt) -> str:
    """What a link was made as: its kind, the other end of a pair, the link that it stood on."""
    ends = [f"{end.place}:{end.name}" for end in (made.link, made.peer) if end]
    other = [f"whose other end is {end}" for end in ends if made.peer and end != str(at)]
    parent = [f"on {made.parent.place}:{made.parent.name}"] if made.parent else []
    return ", ".join((f"a {made.kind}", *other, *parent))


@cause("l2.neighbour-gone", Stage.NEIGHBOUR, order=_FIRST)
def neighbour_gone(loss: Loss) -> Found | None:
    """The permanent entry of the ARP or ND table that the topology has for the next hop is gone, and nobody answers who
    asks for its MAC."""
    leg = loss.once(ahead)
    again = gone.neighbour(loss, leg.start, leg.next_hop) if leg else ""
    if leg is None or not again or leg.next_hop in (row.ip for row in leg.sender.neighbours if row.mac):
        return None
    asked = loss.once(resolution.asked)
    if asked and asked.place.full_name in (at.place for at in leg.owners):
        return None  # who has the address gets the question, and does not answer it
    return Found(
        "neighbour gone",
        f"{leg.sender.full_name} has no MAC for {leg.next_hop} on {leg.start.link} any more, and gets none",
        hook="neighbour",
        evidence=(f"the topology declares {again.removeprefix('ip neigh add ')}, which is gone",),
        remedy=again.replace("neigh add", "neigh replace"),
    )
