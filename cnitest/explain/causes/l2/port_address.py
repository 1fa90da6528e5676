"""Addresses on ports of bridges, which get nothing: what comes in by a port is its bridge's."""

from __future__ import annotations

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.causes.routing import strays
from cnitest.explain.evidence.ip import fib, next_hops
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.explain.evidence.wiring import LinkAt
from cnitest.kernel.rows.records import Route
from cnitest.lab.place import Place
from cnitest.lab.snapshot import words


@cause("l2.port-address", Stage.NEIGHBOUR, order=-6)
def port_address(loss: Loss) -> Found | None:
    """The address and its routes are on a port of a bridge: what comes in by the port, answers to questions for MACs
    among it, is the bridge's, and not the port's."""
    wanted = next_hops.unanswered(loss)
    asks = LinkAt(loss.place.full_name, loss.routed.link) if isinstance(loss.routed, Route) else None
    if not wanted or asks is None:
        return None
    holder = _of_six(loss, wanted)
    for at, said in ((asks, f"which asks who has {wanted}"), (holder, f"which has {wanted}")):
        bridge = _bridge(loss, at) if at else ""
        if at and bridge:
            return Found(
                "address on a bridge port",
                f"{at}, {said}, is a port of {bridge}, which gets all that comes in by it",
                "neighbour",
                (f"{at.link}: master {bridge}",),
                (_by_another(loss, at) if at == asks else "")
                or _moved(loss, loss.wiring.places[at.place], at.link, bridge),
                place=at.place,
            )
    return None


def _by_another(loss: Loss, at: LinkAt) -> str:
    """The command that takes away a route by a port, where the next one leads by another link; else empty."""
    first, *others = fib.decisions(loss.state(), loss.question)
    other = next((one.route for one in others if one.route and one.route.kind == "unicast"), None)
    if first.route is None or first.route.protocol == "kernel" or other is None or other.link == at.link:
        return ""
    return strays.undone(loss, first, loss.place)


def _of_six(loss: Loss, wanted: str) -> LinkAt | None:
    """The link with the next hop, where that is IPv6's: who has one of IPv4 answers for it on the bridge, too."""
    place = loss.owner(wanted) if loss.six else None
    row = next((one for one in loss.state(place).addresses if one.ip == wanted), None) if place else None
    return LinkAt(place.full_name, row.link) if place and row else None


def _bridge(loss: Loss, at: LinkAt) -> str:
    """The bridge that a link is a port of, empty where it is none."""
    master = loss.wiring.links[at].master if at in loss.wiring.links else ""
    link = loss.wiring.links.get(LinkAt(at.place, master))
    return master if link and link.kind == "bridge" else ""


def _moved(loss: Loss, place: Place, port: str, bridge: str) -> str:
    """The commands that give a port's addresses, and its routes by gateways, to its bridge."""
    state, six = loss.state(place), loss.six
    rows = [row for row in state.addresses if row.link == port and row.scope == "global" and (":" in row.ip) == six]
    nodad, program = (" nodad", "ip -6") if six else ("", "ip")
    routes = [row for row in state.routes if row.link == port and row.via and (row.family == 6) == six]
    return " && ".join(
        (
            *(f"ip address del {row.address} dev {port}" for row in rows),
            *(f"ip address add {row.address} dev {bridge}{nodad}" for row in rows),
            *(f"{program} route replace {words.route_key(row._replace(link=bridge))}" for row in routes),
        )
    )
