"""Packets that a rule hands to a transparent proxy (TPROXY), and that are not routed to the place itself."""

from __future__ import annotations

import re

from cnitest.explain.causes import drops
from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.ip import fib
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.explain.evidence.rows import MetRule
from cnitest.lab.snapshot import words

_TPROXY = re.compile(r"-j TPROXY\b|\btproxy\b.* to ")
_FREE = 100


@cause("routing.transparent-proxy", Stage.ROUTING, order=-3)
def transparent_proxy(loss: Loss) -> Found | None:
    """A rule hands the packet to a socket of the place (TPROXY), and its route leads elsewhere: the policy rule for its
    mark is missing, or the local route in that rule's table."""
    step = _handed_over(loss)
    if step is None or not loss.forwarded or (loss.decision and loss.decision.kind == "local"):
        return None
    way = words.route_key(loss.decision.route) if loss.decision and loss.decision.route else "no route"
    lacks, remedy = _lack(loss)
    return Found(
        "no local route for TPROXY",
        f"{loss.place.full_name} hands {loss.destination} port {loss.packet.destination_port} to a socket of its own "
        f"(TPROXY), and routes it elsewhere ({way}): {lacks}",
        hook="routing",
        evidence=(f"{drops.where(step)}: {step.rule}",),
        remedy=remedy,
    )


def _handed_over(loss: Loss) -> MetRule | None:
    """The rule by which the packet was to be a socket's, where it was last seen."""
    here = (one for one in loss.steps if (one.place, one.returning) == (loss.place.full_name, loss.returning))
    return next((one for one in here if _TPROXY.search(one.rule) and one.verdict not in drops.ENDING), None)


def _lack(loss: Loss) -> tuple[str, str]:
    """What is not there, and the commands that make it."""
    program, mark = f"ip {'-6 ' if loss.six else ''}", loss.mark
    tables = {row.table for row in loss.state().routes if _takes_all(row.kind, row.to, row.family, six=loss.six)}
    rules = [rule for rule in loss.state().rules if rule.table not in (fib.LOCAL, fib.MAIN, fib.DEFAULT)]
    asked = [rule for rule in rules if rule.action == "lookup" and fib.matches(rule, loss.question)]
    if asked:
        said = f"the table of rule {asked[0].priority} ({words.rule(asked[0])}) has no local route"
        return said, f"{program}route replace local default dev lo table {asked[0].table}"
    chosen = f"fwmark {mark:#x}" if mark else f"iif {loss.incoming}"
    table = min(tables - {fib.LOCAL}, default=0)
    made = table or next(one for one in range(_FREE, 250) if one not in {rule.table for rule in rules})
    route = "" if table else f" && {program}route add local default dev lo table {made}"
    return f"no rule ({chosen}) looks up a table with a local route", f"{program}rule add {chosen} lookup {made}{route}"


def _takes_all(kind: str, to: str, family: int, *, six: bool) -> bool:
    return kind == "local" and to == "default" and (family == 6) == six
