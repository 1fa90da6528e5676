"""Which rule and which route decide on a packet, read off a place's tables as the kernel walks them (ip-rule(8)).

The kernel itself says where a packet goes, but not which rule, table and route said so. Asks nobody.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import NamedTuple

from cnitest.kernel.rows.records import Route, Rule
from cnitest.lab.probe import wire
from cnitest.lab.snapshot.state import State

#: The tables that every place has.
LOCAL, MAIN, DEFAULT = 255, 254, 253
#: Kinds of routes that end a packet.
REFUSING = ("blackhole", "unreachable", "prohibit")
_PROTOCOLS = {wire.ICMP: "icmp", wire.TCP: "tcp", wire.UDP: "udp", wire.ICMPV6: "ipv6-icmp", wire.SCTP: "sctp"}
_ROOT = 0


class RouteLookup(NamedTuple):
    """A packet as rules look at it; ``iif`` is empty of one that the place sends itself."""

    headers: wire.Headers
    iif: str = ""
    mark: int = 0
    tos: int = 0
    oif: str = ""
    #: Whether routes over links without a carrier are passed over (ignore_routes_with_linkdown).
    carriers: bool = False

    @property
    def family(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.headers.destination else 4


class Decision(NamedTuple):
    """What decided: a route that a rule's table has, or the rule alone, which then refuses the packet."""

    rule: Rule
    route: Route | None = None

    @property
    def kind(self) -> str:
        """``unicast``, ``local``, … or what refuses: ``blackhole``, ``unreachable``, ``prohibit``."""
        return self.route.kind if self.route else self.rule.action

    @property
    def custom(self) -> bool:
        """Whether a rule decided that not every place has."""
        return self.rule.action != "lookup" or self.rule.table not in (LOCAL, MAIN, DEFAULT)


def decide(state: State, question: RouteLookup) -> Decision | None:
    """What decides on a packet; None when nothing does: it has no route."""
    return next(decisions(state, question), None)


def decisions(state: State, question: RouteLookup) -> Iterator[Decision]:
    """What decides on a packet, then what would without that one, and so on."""
    for rule, routes in _tables(state, question):
        if rule.action in REFUSING:
            yield Decision(rule)
        for route in routes:
            if route.kind == "throw":
                break
            yield Decision(rule, route)


def thrown(state: State, question: RouteLookup) -> Decision | None:
    """The first route that says throw on the packet's way through the tables."""
    for rule, routes in _tables(state, question):
        if routes and routes[0].kind == "throw":
            return Decision(rule, routes[0])
    return None


def _tables(state: State, question: RouteLookup) -> Iterator[tuple[Rule, list[Route]]]:
    """The rules that a packet comes to, each with the routes of its table that it may take, best first."""
    rules = sorted((rule for rule in state.rules if rule.family == question.family), key=lambda rule: rule.priority)
    at = 0
    while at < len(rules):
        rule = rules[at]
        at += 1
        if matches(rule, question):
            found = in_table(state, rule.table, question) if rule.action == "lookup" else []
            yield rule, [] if found and _suppressed(state, rule, found[0]) else found
            if rule.action == "goto":
                at = next((n for n in range(at, len(rules)) if rules[n].priority >= rule.goto), len(rules))


def goes_by(route: Route, link: str) -> bool:
    """Whether a route, or one of its next hops, leads over a link."""
    return route.link == link or any(f"dev {link} " in f"{hop} " for hop in route.hops)


def ways(route: Route) -> str:
    """The links that a route leads over, in words."""
    return route.link or ", ".join(route.hops)


def in_table(state: State, table: int, question: RouteLookup) -> list[Route]:
    """The routes of a table that lead to a packet's destination: the longest prefix first, then the lowest metric."""
    found = [route for route in state.routes if route.table == table and _leads(route, question)]
    return sorted(found, key=lambda route: (-length(route), -route.tos, route.metric))


def length(route: Route) -> int:
    """The length of a route's prefix."""
    return _ROOT if route.to == "default" else int(route.to.rpartition("/")[2])


def reach(prefix: str, question: RouteLookup) -> int:
    """The length of a prefix (or ``default``) that has the packet's destination in it, else -1."""
    if prefix == "default":
        return _ROOT
    network = ipaddress.ip_network(prefix, strict=False)
    return network.prefixlen if ipaddress.ip_address(question.headers.destination) in network else -1


def _leads(route: Route, question: RouteLookup) -> bool:
    unusable = any(state in ("dead", "expired") or (question.carriers and state == "linkdown") for state in route.state)
    return not unusable and would_lead(route, question)


def would_lead(route: Route, question: RouteLookup) -> bool:
    """Whether a route leads to a packet's destination, when its link is up."""
    headers = question.headers
    return (
        route.family == question.family
        and (route.to == "default" or _within(headers.destination, route.to))
        and (not route.origin or _within(headers.source, route.origin))
        and (not route.tos or route.tos == question.tos)
        and (not question.oif or question.oif == route.link or not route.link)
    )


def _within(address: str, prefix: str) -> bool:
    if not address or not prefix:
        return not prefix
    return ipaddress.ip_address(address) in ipaddress.ip_network(prefix, strict=False)


def _suppressed(state: State, rule: Rule, route: Route) -> bool:
    limit, group = rule.suppress_prefixlength, rule.suppress_ifgroup
    grouped = group is not None and any(link.name == route.link and link.group == group for link in state.links)
    return grouped or (limit is not None and length(route) <= limit)


def matches(rule: Rule, question: RouteLookup) -> bool:
    """Whether a rule is for a packet: of its family, and of what it selects."""
    return rule.family == question.family and _selected(rule, question) != rule.inverted


def _selected(rule: Rule, question: RouteLookup) -> bool:
    headers = question.headers
    return (
        not rule.l3mdev
        and not rule.tun_id
        and _within(headers.source, rule.source)
        and _within(headers.destination, rule.to)
        and (question.mark ^ rule.mark) & rule.mask == 0
        and rule.iif in ("", question.iif or "lo")
        and rule.oif in ("", question.oif)
        and (not rule.tos or rule.tos == question.tos)
        and all(name == "dscp" and question.tos >> 2 == value for name, value in rule.others)
        and rule.ipproto in ("", _PROTOCOLS.get(headers.protocol, str(headers.protocol)))
        and _in_span(headers.source_port, rule.sport)
        and _in_span(headers.destination_port, rule.dport)
        and _in_span(0, rule.uidrange)
    )


def _in_span(value: int, span: str) -> bool:
    first, _, last = span.partition("-")
    return not span or int(first) <= value <= int(last or first)
