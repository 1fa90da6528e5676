"""Neighbours that are not believed or do not answer: wrong entries, ARP off or filtered, addresses and MACs twice."""

from __future__ import annotations

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.case import Case, NoRoute, Stage
from cnitest.explain.evidence.crossing import is_group
from cnitest.explain.evidence.leg import Leg, arrived, travelled
from cnitest.explain.evidence.wiring import LinkAt
from cnitest.kernel.rows.records import Fdb, Neighbour, Route
from cnitest.topology.building.steps import AddLink

_STAGES = (Stage.WIRE, Stage.INGRESS, Stage.BRIDGE)
_QUESTIONS = ("arp", "nd")
# Of arp_ignore: what is answered only under a condition, and what is answered to nobody.
_OTHER_LINK, _OTHER_SUBNET, _NEVER = 1, 2, 8


@cause("l2.duplicate-mac", *_STAGES)
def duplicate_mac(case: Case) -> Found | None:
    """Two links of a segment have the same MAC, so that frames to it come to the wrong one."""
    leg = case.once(travelled)
    if leg is None or leg.target is None or arrived(case):
        return None
    same = [at for at in case.wiring.ways(leg.start) if case.wiring.links[at].mac == case.mac and _is_end(case, at)]
    others = [at for at in same if at != leg.target and not _is_stacked(case, at, leg.target)]
    if leg.target not in same or not others:
        return None
    other = others[0]
    return Found(
        "duplicate MAC",
        f"{other} and {leg.target} have the same MAC, {case.mac}",
        hook="bridge",
        evidence=tuple(f"fdb: {row.mac} dev {row.link}, {row.state}" for row in _learned(case, leg)),
        remedy=f"ip link set {other.link} address {_declared_mac(case, other) or '…'}",
        place=other.place,
    )


@cause("l2.duplicate-address", *_STAGES)
def duplicate_address(case: Case) -> Found | None:
    """Two places have the address of the next hop, and the one that answered for it is not the one that is meant."""
    leg = case.once(travelled)
    if leg is None or case.probe.transport in _QUESTIONS:
        return None
    for other in leg.owners[1:]:
        if case.wiring.links[other].mac == case.mac != case.wiring.links[leg.owners[0]].mac:
            prefix = next(row.address for row in case.wiring.places[other.place].addresses if row.ip == leg.next_hop)
            return Found(
                "duplicate address",
                f"{leg.next_hop} is at {leg.owners[0]} and at {other}: {leg.sender.full_name} sends to the latter",
                hook="neighbour",
                evidence=(f"the frame is addressed to {case.mac}, the MAC of {other}",),
                remedy=f"ip address del {prefix} dev {other.link}",
                place=other.place,
            )
    return None


@cause("l2.arp-off", *_STAGES)
def arp_off(case: Case) -> Found | None:
    """ARP is off on a link (NOARP): it neither asks nor answers, and addresses its frames to itself."""
    leg = case.once(travelled)
    if leg is None:
        return None
    asked = case.probe.transport in _QUESTIONS and arrived(case)
    to_itself = case.mac == case.wiring.links[leg.start].mac
    for at, says in ((leg.start, to_itself), (leg.target, asked)):
        if at and says and "NOARP" in case.wiring.links[at].flags:
            return Found(
                "ARP off",
                f"{at} does not {'ask' if at == leg.start else 'answer'} for MACs: ARP is off there (NOARP)",
                hook="neighbour",
                remedy=f"ip link set {at.link} arp on",
                place=at.place,
            )
    return None


@cause("l2.wrong-neighbour", *_STAGES)
def wrong_neighbour(case: Case) -> Found | None:
    """The ARP or ND table has another MAC for the next hop than it has: a permanent entry, or one that is stale."""
    leg = case.once(travelled)
    if leg is None or leg.intended is None or case.probe.transport in _QUESTIONS or is_group(case.mac):
        return None
    right, entry = _mac(case, leg.intended), _entry(leg)
    if entry is None or entry.mac != case.mac or case.mac == right or _is_proxied(case, leg):
        return None
    return Found(
        "wrong neighbour",
        f"{leg.sender.full_name} has {case.mac} for {leg.next_hop}, which is {_whose(case, leg)}; "
        f"{leg.intended} has {right}",
        hook="neighbour",
        evidence=(f"neighbour: {entry.ip} dev {entry.link} lladdr {entry.mac} {entry.state}",),
        remedy=f"ip neigh del {entry.ip} dev {entry.link}",
        place=leg.sender.full_name,
    )


