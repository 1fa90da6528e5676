"""What the silence after a probe proves, and what to say of it: where the probe was last seen, or its answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnitest.errors import KernelError
from cnitest.kernel.packet_socket import Frame
from cnitest.kernel.rows import sockets
from cnitest.lab.probe import wire
from cnitest.lab.probe.base import Attempt, Probe
from cnitest.lab.probe.verdict.controls import Control
from cnitest.lab.reach import Seen, Sighting

if TYPE_CHECKING:
    from cnitest.lab.place import Place

_GROUP = 1


def lost_answer(attempt: Attempt, wait: float, seen: Seen, sender: Place) -> Sighting | None:
    """The answer that was at the sender's link in good time and never got to its socket; None when none was.

    In good time is within half of what was waited: handing it on takes the kernel microseconds. Whatever came later
    may only have been late.
    """
    here = [sighting for sighting in seen.sightings if sighting.place == sender.full_name]
    left = next((sighting.frame.when for sighting in here if sighting.frame.out), None)
    if left is None:
        return None
    half = wait * 1e9 / 2
    answers = [sighting for sighting in _back(attempt, here) if not sighting.frame.out]
    return next((answer for answer in answers if answer.frame.when - left <= half), None)


def is_answer(frame: Frame, address: str, port: int) -> bool:
    """Whether a frame that came in is an answer of ``address``: not that there is no neighbour, nor a request to that
    and its ``port`` (0 of a ping), which comes in by lo where the address is its sender's own."""
    headers = wire.read(frame.data)
    if headers.source != address or wire.says_no_neighbour(frame.data):
        return False
    asks = bool(port) or (headers.protocol, headers.kind) in wire.ECHO_REQUESTS.items()
    return not (asks and headers.destination == address and headers.destination_port == port)


def has_left(seen: Seen, sender: str) -> bool:
    """Whether a probe was seen on a link of its sender, and not only the error by which the sender's own kernel gives
    up: that for want of a MAC it never sent it."""
    return not all(wire.says_no_neighbour(frame.data) for frame in seen.at(sender))


def doubt(attempt: Attempt, sent: Sequence[Frame], before: Control, after: Control, *, kept_back: bool) -> str:
    """Why silence between two controls proves nothing; empty when it does. ``sent`` are the frames of the attempt that
    the sender's own links carried; ``kept_back`` says that its kernel does not get to ask for the next hop."""
    for passed in (before, after):
        if not passed.passed:
            return passed.words + (f" ({attempt.violation})" if attempt.violation else "")
    if attempt.forbidden or attempt.too_large:
        return ""
    if attempt.no_neighbour and (kept_back or not (before.hop_answers or after.hop_answers)):
        return ""
    if attempt.error:
        return f"it was never sent: {attempt.violation}"
    if not (sent or kept_back) and (before.hop_answers or after.hop_answers):
        return "it was never seen to leave, although the next hop answers"
    return attempt.doubt


def elsewhere(probe: Probe, attempt: Attempt, seen: Seen) -> str:
    """Why silence proves nothing of a datagram that was last seen to come to a place where somebody else listens on its
    port (DNAT), when no listener was named for it; empty when it does."""
    if probe.transport != "udp" or probe.far is not getattr(probe, "owner", None):
        return ""
    last = last_sighting(attempt, seen)
    if last is None or last.returning or last.frame.out or last.place == seen.receiver:
        return ""
    place, packet = probe.sender.lab.place(last.place), wire.read(last.frame.data)
    to, port = packet.destination, packet.destination_port
    try:
        held = sockets.listening(place.namespace, "udp")
    except (KernelError, OSError):
        return ""
    if not (any(row.ip == to for row in place.addresses) and any(one.takes(to, port) for one in held)):
        return ""
    return f"the server that has port {port} at {place.full_name} is not ours and may not answer"


