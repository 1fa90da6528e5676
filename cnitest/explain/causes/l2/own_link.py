"""Links of the place itself that are down, and have taken their routes with them."""

from __future__ import annotations

import ipaddress

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence import gone
from cnitest.explain.evidence.ip import detours
from cnitest.explain.evidence.loss import Loss, NoRoute, Stage
from cnitest.explain.evidence.wiring import LinkAt
from cnitest.lab.snapshot import words as ip_words

_FIRST = -5


@cause("l2.own-link-down", Stage.SOCKET_OUT, Stage.ROUTING, order=_FIRST)
def own_link_down(loss: Loss) -> Found | None:
    """The link to the next hop is down, and the kernel has dropped its routes with it."""
    wanted = loss.destination
    if not isinstance(loss.route(wanted), NoRoute):
        return _sent_elsewhere(loss)
    for at in _down(loss):
        lost = gone.commands(loss, at)
        if _leads_to(loss, at, lost):
            return Found(
                "link down",
                f"{at} is down, and {at.place} has no route to {wanted} without it",
                hook="link",
                evidence=tuple(f"gone with it: {words}" for words in lost),
                remedy=" && ".join((f"ip link set {at.link} up", *lost)),
            )
    return _sent_elsewhere(loss)


def _sent_elsewhere(loss: Loss) -> Found | None:
    """A link that is down, without which its place sends by a shorter route what is for a neighbour there.

    Where the packet finds no way on, it is also what the topology has the place send by that link.
    """
    passed = [(one.at, one.route) for one in detours.bypasses(loss)]
    passed += [(one.at, one.route) for one in detours.forsaken(loss) if isinstance(loss.routed, NoRoute)]
    links = loss.wiring.links
    at, route = next(((at, route) for at, route in passed if at in links and not links[at].up), (None, None))
    if at is None or route is None:
        return None
    lost = gone.commands(loss, at)
    return Found(
        "link down",
        f"{at} is down, and {at.place} sends {loss.destination} by {ip_words.route_key(route)} without it",
        "link",
        tuple(f"gone with it: {words}" for words in lost),
        " && ".join((f"ip link set {at.link} up", *lost)),
        at.place,
    )


def _down(loss: Loss) -> list[LinkAt]:
    here = loss.place.full_name
    return [LinkAt(here, name) for name, link in loss.links().items() if not link.up and link.kind != "loopback"]


def _leads_to(loss: Loss, at: LinkAt, lost: tuple[str, ...]) -> bool:
    """Whether the way to the destination was by a link: it is in a subnet of it, or a route of it that is gone led
    there; or no other link is up."""
    wanted = ipaddress.ip_address(loss.destination)
    if any(link.up and link.kind != "loopback" for link in loss.links().values()):
        networks = [row.address for row in loss.state().addresses if row.link == at.link]
        networks += [step.address for step in gone.addresses(loss, at)]
        networks += [to for to in map(gone.prefix, gone.routes(loss, at)) if to]
        return any(wanted in ipaddress.ip_interface(one).network for one in networks)
    return any(row.link == at.link for row in loss.state().addresses) or bool(lost)