@cause("l2.arp-ignore", Stage.ROUTING)
def arp_ignore(case: Case) -> Found | None:
    """The owner of the address ignores such ARP requests (``arp_ignore``)."""
    leg = _asked_at_target(case)
    if leg is None:
        return None
    names = [f"ipv4/conf/{link}/arp_ignore" for link in ("all", case.link)]
    level = max(case.number(name) for name in names)
    elsewhere = not any(row.ip == leg.next_hop and row.link == case.link for row in case.state().addresses)
    foreign = not case.in_network(case.packet.source, case.place, case.link)
    if not (level == _NEVER or (level >= _OTHER_LINK and elsewhere) or (level == _OTHER_SUBNET and foreign)):
        return None
    why = f"it has {leg.next_hop} on another link" if elsewhere else f"{case.packet.source} is of no subnet there"
    return Found(
        "arp_ignore",
        f"{case.place.full_name} ignores ARP requests on {case.link}: arp_ignore={level}",
        hook="neighbour",
        evidence=() if level == _NEVER else (why,),
        remedy=f"sysctl -w {' '.join(f'net.{name}=0' for name in names if case.number(name))}".replace("/", "."),
    )


@cause("l2.arp-filter", Stage.ROUTING)
def arp_filter(case: Case) -> Found | None:
    """The owner of the address answers ARP only on the link by which it would send to the asker (``arp_filter``)."""
    leg = _asked_at_target(case)
    if leg is None:
        return None
    names = [name for name in (f"ipv4/conf/{link}/arp_filter" for link in ("all", case.link)) if case.number(name)]
    back = case.route(case.packet.source)
    if not names or not isinstance(back, Route) or back.link == case.link:
        return None
    return Found(
        "arp_filter",
        f"{case.place.full_name} answers no ARP request of {case.packet.source} on {case.link}: arp_filter=1",
        hook="neighbour",
        evidence=(f"its own route to {case.packet.source} is by {back.link}",),
        remedy=f"sysctl -w {' '.join(f'net.{name}=0' for name in names)}".replace("/", "."),
    )


@cause("l2.arp-rp-filter", Stage.ROUTING)
def arp_rp_filter(case: Case) -> Found | None:
    """The owner of the address ignores an ARP request since it would not send to the asker by that link (rp_filter)."""
    leg = _asked_at_target(case)
    if leg is None:
        return None
    asker, here = case.packet.source, case.place.full_name
    names = [name for name in (f"ipv4/conf/{link}/rp_filter" for link in ("all", case.link)) if case.number(name)]
    if not names or not isinstance(case.route(leg.next_hop, source=asker, iif=case.link), NoRoute):
        return None
    back = case.route(asker)
    return Found(
        "rp_filter of ARP",
        f"{here} does not believe {asker} on {case.link}, and answers no ARP request of it: rp_filter is on",
        hook="neighbour",
        evidence=(f"its own route to {asker} is {f'by {back.link}' if isinstance(back, Route) else 'none'}",),
        remedy=f"sysctl -w {' '.join(f'net.{name}=0' for name in names)}".replace("/", "."),
    )


def _asked_at_target(case: Case) -> Leg | None:
    """The leg of an ARP request that has come to the owner of the address."""
    leg = case.once(travelled) if case.probe.transport == "arp" and not case.returning else None
    return leg if leg and arrived(case) else None


def _is_end(case: Case, at: LinkAt) -> bool:
    """Whether a link is where frames end: no port, and no bridge that has the MAC of one of its ports."""
    return not case.wiring.links[at].master


def _is_stacked(case: Case, one: LinkAt, other: LinkAt) -> bool:
    """Whether one of two links stands on the other, or both on a third, which lends them its MAC."""
    parents = [case.wiring.parent(at) or at for at in (one, other)]
    return parents[0] == parents[1]


def _mac(case: Case, at: LinkAt | None) -> str:
    return case.wiring.links[at].mac if at else ""


def _learned(case: Case, leg: Leg) -> tuple[Fdb, ...]:
    places = dict.fromkeys(at.place for at in leg.way)
    rows = [row for name in places for row in case.state(case.wiring.places[name]).fdb]
    return tuple(row for row in rows if row.mac == case.mac)


def _entry(leg: Leg) -> Neighbour | None:
    """The sender's entry for the next hop."""
    wanted = (leg.next_hop, leg.start.link)
    return next((row for row in leg.sender.neighbours if (row.ip, row.link) == wanted), None)


def _whose(case: Case, leg: Leg) -> str:
    """Who has the MAC that the frame is addressed to."""
    at = next((at for at in case.wiring.ways(leg.start) if case.wiring.links[at].mac == case.mac), None)
    return f"that of {at}" if at else "nobody's"


def _is_proxied(case: Case, leg: Leg) -> bool:
    """Whether the MAC is that of a place that answers for others."""
    family = "ipv6" if case.six else "ipv4"
    name = "proxy_ndp" if case.six else "proxy_arp"
    for at in case.wiring.ways(leg.start):
        if case.wiring.links[at].mac == case.mac:
            place = case.wiring.places[at.place]
            return any(case.number(f"{family}/conf/{link}/{name}", place) for link in ("all", at.link))
    return False


def _declared_mac(case: Case, at: LinkAt) -> str:
    """The MAC that the topology gives to a link, if it has another one by now."""
    for step in case.place.lab.plan.steps:
        if isinstance(step, AddLink):
            for handle, mac in ((step.link, step.mac), (step.peer, step.peer_mac)):
                if handle and (handle.place, handle.name) == at and mac:
                    return "" if mac == case.wiring.links[at].mac else mac
    return ""
