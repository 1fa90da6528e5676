"""Tunnels whose ends do not find each other: no remote for a MAC or a wrong one, one that is routed into the tunnel,
another identifier or port."""

from __future__ import annotations

import ipaddress

from cnitest.explain.causes.l2 import neighbours
from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.causes.routing import commands
from cnitest.explain.evidence import gone, remade
from cnitest.explain.evidence.ip import carriers, declared
from cnitest.explain.evidence.leg import Leg, travelled
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.explain.evidence.rows import is_group
from cnitest.explain.evidence.wiring import LinkAt
from cnitest.kernel.rows.records import Link
from cnitest.lab.probe import tunnels, wire
from cnitest.lab.snapshot import words
from cnitest.topology.link_kinds import KINDS


@cause("l2.vxlan-remote", Stage.TUNNEL)
def remote(loss: Loss) -> Found | None:
    """The forwarding table of a VXLAN names no remote for the MAC, and none for MACs that it does not know, or one that
    is not where the MAC is."""
    within = loss.once(carriers.inside)
    leg = within.once(travelled) if within else None
    if within is None or leg is None or neighbours.misled(within):
        return None
    here = LinkAt(within.place.full_name, within.link)
    link = loss.wiring.links.get(here)
    if link is None or not _is_vxlan(link) or (leg.start != here and here not in leg.way):
        return None
    sends = "" if within is not loss else carriers.remote_of(within, link)
    return _wrong(loss, within, leg) if within is not loss or sends else _missing(within, leg)


def _missing(loss: Loss, leg: Leg) -> Found:
    here, where = LinkAt(loss.place.full_name, loss.link), _where(loss, leg)
    mac = carriers.EVERYBODY if is_group(loss.mac) else loss.mac
    return Found(
        "no VXLAN remote",
        f"{here} has no remote for {loss.mac} in its forwarding table, and none for MACs that it does not know",
        hook="bridge",
        evidence=(f"{leg.intended} is at {where}",) if where else (),
        remedy=f"bridge fdb append {mac} dev {loss.link} dst {where or '…'}",
    )


def _wrong(loss: Loss, within: Loss, leg: Leg) -> Found | None:
    """The remote that a frame was sent to, where the next hop is behind another end."""
    link, here = within.links()[within.link], LinkAt(within.place.full_name, within.link)
    sent = carriers.remote_of(within, link) if within is loss else loss.packet.destination
    end, where = _far(within, leg), _where(within, leg)
    if end is None or not where or sent in ("", where) or loss.owns(sent, within.wiring.places[end.place]):
        return None
    if is_group(within.mac) and where in carriers.everybody(within, link):
        return None  # one of the copies that goes to each remote
    if ipaddress.ip_address(sent).is_multicast:
        return None
    mac = carriers.EVERYBODY if is_group(within.mac) else within.mac
    return Found(
        "wrong VXLAN remote",
        f"{here} sends what is for {within.mac} to {sent}, but that is behind {end}, which is at {where}",
        hook="bridge",
        remedy=f"bridge fdb {'append' if is_group(within.mac) else 'replace'} {mac} dev {within.link} dst {where}",
        place=within.place.full_name,
    )


@cause("l2.vxlan-id", Stage.TUNNEL)
def unknown_id(loss: Loss) -> Found | None:
    """A place gets packets of a VXLAN of which it has no link: the identifiers (VNI) of the ends differ."""
    wanted = _identifier(loss)
    ends = [link for link in loss.links().values() if _is_vxlan(link) and _port(link) == loss.packet.destination_port]
    if wanted is None or not ends or any(_id(link) in (wanted, None) for link in ends):
        return None
    other = ends[0]
    return Found(
        "VXLAN id",
        f"{loss.place.full_name} has no VXLAN of the identifier {wanted} in the packet that came in by {loss.link}",
        hook="bridge",
        evidence=tuple(f"{link.name} has id {_id(link)}" for link in ends),
        remedy=remade.vxlan(loss, LinkAt(loss.place.full_name, other.name), wanted, _port(other)),
    )


@cause("l2.vxlan-port", Stage.TUNNEL)
def unknown_port(loss: Loss) -> Found | None:
    """A place gets packets of a VXLAN on a port on which none of its links that are up receives."""
    wanted = _identifier(loss)
    port = loss.packet.destination_port
    ends = [link for link in loss.links().values() if _is_vxlan(link) and _id(link) == wanted]
    if wanted is None or not ends or any(_port(link) == port and link.up for link in ends):
        return None
    other = next((link for link in ends if _port(link) == port), ends[0])
    down = _port(other) == port
    at = LinkAt(loss.place.full_name, other.name)
    up = " && ".join((f"ip link set {other.name} up", *gone.commands(loss, at, six=None)))
    return Found(
        "VXLAN link down" if down else "VXLAN port",
        f"the packet is for port {port}, where no VXLAN of {loss.place.full_name} with identifier {wanted} receives",
        hook="socket",
        evidence=(f"{other.name} {'is down' if down else f'receives on port {_port(other)}'}",),
        remedy=up if down else remade.vxlan(loss, at, wanted, port),
    )


