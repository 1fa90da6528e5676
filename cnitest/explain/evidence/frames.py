"""Frames on every link: which links carried the packet, and where it was last seen."""

from __future__ import annotations

from dataclasses import replace

from cnitest.explain.evidence.rows import LastSeen
from cnitest.lab.explanation import Hop
from cnitest.lab.lab import Lab
from cnitest.lab.place import Place
from cnitest.lab.probe import wire
from cnitest.lab.probe.base import Attempt
from cnitest.lab.probe.verdict import refusal, silence
from cnitest.lab.probe.verdict.order import Watched
from cnitest.lab.reach import Seen, Sighting
from cnitest.lab.snapshot import state as states


def spot(attempt: Attempt, seen: Seen, sender: Place) -> LastSeen:
    """Where a packet was last seen: the request that somebody rejected, else the answer, else the request.

    A request is lost where the one who rejected it is, wherever copies of it went. What is rejected after a stranger
    took the connection is the reset that he gets.
    """
    foreign = _foreign_answer(seen, sender)
    found = refusal.refusal(attempt, seen, sender)
    if foreign and not (found and wire.read(foreign.frame.data).flags & wire.RST):
        return _spot(foreign, sender.lab)
    last = silence.last_sighting(attempt, seen, forth=found is not None)
    if found and found.origin:
        here = [s for s in seen.sightings if s.place == found.origin.place and not s.returning and not s.frame.out]
        last = next((s for s in reversed(here) if wire.icmp_error(s.frame.data) is None), last)
    return _spot(last, sender.lab) if last else LastSeen(sender)


def _foreign_answer(seen: Seen, sender: Place) -> Sighting | None:
    """What came back to the sender of a connection from an address or port that it never sent anything of it to before:
    a translated part, which it rejects."""
    asked: set[tuple[str, int]] = set()
    for sighting in seen.sightings:
        headers = wire.read(sighting.frame.data)
        if sighting.place != sender.full_name or headers.protocol != wire.TCP:
            continue
        if sighting.frame.out and not sighting.returning:
            asked.add((headers.destination, headers.destination_port))
        elif asked and sighting.returning and not sighting.frame.out and _source(headers) not in asked:
            return sighting
    return None


def _source(headers: wire.Headers) -> tuple[str, int]:
    return headers.source, headers.source_port


def _spot(sighting: Sighting, lab: Lab) -> LastSeen:
    return LastSeen(
        lab.place(sighting.place), sighting.frame.link, sighting.frame.out, sighting.returning, sighting.frame
    )


def hops(seen: Seen, spot: LastSeen) -> tuple[Hop, ...]:
    """The links that carried the packet, each once in each direction, up to where it was last seen."""
    carried = [s for s in until(seen, spot) if not wire.is_about_another(s.frame.data)]
    return tuple(dict.fromkeys(s.as_hop() for s in carried if spot.returning or not s.returning))


def until(seen: Seen, spot: LastSeen) -> tuple[Sighting, ...]:
    """What was seen of a connection up to an answer that was lost; what follows on it is no part of the way."""
    if not (spot.frame and spot.returning and wire.read(spot.frame.data).protocol == wire.TCP):
        return seen.sightings
    lost = [number for number, sighting in enumerate(seen.sightings, 1) if sighting.frame is spot.frame]
    return seen.sightings[: lost[0]] if lost else seen.sightings


def is_own_reset(place: Place, link: str, packet: wire.Headers) -> bool:
    """Whether a packet is a reset that a place made for itself in the name of somebody else: it never leaves lo."""
    if link != "lo" or packet.protocol != wire.TCP or not packet.flags & wire.RST:
        return False
    return not states.has_address(place.namespace, packet.source)


def without_own_resets(seen: Seen, lab: Lab) -> Seen:
    """What was seen without the resets that places made for themselves, which are no part of any way: what these answer
    was rejected before it left."""
    return replace(seen, watched=tuple(_left_out(one, lab.place(one.place)) for one in seen.watched))


def _left_out(watched: Watched, place: Place) -> Watched:
    frames = (one for one in watched.frames if not is_own_reset(place, one.link, wire.read(one.data)))
    return watched._replace(frames=tuple(frames))
