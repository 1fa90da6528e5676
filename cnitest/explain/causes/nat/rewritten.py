"""Addresses, ports and MACs that a rule writes into a packet without tracking it, so that it goes where nobody is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from cnitest.explain.causes import drops
from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence import translation
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.explain.evidence.rows import MetRule, is_group

_EVERYWHERE = (
    *(Stage.WIRE, Stage.INGRESS, Stage.BRIDGE, Stage.PREROUTING, Stage.ROUTING, Stage.SOCKET_IN, Stage.NEIGHBOUR),
    Stage.SOCKET_OUT,
)
_BEFORE_NAT = -12
_SETS = re.compile(r"\b(ip|ip6|ether|tcp|udp|th) ([sd])(?:addr|port) set (\S+)")
_BREAKS = re.compile(
    r"\b(ip (?:version|hdrlength|length|frag-off|protocol|checksum)|ip6 (?:version|length|nexthdr)|"
    r"icmp(?:v6)? (?:type|code|checksum|id|sequence)|tcp (?:sequence|ackseq|doff|flags|checksum)|"
    r"udp (?:length|checksum)) set (.+?)(?: counter.*| accept)?$|(@(?:ll|nh|th|ih),\d+,\d+) set (\S+)"
)
_LAST = 95
_EBTABLES = re.compile(r"-j ([sd])nat --to-\S+ ([0-9a-f:]{17})")


@cause("nat.rewritten", *_EVERYWHERE, order=_BEFORE_NAT)
def rewritten(loss: Loss) -> Found | None:
    """A rule writes another address, port or MAC into the packet (``ip daddr set``, dnat of ebtables), which is not
    that of anybody who would take it, or not the one that was asked."""
    for step, field, new in _writings(loss):
        if _STRUCK[field](loss, step, new):
            answers = step.returning and field in ("source", "source port")
            wrong = "is not what was asked" if answers else "is not that of who the packet is for"
            return Found(
                f"{drops.short(step)} rewrites",
                f"{drops.where(step)}: {step.rule}   ({field} {new} {wrong})",
                hook=step.hook,
                evidence=drops.evidence(loss, step),
                remedy=drops.without(step),
                place=step.place,
            )
    return None


def _writings(loss: Loss) -> Iterator[tuple[MetRule, str, str]]:
    """The rules that wrote something into the packet, what (``destination``, ``MAC``, …), and the new value."""
    for step in loss.steps:
        if drops.is_neighbour(step):
            continue
        for kind, end, value in _SETS.findall(step.rule):
            sends = end == "s"
            if kind == "ether":
                field = "source MAC" if sends else "MAC"
            elif kind in ("ip", "ip6"):
                field = "source" if sends else "destination"
            else:
                field = "source port" if sends else "port"
            yield step, field, value
        if step.program.startswith("ebtables"):
            yield from ((step, "source MAC" if e == "s" else "MAC", mac) for e, mac in _EBTABLES.findall(step.rule))


def _is_nowhere(loss: Loss, step: MetRule, new: str) -> bool:
    """Whether the request goes to a new destination that nobody has, or somebody else than it was for."""
    goes = new == loss.packet.destination or step.place == loss.place.full_name
    return not loss.returning and goes and loss.owner(new) is not loss.probe.far


def _is_not_who_asked(loss: Loss, step: MetRule, new: str) -> bool:
    """Whether the reply goes to a new source that its sender does not have, or comes from one that was not asked."""
    if step.returning:
        sent = translation.first(loss)
        return sent is not None and sent.destination != new == _answering(loss)
    return loss.returning and loss.packet.destination == new and not loss.owns(new, loss.probe.sender)


def _answering(loss: Loss) -> str:
    """Whom the reply comes from, for who asked; a reset to it is what that one says to a reply that is none of its."""
    return loss.packet.source if loss.returning else loss.packet.destination


def _is_unheard(loss: Loss, _: MetRule, new: str) -> bool:
    """Whether the packet came for a new port that is not the one asked for, and nobody listens there."""
    came = str(loss.packet.destination_port) == new != str(loss.reach.port)
    heard = any(str(one.port) == new for one in loss.sockets(loss.reach.transport)) if came else True
    return not loss.returning and not heard


def _answers_another_port(loss: Loss, step: MetRule, new: str) -> bool:
    """Whether the reply goes to a new port that is not the one that the sender has, or comes from one not asked."""
    sent = translation.first(loss)
    if sent is None:
        return False
    if step.returning:
        port = loss.packet.source_port if loss.returning else loss.packet.destination_port
        return str(sent.destination_port) != new == str(port)
    return loss.returning and str(sent.source_port) != new == str(loss.packet.destination_port)


def _is_for_another_mac(loss: Loss, _: MetRule, new: str) -> bool:
    """Whether the frame was last seen where its new MAC is not that of the link."""
    link = loss.links().get(loss.link)
    return loss.mac == new and not is_group(new) and not loss.spot.out and link is not None and link.mac != new


def _never(_: Loss, __: MetRule, ___: str) -> bool:
    """Nobody minds another source MAC."""
    return False


_STRUCK: Mapping[str, Callable[[Loss, MetRule, str], bool]] = {
    "destination": _is_nowhere,
    "source": _is_not_who_asked,
    "port": _is_unheard,
    "source port": _answers_another_port,
    "MAC": _is_for_another_mac,
    "source MAC": _never,
}


@cause("nat.header-written", Stage.EGRESS, order=_LAST)
def header_written(loss: Loss) -> Found | None:
    """A rule writes something else into a header (checksum, length, protocol, type, sequence), and whoever gets the
    packet takes it for broken, or for none of its own."""
    if not loss.received:
        return None
    for step in loss.steps:
        wrote = _BREAKS.search(step.rule) if step.returning == loss.returning and not drops.is_neighbour(step) else None
        if wrote:
            freed = (f"{loss.place.full_name} freed it: {one}" for one in loss.freed if one.returning == loss.returning)
            field = wrote[1] or wrote[3]
            note = f"{field} is not that of the packet, and {loss.place.full_name} does not take it"
            return Found(
                f"{drops.short(step)} rewrites",
                f"{drops.where(step)}: {step.rule}   ({note})",
                hook=step.hook,
                evidence=(*drops.evidence(loss, step), *freed),
                remedy=drops.without(step),
                place=step.place,
            )
    return None
