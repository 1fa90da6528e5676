"""Causes in the routing decision: no route, routes that refuse, forwarding off, sources that are not believed."""

from __future__ import annotations

import ipaddress

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.case import Case, NoRoute, Stage
from cnitest.explain.evidence.ip import declared, fib, next_hops
from cnitest.explain.evidence.ip.fib import Decision
from cnitest.explain.evidence.ip.sysctls import set_to, told
from cnitest.kernel.rows.records import Route
from cnitest.lab.snapshot import words

_REFUSES = {"blackhole": "drops it silently", "unreachable": "rejects it", "prohibit": "rejects it as prohibited"}
_MARTIAN = ("IP_INVALID_SOURCE", "IP_LOCAL_SOURCE", "IP_LOCALNET", "IP_RPFILTER", "INVALID_SOURCE", "IPV6_BAD_SOURCE")


@cause("routing.source-not-ours", Stage.SOCKET_OUT)
def source_not_ours(case: Case) -> Found | None:
    """The packet was to be sent from an address that its sender does not have."""
    source = case.probe.source
    if case.returning or case.link or not source or case.owns(source) or not case.attempt.error:
        return None
    return Found(
        "source address not ours",
        f"{case.place.full_name} cannot send from {source}: it is none of its addresses",
        evidence=(f"the kernel says: {case.attempt.violation}",),
        remedy=f"ip address add {source} dev …",
    )


@cause("routing.localnet", Stage.ROUTING, reasons=(*_MARTIAN, "IP_INVALID_DEST"))
def localnet(case: Case) -> Found | None:
    """A loopback address comes in by another link, and route_localnet is off."""
    if not case.received or case.six or case.link == "lo":
        return None
    found = next((one for one in (case.destination, case.packet.source) if _is_loopback(one)), "")
    name = f"ipv4/conf/{case.incoming}/route_localnet"
    if not found or "1" in (case.sysctl(name), case.sysctl("ipv4/conf/all/route_localnet")):
        return None
    return Found(
        "route_localnet off",
        f"{case.place.full_name} takes {found} by no link but lo: {told(name)}=0",
        hook="routing",
        evidence=(f"it came in by {case.incoming}",),
        remedy=set_to(name, 1),
    )


@cause("routing.martian-source", Stage.ROUTING, reasons=_MARTIAN)
def martian_source(case: Case) -> Found | None:
    """The source is one that no packet from a link may have: the receiver's own address, a group, loopback."""
    source = case.packet.source
    if not case.received or case.link == "lo" or not source or not (case.six or _answers(case, "EINVAL", "EXDEV")):
        return None
    own = not case.six and case.owns(source)
    if own and case.sysctl(f"ipv4/conf/{case.incoming}/accept_local") == "0":
        what, remedy = f"{source} is an address of {case.place.full_name} itself", _delete_address(case, source)
    elif _is_loopback(source) or ipaddress.ip_address(source).is_multicast:
        what, remedy = f"{source} is no source that comes in by a link", ""
    else:
        return None
    return Found(
        "martian source",
        f"{case.place.full_name} does not believe the source: {what}",
        hook="routing",
        evidence=(f"it came in by {case.incoming}",),
        remedy=remedy,
    )


@cause("routing.duplicate-address", Stage.SOCKET_OUT, Stage.WIRE, Stage.INPUT, order=-5)
def duplicate_address(case: Case) -> Found | None:
    """The answer is for an address that the place on its way has itself, so it stays there."""
    if not case.returning or case.place is case.probe.sender or not case.owns(case.destination):
        return None
    address, owner = case.destination, case.probe.sender.full_name
    elsewhere = case.spot.out and case.link != "lo"
    if elsewhere or not case.owns(address, case.probe.sender):
        return None
    return Found(
        "duplicate address",
        f"{case.place.full_name} has {address}, too, so it keeps what is for {owner}",
        "routing",
        (f"{owner} and {case.place.full_name} both have {address}",),
        _delete_address(case, address),
    )


