"""Gateways that nobody has, which the other end of the link is to answer for: proxy_arp and proxy_ndp."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.ip import declared, fib, next_hops
from cnitest.explain.evidence.ip.sysctls import set_to, setting
from cnitest.explain.evidence.loss import Loss, NoRoute, Stage
from cnitest.explain.evidence.wiring import LinkAt
from cnitest.kernel.rows.records import Route
from cnitest.lab.place import Place
from cnitest.topology.building.steps import AddNeighbour, Sysctl


class _Lack(NamedTuple):
    """What keeps a place from answering for an address, and the command against it."""

    name: str
    said: str
    remedy: str


@cause("l2.proxy-off", Stage.NEIGHBOUR, order=-3)
def proxy_off(loss: Loss) -> Found | None:
    """Nobody on a link has the next hop, and who is to answer for it does not (proxy_arp, proxy_ndp): the link's other
    end for a gateway outside all subnets, a neighbour that the next hop is behind where the topology has it do so."""
    at = _other_end(loss) if _is_for_a_proxy(loss) else _deputy(loss)
    lacks = [*_lacks(loss, at)] if at else []
    if at is None or not lacks:
        return None
    hop, question = next_hops.hop(loss), "neighbour solicitations" if loss.six else "ARP"
    return Found(
        lacks[0].name,
        f"nobody answers {question} for {hop} on {loss.place.full_name}:{_link(loss)}: {_who(loss, at)} does not "
        f"answer for others: {'; '.join(lack.said for lack in lacks)}",
        "neighbour",
        next_hops.nobody(loss),
        " && ".join(lack.remedy for lack in lacks),
        place=at.place,
    )


def _who(loss: Loss, at: LinkAt) -> str:
    if _is_for_a_proxy(loss):
        return f"its other end, {at},"
    owner = loss.owner(next_hops.hop(loss))
    return f"{at}, which {owner.full_name if owner else 'it'} is behind,"


def _deputy(loss: Loss) -> LinkAt | None:
    """The neighbour that is to answer for the next hop, whose owner is behind it and not on the link."""
    hop = next_hops.unanswered(loss)
    owner, start = loss.owner(hop) if hop else None, LinkAt(loss.place.full_name, _link(loss))
    ways = loss.wiring.ways(start) if owner else {}
    if owner is None or any(at.place == owner.full_name for at in ways):
        return None
    near = (at for at in ways if at.place != start.place and not loss.wiring.links[at].master)
    return next((at for at in near if _behind(loss, at, owner) and _is_meant(loss, at)), None)


def _behind(loss: Loss, at: LinkAt, owner: Place) -> str:
    """The link of a place, other than the one where it is asked, that leads to whoever has the next hop; else empty."""
    others = (one.link for one in loss.wiring.links if one.place == at.place and one.link != at.link)
    lead = (
        name for name in others if any(to.place == owner.full_name for to in loss.wiring.ways(LinkAt(at.place, name)))
    )
    return next(lead, "")


def _is_meant(loss: Loss, at: LinkAt) -> bool:
    """Whether a place is to answer for the next hop on a link: by its entries or sysctls, as they are or as the
    topology has them."""
    place, proxy = loss.wiring.places[at.place], "proxy_ndp" if loss.six else "proxy_arp"
    names = {f"{loss.family}.conf.{link}.{proxy}" for link in ("all", at.link)}
    steps = [step for step in place.lab.plan.steps if isinstance(step, Sysctl) and step.place == at.place]
    set_so = any(step.name.replace("/", ".").removeprefix("net.") in names and step.value == "1" for step in steps)
    entries = any("proxy" in row.flags and row.ip == next_hops.hop(loss) for row in place.neighbours)
    return set_so or entries or _is_on(loss, at, place, proxy) or _has_declared_entry(loss, place)


def _has_declared_entry(loss: Loss, place: Place) -> bool:
    """Whether the topology has a place answer for the next hop by an entry."""
    steps = (step for step in place.lab.plan.steps if isinstance(step, AddNeighbour) and step.place == place.full_name)
    return any(step.entry.proxy and step.entry.to == next_hops.hop(loss) for step in steps)


def _link(loss: Loss) -> str:
    return loss.routed.link if isinstance(loss.routed, Route) else ""


def _is_for_a_proxy(loss: Loss) -> bool:
    """Whether the next hop is a gateway that nobody has or had, in no subnet of its link: an address to be answered
    for, where one in a subnet is rather a wrong one."""
    hop = next_hops.hop(loss)
    if not next_hops.missing(loss) or hop == loss.destination or declared.holders(loss.place, hop):
        return False
    return next_hops.better(loss) is None and not loss.in_network(hop, loss.place, _link(loss))


def _other_end(loss: Loss) -> LinkAt | None:
    """Where the question arrives that could be answered: the one link of another place that is no port of a bridge,
    and has no address of its own that could be the gateway."""
    start = LinkAt(loss.place.full_name, _link(loss))
    ends = [at for at in loss.wiring.ways(start) if at.place != start.place and not loss.wiring.links[at].master]
    return ends[0] if len(ends) == 1 and not _is_in_subnet(loss, ends[0]) else None


def _is_in_subnet(loss: Loss, at: LinkAt) -> bool:
    """Whether a link has an address in a subnet of the link that asks: then it is the gateway there, by that one."""
    own = loss.addresses(loss.wiring.places[at.place], at.link)
    return any(loss.in_network(row.ip, loss.place, _link(loss)) for row in own)


def _lacks(loss: Loss, at: LinkAt) -> Iterator[_Lack]:
    place, proxy = loss.wiring.places[at.place], "proxy_ndp" if loss.six else "proxy_arp"
    if not loss.number(f"{loss.family}/conf/{at.link}/forwarding", place):
        every = loss.six and not loss.number("ipv6/conf/all/forwarding", place)
        name = f"{loss.family}/conf/{'all' if every else at.link}/forwarding"
        yield _Lack("forwarding off", f"it does not forward ({setting(name, 0)})", set_to(1, name))
    entry = _has_entry(loss, at, place)
    needs_entry = loss.six or _has_declared_entry(loss, place)
    if (loss.six or not (entry or needs_entry)) and not _is_on(loss, at, place, proxy):
        name = f"{loss.family}/conf/{at.link}/{proxy}"
        yield _Lack(f"{proxy} off", f"{proxy} is 0 there", set_to(1, name))
    if needs_entry and not entry and not (not loss.six and _is_on(loss, at, place, proxy)):
        hop, program = next_hops.hop(loss), "ip -6" if loss.six else "ip"
        said, remedy = f"it has no proxy neighbour {hop}", f"{program} neigh add proxy {hop} dev {at.link}"
        yield _Lack("no proxy neighbour", said, remedy)
    if not loss.six:
        yield from _routing_lacks(loss, at, place)


def _routing_lacks(loss: Loss, at: LinkAt, place: Place) -> Iterator[_Lack]:
    """ARP is answered for what the place would send on, by another link, if it believes the asker (rp_filter)."""
    hop, asker = next_hops.hop(loss), _asker(loss)
    onward, back = loss.route(hop, place=place), loss.route(asker, place=place)
    pvlan = isinstance(onward, Route) and _is_on(loss, at, place, "proxy_arp_pvlan")
    if isinstance(onward, NoRoute) or (onward.link == at.link and not pvlan):
        yield _Lack("no route", f"it has no route to {hop} by another link", f"ip route add {_route(loss, at)}")
    names = [name for name in (f"ipv4/conf/{link}/rp_filter" for link in ("all", at.link)) if loss.number(name, place)]
    refused = isinstance(loss.route(hop, source=asker, iif=at.link, place=place), NoRoute)
    if refused and names and (isinstance(back, NoRoute) or back.link != at.link):
        said = f"rp_filter is on there, and its own route to {asker} is not by {at.link}"
        yield _Lack("rp_filter of ARP", said, f"ip route replace {asker} dev {at.link}")


def _route(loss: Loss, at: LinkAt) -> str:
    """The route to the next hop that a place lacks, as ``ip route add`` takes it: the topology's, else by the link that
    leads to whoever has it."""
    hop, place = next_hops.hop(loss), loss.wiring.places[at.place]
    owner = loss.owner(hop)
    wanted = declared.route(place, fib.RouteLookup(loss.packet._replace(destination=hop)))
    return wanted if owner and wanted else f"{hop} dev {(_behind(loss, at, owner) if owner else '') or '…'}"


def _asker(loss: Loss) -> str:
    """The address that the question comes from: the packet's own source, or one of the link where it passes through."""
    if not loss.link:
        return loss.packet.source
    rows = (row.ip for row in loss.state().addresses if row.link == _link(loss) and ":" not in row.ip)
    return next(rows, loss.packet.source)


def _is_on(loss: Loss, at: LinkAt, place: Place, name: str) -> bool:
    return any(loss.number(f"{loss.family}/conf/{link}/{name}", place) for link in ("all", at.link))


def _has_entry(loss: Loss, at: LinkAt, place: Place) -> bool:
    """Whether the place has a proxy neighbour for the next hop, on the link or on all."""
    entries = (row for row in place.neighbours if "proxy" in row.flags and row.link in ("", at.link))
    return any(row.ip == next_hops.hop(loss) for row in entries)
