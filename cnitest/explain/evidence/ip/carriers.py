"""Packets of tunnels: the one that carries what was lost, and what is inside the one that was lost."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from cnitest.explain.evidence.loss import Loss
from cnitest.explain.evidence.rows import LastSeen, answer_to, is_group
from cnitest.kernel.rows.records import Link, Route
from cnitest.lab.place import Place
from cnitest.lab.probe import tunnels, wire
from cnitest.lab.reach import Sighting
from cnitest.lab.snapshot import state as states
from cnitest.topology.link_kinds import KINDS

#: The forwarding entry of a VXLAN for MACs that it does not know, and for groups.
EVERYBODY = "00:00:00:00:00:00"
# The same as in the table of kinds, of those that only commands make.
_OTHERS = {"geneve": 17, "ip6gre": 47}
_PROTOCOLS: Mapping[str, int] = MappingProxyType(
    {kind: row.carrier for kind, row in KINDS.items() if row.carrier} | _OTHERS
)
# What the kernel says when it knows no way for a packet of a tunnel; its place says more.
_UNROUTED = "IP_OUTNOROUTES"


def protocol(kind: str) -> int:
    """The protocol of IP in which links of a kind carry packets; 0 in none."""
    return _PROTOCOLS.get(kind, 0)


def protocols(places: Sequence[Place]) -> set[int]:
    """The protocols of IP in which the tunnels of some places carry packets."""
    kinds = {link.kind for place in places for link in states.links(place.namespace).links}
    return {_PROTOCOLS[kind] for kind in kinds & _PROTOCOLS.keys()}


def around(loss: Loss) -> Loss | None:
    """The packet that was to carry one that was last seen where a tunnel sends it, as one that its place was to send;
    None where it was not last seen there, and where the tunnel does not know where to send it."""
    link = loss.links().get(loss.link)
    if not loss.spot.out or link is None or not protocol(link.kind):
        return None
    remote = remote_of(loss, link)
    if not remote:
        return None
    detail = dict(link.detail)
    local, port = _local(loss, link, remote), detail.get("dstport") or detail.get("port") or 0
    kind = wire.ETH_IPV6 if ":" in remote else wire.ETH_IPV4
    outer = wire.Headers(kind, local, remote, protocol(link.kind), destination_port=int(port))
    freed = tuple(one for one in loss.freed if one.reason != _UNROUTED)
    spot = LastSeen(loss.place, returning=loss.returning)
    return replace(loss, spot=spot, asked=answer_to(outer), freed=freed)


def inside(loss: Loss) -> Loss | None:
    """What is inside a packet of a tunnel, where that sent it: one that was last seen inside, as it is; None of what no
    tunnel carries."""
    if loss.spot.frame is None:
        return None
    link = loss.links().get(loss.link)
    if loss.spot.out and link and protocol(link.kind):
        return loss
    carried = tunnels.frame_in(loss.spot.frame.data)
    sent = next((one for one in _sent(loss) if carried and _same(carried, one.frame.data)), None)
    if sent is None:
        return None
    spot = LastSeen(loss.place.lab.place(sent.place), sent.frame.link, sent.frame.out, loss.returning, sent.frame)
    return replace(loss, spot=spot, asked=None)


def remote_of(loss: Loss, link: Link) -> str:
    """The address to which a tunnel sends the frame that was last seen there: by its table, or its own; else empty."""
    detail = dict(link.detail)
    group = not loss.mac or is_group(loss.mac)
    entries = {row.mac: row.dst for row in loss.state().fdb if row.link == link.name and row.dst}
    found = ("" if group else entries.get(loss.mac)) or entries.get(loss.mac) or entries.get(EVERYBODY)
    own = (detail.get(name) for name in ("remote", "remote6", "group", "group6"))
    return str(found or next((one for one in own if one and not _is_any(str(one))), ""))


def everybody(loss: Loss, link: Link) -> set[str]:
    """The addresses to which a tunnel sends a copy each of what is for a group, or for a MAC that it does not know."""
    return {row.dst for row in loss.state().fdb if row.link == link.name and row.mac == EVERYBODY and row.dst}


def local_of(link: Link) -> str:
    """The address from which a tunnel sends, empty where the kernel chooses it."""
    detail = dict(link.detail)
    return next((str(one) for one in map(detail.get, ("local", "local6")) if one and not _is_any(str(one))), "")


def _local(loss: Loss, link: Link, remote: str) -> str:
    found = loss.route(remote)
    return local_of(link) or (found.source if isinstance(found, Route) else "")


def _is_any(address: str) -> bool:
    return ipaddress.ip_address(address).is_unspecified


def _sent(loss: Loss) -> Iterator[Sighting]:
    """The sightings where a tunnel sends the packet, the last first."""
    for one in reversed(loss.seen.sightings):
        if one.frame.out and one.returning == loss.returning:
            link = loss.links(loss.place.lab.place(one.place)).get(one.frame.link)
            if link and protocol(link.kind):
                yield one


def _same(carried: bytes, sent: bytes) -> bool:
    """Whether two frames are one, whatever they are padded with."""
    return wire.read(carried).travels == wire.read(sent).travels