@cause("routing.blackhole", Stage.SOCKET_OUT, Stage.ROUTING)
def blackhole(case: Case) -> Found | None:
    """A route or rule of kind blackhole drops the packet without a word."""
    return _refused(case, "blackhole") or _refusing_nexthop(case)


@cause("routing.unreachable", Stage.SOCKET_OUT, Stage.ROUTING)
def unreachable(case: Case) -> Found | None:
    """A route or rule of kind unreachable rejects the packet."""
    return _refused(case, "unreachable")


@cause("routing.prohibit", Stage.SOCKET_OUT, Stage.ROUTING)
def prohibit(case: Case) -> Found | None:
    """A route or rule of kind prohibit rejects the packet as administratively prohibited."""
    return _refused(case, "prohibit")


def _refused(case: Case, kind: str) -> Found | None:
    decision = case.decision
    if not next_hops.routed(case) or decision is None or decision.kind != kind or isinstance(case.routed, Route):
        return None
    if decision.route is None:
        said = f"{case.place.full_name} has a rule of kind {kind}: {_rule(decision)}"
        return Found(f"{kind} rule", f"{said}, which {_REFUSES[kind]}", "routing", remedy=_delete_rule(case, decision))
    by = f", by rule {_rule(decision)}" if decision.custom else ""
    return Found(
        f"{kind} route",
        f"{case.place.full_name} has {words.route_key(decision.route)}{by}, which {_REFUSES[kind]}",
        "routing",
        (f"the kernel answers {_kernel(case)} for {case.destination}",),
        _delete_route(case, decision.route),
    )


def _refusing_nexthop(case: Case) -> Found | None:
    """A next hop object of kind blackhole, which routes show by its number alone."""
    route = case.decision.route if case.decision and next_hops.routed(case) else None
    if route is None or not route.nhid or isinstance(case.routed, Route):
        return None
    hop = next((one for one in case.state().nexthops if one.id == route.nhid and "blackhole" in one.flags), None)
    if hop is None:
        return None
    said = f"{case.place.full_name} has {words.route_key(route)}, and next hop {hop.id} is a blackhole"
    return Found("blackhole nexthop", said, "routing", remedy=_delete_route(case, route))


@cause("routing.throw", Stage.SOCKET_OUT, Stage.ROUTING)
def throw(case: Case) -> Found | None:
    """A throw route ends the search in its table, and no later table has a route."""
    found = fib.thrown(case.state(), case.question) if next_hops.routed(case) and case.decision is None else None
    if found is None or found.route is None or isinstance(case.routed, Route):
        return None
    key = words.route_key(found.route)
    return Found(
        "throw route",
        f"{case.place.full_name} has {key}, and no table after that has a route to {case.destination}",
        "routing",
        (f"the kernel answers {_kernel(case)}", f"rule {_rule(found)}"),
        _delete_route(case, found.route),
    )


@cause("routing.nexthop-dead", Stage.SOCKET_OUT, Stage.ROUTING)
def nexthop_dead(case: Case) -> Found | None:
    """There is a route, but its link is down or has no carrier, so the kernel passes it over."""
    if not next_hops.routed(case) or isinstance(case.routed, Route) or case.decision:
        return None
    route = next((one for one in case.state().routes if one.state and fib.would_lead(one, case.question)), None)
    if route is None:
        return None
    ignores = f"{case.family}/conf/all/ignore_routes_with_linkdown"
    why = f" and {told(ignores)}=1" if case.sysctl(ignores) == "1" else ""
    return Found(
        "next hop dead",
        f"{case.place.full_name} does not use {words.route_key(route)}: {route.link} has no carrier{why}",
        "routing",
        (f"the route is marked {' '.join(route.state)}",),
        f"bring up the other end of {route.link}",
    )


@cause("routing.no-route", Stage.SOCKET_OUT, Stage.ROUTING)
def no_route(case: Case) -> Found | None:
    """The place has no route to where the packet goes."""
    return None if case.returning else _no_route(case, "no route", "no route")


