"""ARP requests that came to the owner of the address, who does not answer them."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.causes.routing import strays
from cnitest.explain.causes.routing.commands import delete_route, delete_rule, rule_words
from cnitest.explain.evidence.ip import declared, fib
from cnitest.explain.evidence.ip.sysctls import set_to, setting
from cnitest.explain.evidence.leg import Leg, arrived, travelled
from cnitest.explain.evidence.loss import Loss, NoRoute, Stage
from cnitest.kernel.rows.records import Route
from cnitest.lab.probe import wire
from cnitest.lab.snapshot import words

# Of arp_ignore: what is answered only under a condition, and what is answered to nobody.
_OTHER_LINK, _OTHER_SUBNET, _NEVER = 1, 2, 8


@cause("l2.arp-ignore", Stage.ROUTING)
def arp_ignore(loss: Loss) -> Found | None:
    """The owner of the address ignores such ARP requests (``arp_ignore``)."""
    leg = _asked_at_target(loss)
    if leg is None:
        return None
    names = [f"ipv4/conf/{link}/arp_ignore" for link in ("all", loss.link)]
    level = max(loss.number(name) for name in names)
    elsewhere = not any(row.ip == leg.next_hop and row.link == loss.link for row in loss.state().addresses)
    foreign = not loss.in_network(loss.packet.source, loss.place, loss.link)
    if not (level == _NEVER or (level >= _OTHER_LINK and elsewhere) or (level == _OTHER_SUBNET and foreign)):
        return None
    way = loss.route(loss.packet.source)
    answers = isinstance(way, Route) and way.link == loss.link
    back = "" if answers else declared.moved_back(loss.place, loss.state(), leg.next_hop)
    why = f"it has {leg.next_hop} on another link" if elsewhere else f"{loss.packet.source} is of no subnet there"
    return Found(
        "arp_ignore",
        f"{loss.place.full_name} ignores ARP requests on {loss.link}: arp_ignore={level}",
        hook="neighbour",
        evidence=() if level == _NEVER else (why,),
        remedy=" && ".join(filter(None, (_answering(loss, names), back))),
    )


def _answering(loss: Loss, names: Sequence[str]) -> str:
    return set_to(0, *(name for name in names if loss.number(name)))


@cause("l2.arp-filter", Stage.ROUTING)
def arp_filter(loss: Loss) -> Found | None:
    """The owner of the address answers ARP only on the link by which it would send to the asker (``arp_filter``)."""
    leg = _asked_at_target(loss)
    if leg is None:
        return None
    names = [name for name in (f"ipv4/conf/{link}/arp_filter" for link in ("all", loss.link)) if loss.number(name)]
    back = loss.route(loss.packet.source)
    if not names or not isinstance(back, Route) or back.link == loss.link:
        return None
    return Found(
        "arp_filter",
        f"{loss.place.full_name} answers no ARP request of {loss.packet.source} on {loss.link}: arp_filter=1",
        hook="neighbour",
        evidence=(f"its own route to {loss.packet.source} is by {back.link}",),
        remedy=set_to(0, *names),
    )


@cause("l2.arp-martian", Stage.ROUTING)
def martian(loss: Loss) -> Found | None:
    """The asker asks from a loopback address, which nobody on a link believes: a rule (DNAT) has sent its own there."""
    leg, asker = _asked_at_target(loss), loss.packet.source
    if leg is None or not ipaddress.ip_address(asker).is_loopback or not _is_refused(loss, leg):
        return None
    sender, link = leg.start
    return Found(
        "martian source of ARP",
        f"{loss.place.full_name} answers no ARP request of {asker}: {sender} asks by {link} from the source of its "
        "packet, which nothing masquerades",
        hook="neighbour",
        evidence=(f"it came in by {loss.link}",),
        remedy=f"iptables -t nat -I POSTROUTING -s {asker} -o {link} -j MASQUERADE",
        place=sender,
    )


@cause("l2.arp-not-local", Stage.ROUTING)
def not_local(loss: Loss) -> Found | None:
    """The owner of the address has no local route for it, so it answers no ARP request for it and takes no packet."""
    leg = _asked_at_target(loss)
    decision = _towards(loss, leg.next_hop) if leg else None
    if leg is None or (decision and decision.kind == "local"):
        return None
    return Found(
        "no local route",
        f"{loss.place.full_name} has {leg.next_hop}, and no local route for it: it does not take it for its own",
        hook="neighbour",
        evidence=(f"what it would take is {words.route_key(decision.route)}",) if decision and decision.route else (),
        remedy=f"ip route add local {leg.next_hop} dev {loss.link} table local",
    )


@cause("l2.arp-refusing-route", Stage.ROUTING)
def refusing_route(loss: Loss) -> Found | None:
    """The owner of the address has a route to the asker that refuses (blackhole), so by rp_filter it answers no ARP."""
    leg = _asked_at_target(loss)
    back = _towards(loss, loss.packet.source) if leg else None
    if leg is None or back is None or back.kind not in fib.REFUSING or not _is_refused(loss, leg):
        return None
    said = words.route_key(back.route) if back.route else f"rule {rule_words(back)}"
    return Found(
        f"{back.kind} {'route' if back.route else 'rule'}",
        f"{loss.place.full_name} has {said}, so it does not believe {loss.packet.source} and answers none of its ARP "
        "requests",
        hook="neighbour",
        evidence=tuple(setting(name, loss.number(name)) for name in _reverse_path(loss)),
        remedy=delete_route(back.route) if back.route else delete_rule(loss, back),
    )


@cause("l2.arp-rp-filter", Stage.ROUTING)
def rp_filter(loss: Loss) -> Found | None:
    """The owner of the address ignores an ARP request since it would not send to the asker by that link (rp_filter)."""
    leg, names = _asked_at_target(loss), _reverse_path(loss)
    if leg is None or not names or not _is_refused(loss, leg):
        return None
    asker, here = loss.packet.source, loss.place.full_name
    back = loss.route(asker)
    question = fib.RouteLookup(wire.Headers(wire.ETH_IPV4, leg.next_hop, asker))
    return Found(
        "rp_filter of ARP",
        f"{here} does not believe {asker} on {loss.link}, and answers no ARP request of it: rp_filter is on",
        hook="neighbour",
        evidence=(f"its own route to {asker} is {f'by {back.link}' if isinstance(back, Route) else 'none'}",),
        remedy=strays.restored(loss, question, loss.link)
        or strays.of_strict_filter(loss, question, loss.link)
        or set_to(0, *names),
    )


def _asked_at_target(loss: Loss) -> Leg | None:
    """The leg of an ARP request that has come to the owner of the address."""
    leg = loss.once(travelled) if loss.probe.transport == "arp" and not loss.returning else None
    return leg if leg and arrived(loss) else None


def _is_refused(loss: Loss, leg: Leg) -> bool:
    """Whether the kernel takes nothing from the asker that is for the address."""
    return isinstance(loss.route(leg.next_hop, source=loss.packet.source, iif=loss.link), NoRoute)


def _reverse_path(loss: Loss) -> list[str]:
    """The sysctls of reverse path filtering that are on for the link."""
    return [name for name in (f"ipv4/conf/{link}/rp_filter" for link in ("all", loss.link)) if loss.number(name)]


def _towards(loss: Loss, address: str) -> fib.Decision | None:
    """What decides on a packet from the place to an address."""
    headers = wire.Headers(wire.ETH_IPV4, "", address)
    return fib.decide(loss.state(), fib.RouteLookup(headers))