def unanswered(attempt: Attempt, wait: str, answer: Sighting | None, why: str, otherwise: str) -> str:
    """What to say of a probe that was not answered between two controls: where its ``answer`` was lost, and ``why``;
    where none came ``otherwise``. ``wait`` says how long, and how often, it was waited for."""
    where = f"the reply was last seen at {answer.hop}{why}" if answer else otherwise
    return f"no answer within {wait}; {where}{_remark(attempt)}"


def freed(attempt: Attempt, seen: Seen) -> str:
    """What to say of a probe that the kernel freed twice in the same way."""
    first = seen.freed[0]
    what = "the reply" if first.returning else "it"
    last = last_seen(attempt, seen) or "it never left"
    return f"no answer: the kernel freed {what} ({first}), twice; {last}{_remark(attempt)}"


def gone(attempt: Attempt, seen: Seen, unseen: str, why: str) -> str:
    """What to say of a probe that was twice not answered while nothing could hold it.

    ``unseen`` is said where none saw it, and ``why`` is what is wrong with an answer that the sender did not take.
    """
    last = f"{last_seen(attempt, seen) or unseen}{why}"
    return f"no answer, twice, and nothing on the way holds a packet; {last}{_remark(attempt)}"


def last_seen(attempt: Attempt, seen: Seen) -> str:
    """Where the probe was last seen, or its answer if there was one; empty when nobody saw it."""
    last = last_sighting(attempt, seen)
    if last is None:
        return ""
    return f"the reply was last seen at {last.hop}" if last.returning else f"last seen at {last.hop}"


def last_sighting(attempt: Attempt, seen: Seen, *, forth: bool = False) -> Sighting | None:
    """The last that was seen of a probe, or of its answer if there was one; with ``forth`` of the probe in any case.

    None when nobody saw it.
    """
    back = [] if forth else _back(attempt, seen.sightings)
    if back:
        return _furthest(back, seen.sender)
    there = [s for s in seen.sightings if _is_pending(attempt, s) and not s.returning]
    return _furthest(there, seen.receiver) if there else None


def why_lost(answer: Sighting | None, destination: str, sender: Place) -> str:
    """What is visibly wrong with an answer that the sender did not take; empty when nothing is, or none came."""
    if answer is None:
        return ""
    headers, mac = wire.read(answer.frame.data), answer.frame.data[:6]
    own, master = sender.link(answer.frame.link).mac, sender.link(answer.frame.link).master
    if not mac[0] & _GROUP and own and not master and mac.hex(":") != own:
        return f", addressed to {mac.hex(':')} and not to {own}, which is its own"
    if headers.source != destination.partition("%")[0]:
        return f", from {headers.source}"
    return ""


def _back(attempt: Attempt, sightings: tuple[Sighting, ...] | list[Sighting]) -> list[Sighting]:
    return [sighting for sighting in sightings if sighting.returning and _is_pending(attempt, sighting)]


def _is_pending(attempt: Attempt, sighting: Sighting) -> bool:
    """Whether a frame is one of the step that was never finished. An ICMP error or redirect is about one."""
    data = sighting.frame.data
    return attempt.pending(sighting.frame) and not wire.is_about_another(data)


def _furthest(sightings: list[Sighting], goal: str) -> Sighting:
    """The last hop that was reached: the goal's, unless that has sent it on to somebody else (DNAT), else the last new
    one, whatever was sent again meanwhile."""
    arrived = [sighting for sighting in sightings if sighting.place == goal and not sighting.frame.out]
    new: dict[str, Sighting] = {}
    for sighting in sightings:
        new.setdefault(sighting.hop, sighting)
    return arrived[-1] if arrived and not _is_sent_on(sightings, arrived[-1]) else list(new.values())[-1]


def _is_sent_on(sightings: list[Sighting], arrived: Sighting) -> bool:
    """Whether the place where it arrived has sent it out again, translated to another address."""
    asked = wire.read(arrived.frame.data).destination
    sent = (one for one in sightings if one.place == arrived.place and one.frame.out)
    return any(wire.read(one.frame.data).destination != asked for one in sent)


def _remark(attempt: Attempt) -> str:
    return f"; {attempt.remark}" if attempt.remark else ""
