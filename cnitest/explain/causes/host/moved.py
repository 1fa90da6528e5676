"""Addresses that are on another link than the topology has them on, or than the one where they are asked for."""

from __future__ import annotations

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.ip import declared, next_hops
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.explain.evidence.wiring import LinkAt
from cnitest.kernel.rows.records import Address, Route
from cnitest.lab.place import Place


@cause("host.address-moved", Stage.ROUTING, Stage.NEIGHBOUR, order=-5)
def address_moved(loss: Loss) -> Found | None:
    """The address is on another link of its place than the topology has it on, or than it is asked for on, and not
    answered for there: one of IPv4 is, but where `l2.arp-ignore` holds."""
    wanted = next_hops.unanswered(loss)
    if ":" not in wanted:
        return None
    place = loss.owner(wanted) if next_hops.routed(loss) else None
    row = next((one for one in loss.state(place).addresses if one.ip == wanted), None) if place else None
    steps = [step for step in declared.holders(loss.place, wanted) if place and step.place == place.full_name]
    if place and row and not steps:
        return _on_another_link(loss, place, row)
    if place is None or row is None or any(step.link.name == row.link for step in steps):
        return None
    return Found(
        "address moved",
        f"{place.full_name} has {wanted} on {row.link}, and {loss.place.full_name} asks for it where "
        f"{steps[0].link.name} is",
        "neighbour",
        (f"the topology declares {steps[0].address} on {steps[0].link.name}",),
        declared.moved_back(place, loss.state(place), wanted),
        place.full_name,
    )


def _on_another_link(loss: Loss, place: Place, row: Address) -> Found | None:
    """The same of an address that the topology does not have, where its place is on the segment that is asked."""
    if not isinstance(loss.routed, Route) or row.scope != "global":
        return None
    ways = loss.wiring.ways(LinkAt(loss.place.full_name, loss.routed.link))
    near = [at.link for at in ways if at.place == place.full_name and not loss.wiring.links[at].master]
    if not near or row.link in near:
        return None
    return Found(
        "address on another link",
        f"{place.full_name} has {row.ip} on {row.link}, and {loss.place.full_name} asks for it where {near[-1]} is",
        "neighbour",
        (f"{place.full_name} answers no solicitation for it on {near[-1]}",),
        f"ip address add {row.address} dev {near[-1]} nodad",
        place.full_name,
    )