@cause("routing.no-return-route", Stage.SOCKET_OUT, Stage.ROUTING)
def no_return_route(case: Case) -> Found | None:
    """The packet arrived, but a place has no route for the answer back to its sender."""
    return _no_route(case, "no route back", "no route for the reply") if case.returning else None


def _no_route(case: Case, dropped_by: str, what: str) -> Found | None:
    if not next_hops.routed(case) or case.decision or not _answers(case, "ENETUNREACH", "EHOSTUNREACH"):
        return None
    destination = case.destination
    missing = declared.route(case.place, case.question)
    family = "-6 " if case.six else ""
    remedy = f"ip {family}route add {missing or f'{destination} via …'}"
    gone = (f"the topology declares {missing}, which is gone",) if missing else ()
    evidence = (f"the kernel answers {_kernel(case)}", *gone)
    return Found(dropped_by, f"{case.place.full_name} has {what} to {destination}", "routing", evidence, remedy)


@cause("routing.forwarding-off", Stage.ROUTING)
def forwarding_off(case: Case) -> Found | None:
    """The place is no router: IP forwarding is off, for the family or on the link where the packet comes in."""
    if not case.forwarded or case.decision is None or case.decision.kind != "unicast":
        return None
    family, link = case.family, f"{case.family}/conf/{case.incoming}"
    if case.six:
        off = f"{family}/conf/all/forwarding" if case.sysctl(f"{link}/force_forwarding") != "1" else ""
    else:
        off = "ipv4/ip_forward" if case.sysctl("ipv4/ip_forward") == "0" else f"{link}/forwarding"
    if not off or case.sysctl(f"{link}/forwarding" if not case.six else off) != "0":
        return None
    return Found(
        "forwarding off",
        f"{case.place.full_name} does not forward {'IPv6' if case.six else 'IPv4'}: {told(off)}=0",
        "routing",
        (f"{case.destination} is no address of {case.place.full_name}",),
        set_to(off, 1),
    )


@cause("routing.link-local", Stage.ROUTING)
def link_local(case: Case) -> Found | None:
    """A packet from or to a link-local address of IPv6 is not forwarded to another link."""
    found = next((a for a in (case.packet.source, case.destination) if case.six and _is_link_local(a)), "")
    if not case.forwarded or not found:
        return None
    said = f"{case.place.full_name} does not forward {found}: a link-local address holds on one link only"
    return Found("link-local address", said, "routing", remedy="send from and to a global address")


@cause("routing.rp-filter", Stage.ROUTING, reasons=_MARTIAN)
def rp_filter(case: Case) -> Found | None:
    """Reverse path filtering is strict: the route back to the source does not lead to the link that it came in by."""
    name, mode = _rp_filter(case)
    back = fib.way_back(case.state(), case.question) if mode else None
    if mode != 1 or (back and (back.kind != "unicast" or fib.goes_by(back, case.incoming))):
        return None
    way = f"leads to {fib.ways(back)}" if back else "is not there"
    return Found(
        "rp_filter",
        f"{case.place.full_name} does not take {case.packet.source} by {case.incoming}: the route back {way}, "
        f"and {told(name)}=1 (strict)",
        "routing",
        (f"the kernel answers {_kernel(case)} for a packet from {case.packet.source} by {case.incoming}",),
        set_to(f"ipv4/conf/{case.incoming}/rp_filter", 2 if back else 0),
    )


@cause("routing.rp-filter-loose", Stage.ROUTING, reasons=_MARTIAN)
def rp_filter_loose(case: Case) -> Found | None:
    """Reverse path filtering is loose, and there is no route back to the source at all."""
    name, mode = _rp_filter(case)
    if mode != 2 or fib.way_back(case.state(), case.question):
        return None
    source = case.packet.source
    return Found(
        "rp_filter loose",
        f"{case.place.full_name} has no route back to {source}, and {told(name)}=2 (loose)",
        "routing",
        (f"the kernel answers {_kernel(case)} for a packet from {source} by {case.incoming}",),
        f"ip route add {source} dev {case.incoming}",
    )


