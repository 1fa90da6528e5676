"""Neighbours that are not believed or do not answer: wrong entries, ARP off or filtered, addresses and MACs twice."""

from __future__ import annotations

import ipaddress

from cnitest.explain.causes import drops
from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.causes.routing.commands import delete_address
from cnitest.explain.evidence.ip import carriers, declared
from cnitest.explain.evidence.ip.sysctls import set_to, sysctl_name
from cnitest.explain.evidence.leg import Leg, ahead, arrived, travelled
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.explain.evidence.rows import is_group
from cnitest.explain.evidence.wiring import LinkAt
from cnitest.kernel.rows.records import Fdb, Link, Neighbour
from cnitest.topology.building.steps import AddLink

_STAGES = (Stage.WIRE, Stage.INGRESS, Stage.BRIDGE)


@cause("l2.duplicate-mac", *_STAGES)
def duplicate_mac(loss: Loss) -> Found | None:
    """Two links of a segment have the same MAC, so that frames to it come to the wrong one."""
    leg = loss.once(travelled)
    if leg is None or leg.target is None or arrived(loss):
        return None
    same = [at for at in loss.wiring.ways(leg.start) if loss.wiring.links[at].mac == loss.mac and _is_end(loss, at)]
    others = [at for at in same if at != leg.target and not _is_stacked(loss, at, leg.target)]
    if leg.target not in same or not others:
        return None
    other = others[0]
    return Found(
        "duplicate MAC",
        f"{other} and {leg.target} have the same MAC, {loss.mac}",
        hook="bridge",
        evidence=tuple(f"fdb: {row.mac} dev {row.link}, {row.state}" for row in _learned(loss, leg)),
        remedy=f"ip link set {other.link} address {_declared_mac(loss, other) or '…'}",
        place=other.place,
    )


@cause("l2.duplicate-address", Stage.TRACED, *_STAGES)
def duplicate_address(loss: Loss) -> Found | None:
    """Two places have the address of the next hop, and the one that answered for it is not the one that is meant."""
    leg = loss.once(travelled)
    if leg is None or loss.is_question:
        return None
    for other in leg.owners[1:]:
        if other.place != loss.place.full_name and drops.dropped(loss):
            continue  # by a rule on the way there, and not by one of whoever should not have got it
        taking = _by_mac(loss, leg, other.place)
        if taking and loss.mac != loss.wiring.links[leg.owners[0]].mac:
            forget = f"ip neigh del {leg.next_hop} dev {leg.start.link}"
            silenced = _keeps_silent(loss, leg, other, taking)
            return Found(
                "duplicate address",
                f"{leg.next_hop} is at {leg.owners[0]} and at {other}: {leg.sender.full_name} sends to the latter",
                hook="neighbour",
                evidence=(
                    f"the frame is addressed to {loss.mac}, the MAC of {taking}",
                    f"{leg.sender.full_name} keeps that until it asks anew; there: {forget}",
                ),
                remedy=forget if silenced else _taken_away(loss, leg, other, taking),
                place=leg.sender.full_name if silenced else other.place,
            )
    return None


def _keeps_silent(loss: Loss, leg: Leg, other: LinkAt, taking: LinkAt) -> bool:
    """Whether the second owner of an address does not answer for it (any more) where it is asked."""
    place = loss.wiring.places[other.place]
    names = (f"ipv4/conf/{name}/arp_ignore" for name in ("all", taking.link))
    return taking != other and ":" not in leg.next_hop and any(loss.number(name, place) for name in names)


def _taken_away(loss: Loss, leg: Leg, other: LinkAt, taking: LinkAt) -> str:
    """The command that takes an address from its second owner, or, where that has it on another link than it is asked
    by as the topology wants it, or on its loopback, has it not answer there."""
    place = loss.wiring.places[other.place]
    meant = other.link == "lo" or declared.is_own(place, leg.next_hop)
    if taking != other and not loss.six and meant:
        return "sysctl -w net.ipv4.conf.all.arp_ignore=1"
    return delete_address(loss, leg.next_hop, place)


def _by_mac(loss: Loss, leg: Leg, place: str) -> LinkAt | None:
    """The link of a place on the segment that the frame is addressed to: not that of the address, of one on ``lo``."""
    near = (at for at in loss.wiring.ways(leg.start) if at.place == place)
    return next((at for at in near if loss.wiring.links[at].mac == loss.mac), None)


