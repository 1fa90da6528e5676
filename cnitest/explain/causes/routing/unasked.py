"""Policy rules that no longer have the main table asked, which has a route."""

from __future__ import annotations

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.causes.routing.commands import kernel_answer
from cnitest.explain.evidence.ip import fib, next_hops
from cnitest.explain.evidence.loss import Loss, NoRoute, Stage
from cnitest.kernel.rows.records import Route, Rule
from cnitest.lab.snapshot import words

_PREFERENCE = 32766


@cause("routing.table-not-asked", Stage.SOCKET_OUT, Stage.ROUTING, order=-1)
def table_not_asked(loss: Loss) -> Found | None:
    """The main table has a route, but no rule asks it: its rule was deleted, is passed by (``goto``), or does not want
    such a route (``suppress_prefixlength``, ``suppress_ifgroup``)."""
    if not next_hops.routed(loss) or loss.decision or not isinstance(loss.routed, NoRoute):
        return None
    routes = fib.in_table(loss.state(), fib.MAIN, loss.question)
    if not routes or routes[0].kind != "unicast":
        return None
    why, remedy = _reason(loss, routes[0])
    return Found(
        "no rule to table main",
        f"{loss.place.full_name} has {words.route_key(routes[0])}, and {why}",
        "routing",
        (f"the kernel answers {kernel_answer(loss)} for {loss.destination}",),
        f"ip {'-6 ' if loss.six else ''}rule {remedy}",
    )


def _reason(loss: Loss, route: Route) -> tuple[str, str]:
    """Why no rule asks the main table for such a route, and what has one ask it, behind ``ip rule``."""
    rules = [rule for rule in loss.state().rules if fib.matches(rule, loss.question)]
    jump = next((rule for rule in rules if _passes_by(rule, rules)), None)
    if jump:
        return f"rule {jump.priority}: {words.rule(jump)} passes by the rule that asks for it", (
            f"del pref {jump.priority}"
        )
    asking = [rule for rule in rules if rule.table == fib.MAIN]
    wary = next((rule for rule in asking if rule.suppress_prefixlength is not None), None)
    grouping = next((rule for rule in asking if rule.suppress_ifgroup is not None), None)
    if wary:
        said = f"rule {wary.priority}: {words.rule(wary)} wants no route with so short a prefix"
    elif grouping:
        said = (
            f"rule {grouping.priority}: {words.rule(grouping)} wants no route by {route.link}, which is in that group"
        )
    else:
        said = "no rule asks that table for it"
    return said, f"add pref {_PREFERENCE} lookup main"


def _passes_by(jump: Rule, rules: list[Rule]) -> bool:
    """Whether a rule jumps over the one that asks the main table."""
    return jump.action == "goto" and any(
        jump.priority < rule.priority < jump.goto for rule in rules if rule.table == fib.MAIN
    )