@cause("routing.rule-table", Stage.NEIGHBOUR, order=-3)
def rule_table(case: Case) -> Found | None:
    """A policy rule chooses a table that leads to a next hop that nobody has; without the rule it would pass."""
    taken, other = next_hops.better(case) or (None, None)
    if not taken or not other or not taken.route or not other.route or not taken.custom or taken.rule == other.rule:
        return None
    return Found(
        f"rule to table {taken.rule.table}",
        f"{case.place.full_name} has rule {_rule(taken)}: {words.route_key(taken.route)}; without it the packet would "
        f"take {words.route_key(other.route)}",
        "routing",
        next_hops.nobody(case),
        _delete_rule(case, taken),
    )


@cause("routing.preferred-route", Stage.NEIGHBOUR, order=-3)
def preferred_route(case: Case) -> Found | None:
    """A route to a next hop that nobody has is preferred (longer prefix, lower metric) to one that would work."""
    taken, other = next_hops.better(case) or (None, None)
    if not taken or not other or not taken.route or not other.route or (taken.custom and taken.rule != other.rule):
        return None
    why = "longer prefix" if fib.length(taken.route) > fib.length(other.route) else "lower metric"
    return Found(
        "preferred route",
        f"{case.place.full_name} prefers {words.route_key(taken.route)} ({why}) to {words.route_key(other.route)}",
        "routing",
        next_hops.nobody(case),
        _delete_route(case, taken.route),
    )


@cause("routing.no-such-gateway", Stage.NEIGHBOUR, order=-2)
def no_such_gateway(case: Case) -> Found | None:
    """The route leads to a gateway that nobody in the lab has."""
    hop = next_hops.hop(case)
    if not next_hops.missing(case) or hop == case.destination or declared.holders(case.place, hop):
        return None
    key = words.route_key(case.decision.route) if case.decision and case.decision.route else f"via {hop}"
    other = declared.route(case.place, case.question)
    return Found(
        "no such gateway",
        f"{case.place.full_name} sends {case.destination} by {key}, and nobody has {hop}",
        "neighbour",
        next_hops.nobody(case),
        f"ip {'-6 ' if case.six else ''}route replace {other or f'{case.destination} via …'}",
    )


def _rp_filter(case: Case) -> tuple[str, int]:
    """The sysctl that decides, and its value: the higher of the link's and that of all."""
    if not case.received or case.six or not _answers(case, "EXDEV", "EINVAL"):
        return "", 0
    names = (f"ipv4/conf/{case.incoming}/rp_filter", "ipv4/conf/all/rp_filter")
    name = max(names, key=case.number)
    return name, case.number(name)


def _answers(case: Case, *errors: str) -> bool:
    return isinstance(case.routed, NoRoute) and case.routed.name in errors


def _kernel(case: Case) -> str:
    return case.routed.name if isinstance(case.routed, NoRoute) else "a route"


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback if address else False


def _is_link_local(address: str) -> bool:
    return ipaddress.ip_address(address).is_link_local if address else False


def _rule(decision: Decision) -> str:
    return f"{decision.rule.priority}: {words.rule(decision.rule)}"


def _delete_address(case: Case, address: str) -> str:
    row = next(one for one in case.state().addresses if one.ip == address)
    return f"ip address del {row.address} dev {row.link}"


def _delete_rule(case: Case, decision: Decision) -> str:
    return f"ip {'-6 ' if case.six else ''}rule del pref {decision.rule.priority}"


def _delete_route(case: Case, route: Route) -> str:
    by_number = route._replace(via="", link="", kind="unicast") if route.nhid else route
    return f"ip {'-6 ' if case.six else ''}route del {words.route_key(by_number)}"
