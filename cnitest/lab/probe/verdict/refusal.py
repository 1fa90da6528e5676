"""Who really sent an answer: one that says no (an ICMP error or a reset), or one to a ping, in another one's name."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cnitest.lab.probe import wire
from cnitest.lab.probe.base import Attempt, Probe
from cnitest.lab.reach import Seen, Sighting
from cnitest.lab.snapshot import state as states

if TYPE_CHECKING:
    from cnitest.lab.place import Place

RESET = "a reset"


class Refusal(NamedTuple):
    """What came back: what it says, the address it came from, where it was first seen to be sent (None: nowhere)."""

    says: str
    source: str
    frame: bytes
    origin: Sighting | None


def refusal(attempt: Attempt, seen: Seen, sender: Place) -> Refusal | None:
    """The answer that turned an attempt down, None when none did.

    That the sender's own kernel found no neighbour is no answer: it only says that nobody gave one. Nor is what comes
    when it was over: a request that was late has met a port that our listener had left.
    """
    here = [each for each in seen.sightings if each.place == sender.full_name and not each.frame.out]
    arrived = [each for each in here if not attempt.until or each.frame.when <= attempt.until]
    for sighting in arrived:
        error = wire.icmp_error(sighting.frame.data)
        if error and not (error[1] in wire.NO_NEIGHBOUR and states.has_address(sender.namespace, error[0].source)):
            return Refusal(error[1], error[0].source, sighting.frame.data, _origin(sighting, seen))
    for sighting in arrived if attempt.refusal else ():
        headers = wire.read(sighting.frame.data)
        if sighting.returning and headers.protocol == wire.TCP and headers.flags & wire.RST:
            return Refusal(RESET, headers.source, sighting.frame.data, _origin(sighting, seen))
    return None


def _origin(arrived: Sighting, seen: Seen) -> Sighting | None:
    """Where a packet was first, if its place sent it there."""
    packet = wire.packet(arrived.frame.data)
    first = next(s for s in seen.sightings if s.returning == arrived.returning and wire.packet(s.frame.data) == packet)
    return first if first.frame.out else None


def words(found: Refusal, attempt: Attempt, receiver: Place | None, sender: Place) -> tuple[str, str]:
    """What to say of a refusal, and who answered: the address, or the place that sent it in another one's name."""
    head = f"{attempt.refusal.partition(':')[0]}: " if found.says == RESET else ""
    origin = found.origin
    if origin and not owns(sender.lab.place(origin.place), origin):
        forged = f"{head}{found.says} in the name of {found.source}, but sent by {origin.place} (at {origin.hop})"
        return forged, origin.place
    plain = f"{head}{found.source} sent {RESET}" if found.says == RESET else f"{found.source} answered: {found.says}"
    if not origin and receiver and states.has_address(receiver.namespace, found.source):
        return f"{plain}, or so it says: {receiver.full_name} was not seen to send it", found.source
    return plain, found.source


def owns(place: Place, origin: Sighting) -> bool:
    """Whether a place has the address that it sent from."""
    return states.has_address(place.namespace, wire.read(origin.frame.data).source)


def is_elsewhere(probe: Probe, seen: Seen) -> bool:
    """Whether a ping was answered though its far end, which was watched, did not get it."""
    if probe.transport != "icmp" or seen.receiver in ("", seen.sender):
        return False
    far = next((one for one in seen.watched if one.place == seen.receiver), None)
    return far is not None and all(frame.out for frame in far.frames)


def answerer(probe: Probe, attempt: Attempt, seen: Seen) -> tuple[str | None, str]:
    """Of a ping that its far end did not get: the place that answered with an address that it does not have, where all
    were watched, and what to say of it; else None and the address."""
    address = attempt.answered_by or ""
    first = next((one for one in seen.sightings if one.returning), None)
    inside = {frame.link for frame in seen.at(seen.sender)} == {"lo"}
    name = seen.sender if inside else first.place if first and first.frame.out else ""
    if not name or (first and owns(probe.sender.lab.place(name), first)):
        return None, address
    return name, f"{name} in the name of {address}: {seen.receiver} was not seen to get it"