@cause("l2.tunnel-itself", Stage.TUNNEL, order=-2)
def itself(loss: Loss) -> Found | None:
    """The route to a tunnel's remote leads into the tunnel itself."""
    carrier = loss.once(carriers.around)
    route = carrier.decision.route if carrier and carrier.decision else None
    if carrier is None or route is None or route.link != loss.link or _is_bound(loss, carrier.destination):
        return None
    return Found(
        "tunnel into itself",
        f"{loss.place.full_name}:{loss.link} sends to {carrier.destination}, and the route there leads into it: "
        f"{words.route_key(route)}",
        hook="routing",
        remedy=commands.delete_route(route),
    )


def _is_bound(loss: Loss, remote: str) -> bool:
    """Whether a tunnel sends to its own remote by its parent, whatever the routes say (``dev``); not so to remotes of
    its forwarding table."""
    entries = {row.dst for row in loss.state().fdb if row.link == loss.link}
    return remote not in entries and loss.wiring.parent(LinkAt(loss.place.full_name, loss.link)) is not None


@cause("l2.tunnel-local", Stage.TUNNEL, order=-1)
def local(loss: Loss) -> Found | None:
    """A tunnel sends from an address, and gets what is for it, that its place does not have."""
    within = loss.once(carriers.inside)
    leg = within.once(travelled) if within else None
    near = LinkAt(within.place.full_name, within.link) if within else None
    for at in (near, _far(within, leg)) if within and leg else ():
        place = loss.wiring.places[at.place] if at else loss.place
        address = carriers.local_of(loss.wiring.links[at]) if at else ""
        if at and address and not loss.owns(address, place) and not _went_down(loss, at, address):
            return Found(
                "local address of the tunnel",
                f"{at} sends from {address}, which {at.place} does not have",
                hook="routing",
                remedy=f"ip address add {_with_link(loss, at, address)}",
                place=at.place,
            )
    return None


def _went_down(loss: Loss, at: LinkAt, address: str) -> bool:
    """Whether the link that was declared to have an address is down, and the kernel has dropped the address with it."""
    links = loss.links(loss.wiring.places[at.place])
    holders = [step for step in declared.holders(loss.place, address) if step.place == at.place]
    return any(step.link.name in links and not links[step.link.name].up for step in holders)


def _with_link(loss: Loss, at: LinkAt, address: str) -> str:
    """An address as it was declared, with its link; else as one that stands alone, on the link that the tunnel has."""
    nodad = " nodad" if ":" in address else ""
    for step in declared.holders(loss.place, address):
        if step.place == at.place:
            return f"{step.address} dev {step.link.name}{nodad}"
    parent = loss.wiring.parent(at)
    return f"{address}/{128 if nodad else 32} dev {parent.link if parent else 'lo'}{nodad}"


def _identifier(loss: Loss) -> int | None:
    """The identifier in a packet of a VXLAN that has come to the place that it is for; None of any other."""
    if loss.spot.frame is None or loss.spot.out or loss.packet.protocol != wire.UDP or not loss.received:
        return None
    return tunnels.vxlan_id(loss.spot.frame.data) if loss.owns(loss.packet.destination) else None


def _is_vxlan(link: Link) -> bool:
    """Whether its forwarding entries lead to addresses."""
    return link.kind in KINDS and KINDS[link.kind].fdb_dst


def _id(link: Link) -> int | None:
    """Its identifier; None of one that takes each packet's from elsewhere (``external``)."""
    found = dict(link.detail).get("id")
    return int(found) if found else None


def _port(link: Link) -> int:
    return int(dict(link.detail).get("dstport") or 0)


def _far(loss: Loss, leg: Leg) -> LinkAt | None:
    """The end of the VXLAN behind which the next hop is: the first one on the way there."""
    here = LinkAt(loss.place.full_name, loss.link)
    ahead = leg.way[leg.way.index(here) + 1 :] if here in leg.way else leg.way[1:]
    return next((at for at in ahead if _is_vxlan(loss.wiring.links[at])), None)


def _where(loss: Loss, leg: Leg) -> str:
    """The address that the other end of a VXLAN sends from, else one of its place that ours has a route to."""
    end = _far(loss, leg) or leg.intended
    return carriers.local_of(loss.wiring.links[end]) if end else ""
