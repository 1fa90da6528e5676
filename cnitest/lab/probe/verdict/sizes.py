"""Packets that are larger than their way allows: who says so, and what would fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnitest.lab.probe import wire
from cnitest.lab.probe.verdict.controls import next_hop
from cnitest.lab.probe.verdict.refusal import Refusal

if TYPE_CHECKING:
    from cnitest.lab.place import Place

TOO_LARGE = "it is larger than the path allows"
#: What fits every link that IPv6 can use (RFC 8200 section 5), less the largest headers of a probe.
FITS_EVERYWHERE = 1280 - 40 - 32


def in_words(found: Refusal, sender: Place) -> str:
    """Who on the way said that a packet is too large, and what he lets through."""
    where = found.origin.hop.rpartition(" ")[0] if found.origin else _holder(found.source, sender)
    at = f" ({where})" if where else ""
    mtu = wire.next_mtu(found.frame)
    return f"{TOO_LARGE}: {found.source}{at} answered: {found.says}" + (f", MTU {mtu}" if mtu else "")


def _holder(address: str, sender: Place) -> str:
    """The ``place:link`` that has an address, empty when none in the lab has."""
    place = sender.lab.owner(address, sender)
    links = [each.link for each in place.addresses if each.ip == address] if place else []
    return f"{place.full_name}:{links[0]}" if place and links else ""


def own(sender: Place, destination: str, source: str | None) -> str:
    """Why the sender's own kernel finds a packet too large: its link, its route, or what it has learned before."""
    route = next_hop(sender, destination, source)
    if route is None:
        return TOO_LARGE
    link = sender.link(route.link).mtu
    if not route.mtu or route.mtu >= link:
        return f"{TOO_LARGE}: the MTU of {sender.full_name}:{route.link} is {link}"
    known = _remembered(sender, destination, route.mtu)
    return known or f"{TOO_LARGE}: the route of {sender.full_name} to {destination} has MTU {route.mtu}"


def _remembered(sender: Place, destination: str, mtu: int) -> str:
    """Who announced this MTU to the sender when an earlier packet went there, empty when nobody saw that."""
    bare = destination.partition("%")[0]
    for frame in reversed(sender.lab.sniffer(sender).recent):
        error = wire.icmp_error(frame.data)
        about = error and not frame.out and error[1] in wire.TOO_BIG and error[2].destination == bare
        if error and about and wire.next_mtu(frame.data) == mtu:
            return in_words(Refusal(error[1], error[0].source, frame.data, None), sender)
    return ""