@cause("l2.arp-off", *_STAGES)
def arp_off(loss: Loss) -> Found | None:
    """ARP is off on a link (NOARP): it neither asks nor answers, and addresses its frames to itself."""
    leg = loss.once(travelled)
    if leg is None:
        return None
    asked = loss.is_question and arrived(loss)
    to_itself = loss.mac == loss.wiring.links[leg.start].mac != _mac(loss, leg.target)
    for at, says in ((leg.start, to_itself), (leg.target, asked)):
        if at and says and _is_silenced(loss.wiring.links[at]):
            return Found(
                "ARP off",
                f"{at} does not {'ask' if at == leg.start else 'answer'} for MACs: ARP is off there (NOARP)",
                hook="neighbour",
                remedy=f"ip link set {at.link} arp on",
                place=at.place,
            )
    return None


@cause("l2.wrong-neighbour", *_STAGES)
def wrong_neighbour(loss: Loss) -> Found | None:
    """The ARP or ND table has another MAC for the next hop than it has: a permanent entry, or one that is stale."""
    within = loss.once(carriers.inside)
    carried = misled(within) if within and within is not loss else None
    return carried or misled(loss)


def misled(loss: Loss) -> Found | None:
    """What is wrong with the entry that its sender has for the packet's next hop; None where it is right."""
    leg = loss.once(travelled)
    intended = _intended(loss, leg) if leg else None
    if leg is None or intended is None or (loss.is_question and not loss.returning):
        return None
    right, entry = _mac(loss, intended), _entry(leg)
    if entry is None or entry.mac != loss.mac or loss.mac == right or _is_proxied(loss, leg):
        return None
    if any(at.place == intended.place and _mac(loss, at) == loss.mac for at in _taking(loss, intended, leg)):
        return None  # another link of whoever has the address, or a port of its bridge, which takes it there, too
    return Found(
        "wrong neighbour",
        f"{leg.sender.full_name} has {loss.mac} for {leg.next_hop}, which is {_whose(loss, leg)}; "
        f"{intended} has {right}",
        hook="neighbour",
        evidence=(f"neighbour: {entry.ip} dev {entry.link} lladdr {entry.mac} {entry.state}",),
        remedy=_mended(loss, leg, entry, right),
        place=leg.sender.full_name,
    )


def _intended(loss: Loss, leg: Leg) -> LinkAt | None:
    """The link that is to take the packet: that of whoever has the next hop; of a gateway that nobody has, and that the
    sender knows by an entry alone, the link that the topology gives the entry's MAC, or the only other end."""
    if leg.owners or not leg.gateway:
        return leg.intended
    links = loss.wiring.links
    ends = [at for at in loss.wiring.ways(leg.start) if at.place != leg.start.place and not links[at].master]
    had_it = (at for at in ends if _declared_mac(loss, at) == loss.mac)
    return next(had_it, ends[0] if len(ends) == 1 else None)


def _taking(loss: Loss, intended: LinkAt, leg: Leg) -> list[LinkAt]:
    """The link where the packet was to arrive, and the ports of the one that was meant, where that is a bridge."""
    links = loss.wiring.links
    ports = [at for at in links if links[at].master == intended.link and links[intended].kind == "bridge"]
    return [*([leg.target] if leg.target else []), *ports]


def _mended(loss: Loss, leg: Leg, entry: Neighbour, right: str) -> str:
    """The command that has the right MAC asked for, or, where a tunnel asks nobody or nobody may answer, entered."""
    if not leg.owners and entry.state == "permanent":
        return f"ip neigh replace {entry.ip} lladdr {right} dev {entry.link} nud permanent"
    if not carriers.protocol(loss.wiring.links[leg.start].kind):
        return f"ip neigh del {entry.ip} dev {entry.link}"
    known = {row.mac for row in loss.state(leg.sender).fdb if row.link == entry.link}
    where = carriers.local_of(loss.wiring.links[leg.intended]) if leg.intended else ""
    added = f" && bridge fdb append {right} dev {entry.link} dst {where or '…'}"
    return f"ip neigh replace {entry.ip} lladdr {right} dev {entry.link}{'' if right in known else added}"


def _is_silenced(link: Link) -> bool:
    """Whether ARP was turned off on a link that has it otherwise: ipvlan's in the modes that route never have it."""
    routes = link.kind == "ipvlan" and dict(link.detail).get("mode") in ("l3", "l3s")
    return "NOARP" in link.flags and not routes


def _is_end(loss: Loss, at: LinkAt) -> bool:
    """Whether a link is where frames end: no port, and no bridge that has the MAC of one of its ports."""
    return not loss.wiring.links[at].master


def _is_stacked(loss: Loss, one: LinkAt, other: LinkAt) -> bool:
    """Whether one of two links stands on the other, or both on a third, which lends them its MAC."""
    parents = [loss.wiring.parent(at) or at for at in (one, other)]
    return parents[0] == parents[1]


