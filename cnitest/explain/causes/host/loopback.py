"""Loopback links that are down or have no address, as in a container that nobody called the loopback plugin for."""

from __future__ import annotations

import ipaddress

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.lab.place import Place

_LO = "lo"
_ANYWHERE = (Stage.SOCKET_OUT, Stage.WIRE, Stage.INGRESS, Stage.BRIDGE, Stage.ROUTING, Stage.NEIGHBOUR)


@cause("host.no-loopback", *_ANYWHERE, order=-9)
def no_loopback(loss: Loss) -> Found | None:
    """The loopback link of the sender is down or has no address, so that it does not reach itself."""
    sender, asked = loss.probe.sender, loss.reach.destination.partition("%")[0]
    link = loss.links(sender).get(_LO)
    loopback = ipaddress.ip_address(asked).is_loopback
    if (
        link is None
        or not (loopback or loss.owns(asked, sender))
        or (loss.place is sender and loss.destination != asked)
    ):
        return None
    missing = loopback and not _has_loopback(loss, sender, asked)
    if link.up and not missing:
        return None
    address = "::1/128" if ":" in asked else "127.0.0.1/8"
    added = f"ip address add {address} dev {_LO}" if link.up else f"ip link set {_LO} up"
    what = f"has no {address.partition('/')[0]}" if link.up else "is down"
    return Found(
        "no loopback",
        f"{sender.full_name} does not reach itself at {asked}: {sender.full_name}:{_LO} {what}",
        hook="link",
        evidence=(f"it was last seen at {loss.spot}",) if loss.link else (),
        remedy=added,
        place=sender.full_name,
    )


def _has_loopback(loss: Loss, place: Place, asked: str) -> bool:
    """Whether a place has the loopback address, or a subnet of lo that it is in."""
    return any(row.link == _LO for row in loss.state(place).addresses) and loss.in_network(asked, place, _LO)
