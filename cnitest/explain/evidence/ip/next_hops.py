"""Next hops: whether anybody in the lab has the one that a route leads to, and whether another route would do."""

from __future__ import annotations

from cnitest.explain.evidence.case import Case
from cnitest.explain.evidence.ip import fib
from cnitest.explain.evidence.ip.fib import Decision
from cnitest.kernel.rows.records import Route

_IN_VAIN = ("incomplete", "failed")


def routed(case: Case) -> bool:
    """Whether the place decides where the packet goes on: it sends or forwards it."""
    return not case.link or case.forwarded


def arrived(case: Case) -> bool:
    """Whether the packet came to the place that it is for, on its way there."""
    return case.received and not case.forwarded and not case.returning


def hop(case: Case) -> str:
    """The address of the next hop, empty when there is no route."""
    return case.routed.via or case.destination if isinstance(case.routed, Route) else ""


def unanswered(case: Case) -> str:
    """The next hop, where the kernel asks for its MAC and nobody answers: the packet has come so far; else empty."""
    wanted = hop(case)
    asks = any(row.ip == wanted and row.state in _IN_VAIN for row in case.place.neighbours)
    return wanted if asks else ""


def missing(case: Case) -> bool:
    """Whether the kernel has a route for the packet, and nobody has its next hop."""
    return routed(case) and isinstance(case.routed, Route) and _is_missing(case, case.routed)


def better(case: Case) -> tuple[Decision, Decision] | None:
    """What decided on a packet whose next hop nobody has, and the next decision, whose next hop somebody has.

    None, too, where nobody has the destination: no way would lead there.
    """
    if not missing(case) or case.owner(case.destination) is None:
        return None
    first, *others = fib.decisions(case.state(), case.question)
    usable = (one for one in others if one.route and one.kind == "unicast" and not one.route.state)
    return next(((first, one) for one in usable if one.route and not _is_missing(case, one.route)), None)


def nobody(case: Case) -> tuple[str, ...]:
    """The evidence that a next hop is nobody's."""
    link = case.routed.link if isinstance(case.routed, Route) else ""
    return (f"nobody answers for {hop(case)} on {case.place.full_name}:{link}",)


def _is_missing(case: Case, route: Route) -> bool:
    """Whether nobody has the next hop of a route, and no neighbour entry says otherwise."""
    address = route.via or case.destination
    known = any(row.ip == address and row.link == route.link and row.mac for row in case.state().neighbours)
    return not known and route.kind == "unicast" and case.owner(address) is None
