"""What the kernel answers for a packet, and the commands that take a route, a rule or an address away."""

from __future__ import annotations

from dataclasses import replace

from cnitest.explain.evidence.ip import declared, fib, next_hops
from cnitest.explain.evidence.ip.fib import Decision
from cnitest.explain.evidence.loss import Loss, NoRoute
from cnitest.kernel.rows.records import Route
from cnitest.lab.place import Place
from cnitest.lab.snapshot import words


def answers(loss: Loss, *errors: str) -> bool:
    """Whether the kernel answers one of some errors for the packet."""
    return isinstance(loss.routed, NoRoute) and loss.routed.name in errors


def kernel_answer(loss: Loss) -> str:
    """What the kernel answers for the packet, by the error's name."""
    return loss.routed.name if isinstance(loss.routed, NoRoute) else "a route"


def rule_words(decision: Decision) -> str:
    """A rule with its priority, as ``ip rule`` prints it."""
    return f"{decision.rule.priority}: {words.rule(decision.rule)}"


def delete_address(loss: Loss, address: str, place: Place | None = None) -> str:
    """The command that takes an address from a place (default: the packet's)."""
    row = next(one for one in loss.state(place).addresses if one.ip == address)
    return f"ip address del {row.address} dev {row.link}"


def delete_rule(loss: Loss, decision: Decision, place: Place | None = None) -> str:
    """The command that takes the rule away that decided at a place (default: the packet's), in all its words where
    others have its priority, too."""
    rule = decision.rule
    several = sum((row.family, row.priority) == (rule.family, rule.priority) for row in loss.state(place).rules) > 1
    return f"ip {'-6 ' if loss.six else ''}rule del pref {rule.priority}{f' {words.rule(rule)}' if several else ''}"


def delete_route(route: Route) -> str:
    """The command that takes a route away; by a gateway of IPv6 ip(8) would take it for one of that family."""
    by_number = route._replace(via="", link="", kind="unicast") if route.nhid else route
    family = "-6 " if route.family == 6 else "-4 " if ":" in by_number.via else ""
    return f"ip {family}route del {words.route_key(by_number)}"


def replace_route(loss: Loss, route: Route) -> str:
    """The command that takes the packet's route away, and where none is left, makes the topology's own again, else one
    that leads on."""
    others = tuple(one for one in loss.state().routes if one != route)
    left = fib.decide(replace(loss.state(), routes=others), loss.question)
    missing = "" if left else declared.route(loss.place, loss.question) or next_hops.way_on(loss, loss.place)
    again = f" && ip {'-6 ' if loss.six else ''}route add {missing}" if missing else ""
    return delete_route(route) + again