def _mac(loss: Loss, at: LinkAt | None) -> str:
    return loss.wiring.links[at].mac if at else ""


def _learned(loss: Loss, leg: Leg) -> tuple[Fdb, ...]:
    places = dict.fromkeys(at.place for at in leg.way)
    rows = [row for name in places for row in loss.state(loss.wiring.places[name]).fdb]
    return tuple(row for row in rows if row.mac == loss.mac)


def _entry(leg: Leg) -> Neighbour | None:
    """The sender's entry for the next hop."""
    wanted = (leg.next_hop, leg.start.link)
    return next((row for row in leg.sender.neighbours if (row.ip, row.link) == wanted), None)


def _whose(loss: Loss, leg: Leg) -> str:
    """Who has the MAC that the frame is addressed to."""
    at = next((at for at in loss.wiring.ways(leg.start) if loss.wiring.links[at].mac == loss.mac), None)
    if is_group(loss.mac):
        return "a group's"
    return f"that of {at}" if at else "nobody's"


def _is_proxied(loss: Loss, leg: Leg) -> bool:
    """Whether the MAC is that of a place that answers for others."""
    family = "ipv6" if loss.six else "ipv4"
    name = "proxy_ndp" if loss.six else "proxy_arp"
    for at in loss.wiring.ways(leg.start):
        if loss.wiring.links[at].mac == loss.mac:
            place = loss.wiring.places[at.place]
            return any(loss.number(f"{family}/conf/{link}/{name}", place) for link in ("all", at.link))
    return False


def _declared_mac(loss: Loss, at: LinkAt) -> str:
    """The MAC that the topology gives to a link, if it has another one by now."""
    for step in loss.place.lab.plan.steps:
        if isinstance(step, AddLink):
            for handle, mac in ((step.link, step.mac), (step.peer, step.peer_mac)):
                if handle and (handle.place, handle.name) == at and mac:
                    return "" if mac == loss.wiring.links[at].mac else mac
    return ""


@cause("l2.no-link-local", Stage.NEIGHBOUR, order=-4)
def no_link_local(loss: Loss) -> Found | None:
    """The place has no address to ask for an IPv6 neighbour from: none that is link-local, as routers need it."""
    leg = loss.once(ahead)
    if leg is None or ":" not in leg.next_hop or _is_known(leg):
        return None
    rows = [row for row in loss.state(leg.sender).addresses if row.link == leg.start.link and ":" in row.ip]
    usable = [row for row in rows if not (row.tentative or "dadfailed" in row.flags)]
    if any(row.scope == "link" or row.ip == loss.packet.source for row in usable):
        return None
    link, unused = loss.wiring.links[leg.start], next((row for row in rows if row.scope == "link"), None)
    made = [step.address for step in declared.addresses(leg.sender) if step.link.name == link.name]
    address = unused.address if unused else next(filter(_is_link_local, made), f"{_link_local(link.mac)}/64")
    away = f"ip address del {address} dev {link.name} && " if unused else ""
    lost = "" if unused else declared.given_again(leg.sender, loss.state(leg.sender), six=True)
    why = f"must not use {address} (duplicate address detection)" if unused else "has no link-local address"
    return Found(
        "no link-local address",
        f"{leg.start} {why}, so {leg.sender.full_name} cannot ask there who has {leg.next_hop}",
        hook="neighbour",
        evidence=(
            "a solicitation comes from the packet's own source, if the link has that, else from a link-local one",
        ),
        remedy=f"{away}ip address add {address} dev {link.name} nodad{f' && {lost}' if lost else ''}",
        place=leg.sender.full_name,
    )


def _is_link_local(address: str) -> bool:
    return address.startswith("fe80:")


def _link_local(mac: str) -> str:
    """The link-local address that a MAC gives (RFC 4291, appendix A)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + identifier))


def _is_known(leg: Leg) -> bool:
    """Whether the sender has a MAC for the next hop."""
    return any(row.ip == leg.next_hop and row.mac for row in leg.sender.neighbours)


@cause("l2.asks-nobody", Stage.NEIGHBOUR, order=-4)
def asks_nobody(loss: Loss) -> Found | None:
    """The sender asks nobody for MACs that it does not know (``mcast_solicit``)."""
    leg = loss.once(ahead)
    if leg is None or _is_known(leg):
        return None
    names = [f"{loss.family}/neigh/{leg.start.link}/{kind}_solicit" for kind in ("mcast", "app")]
    if any(loss.sysctl(name) != "0" for name in names):
        return None
    return Found(
        "asks for no MAC",
        f"{leg.sender.full_name} does not ask who has {leg.next_hop}: {sysctl_name(names[0])}=0",
        hook="neighbour",
        remedy=set_to(3, names[0]),
    )
