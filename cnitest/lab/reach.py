"""What became of a probe: delivered, dropped, or unproven."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from cnitest.errors import ProbeUnproven, is_ours
from cnitest.kernel.packet_socket import Frame
from cnitest.lab.explanation import Cause, Explanation, Hop
from cnitest.lab.probe import wire
from cnitest.lab.probe.verdict.direction import returning
from cnitest.lab.probe.verdict.order import Watched, in_order
from cnitest.text import line

__tracebackhide__ = is_ours


class Verdict(enum.Enum):
    """Delivered and answered; dropped, with proof that the instrument worked; or neither can be said."""

    DELIVERED = "delivered"
    DROPPED = "dropped"
    UNPROVEN = "unproven"


class Sighting(NamedTuple):
    """A frame of the probe, the place whose link carried it, and whether it travelled back to the sender."""

    place: str
    frame: Frame
    returning: bool = False

    @property
    def hop(self) -> str:
        """``place:link`` and the direction as that place saw it."""
        return f"{self.place}:{self.frame.link} {'out' if self.frame.out else 'in'}"

    def as_hop(self) -> Hop:
        """The same with the packet's addresses, and without the frame."""
        headers, direction = wire.read(self.frame.data), "out" if self.frame.out else "in"
        source = _end(headers.source, headers.source_port)
        destination = _end(headers.destination, headers.destination_port)
        return Hop(self.place, self.frame.link, direction, source, destination, self.returning)


def _end(address: str, port: int) -> str:
    if not port:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


#: The reason of a drop that the kernel has no word for.
UNTOLD = "NOT_SPECIFIED"


class Traffic(NamedTuple):
    """Frames that a test sent, measured or recorded itself at a ``place``, without a verdict; ``how`` is the method."""

    place: str
    how: str


class Freed(NamedTuple):
    """A packet of a probe that the kernel freed instead of handing it on.

    ``reason`` is the kernel's word (``NETFILTER_DROP``; include/net/dropreason-core.h has all), ``location`` the
    function that freed it. ``link`` is the last link that had it (empty: it never left) and ``out`` whether that one
    sent it, ``place`` where that was, empty where no sniffer saw it. ``returning`` says that it was the reply.
    """

    reason: str
    location: str
    place: str = ""
    link: str = ""
    out: bool = False
    returning: bool = False

    def __str__(self) -> str:
        at = f"{self.place}:{self.link}" if self.place and self.link else self.place or self.link
        return f"{self.reason} in {self.location}" + (f" at {at}" if at else "")


@dataclass(frozen=True)
class Seen:
    """What the places that watched saw of a probe; put in order when somebody asks.

    ``freed`` is what the kernel's trace says of its packets, nothing without one; ``overrun`` that the trace had no
    room for all of it; ``settled`` that nothing of it can be on its way any more, by this trace (``traced``) or because
    nothing in the lab holds a packet.
    """

    watched: tuple[Watched, ...] = ()
    sender: str = ""
    receiver: str = ""
    freed: tuple[Freed, ...] = ()
    settled: bool = False
    traced: bool = False
    overrun: bool = False

    def __bool__(self) -> bool:
        return any(one.frames for one in self.watched)

    def at(self, place: str) -> tuple[Frame, ...]:
        """The frames that one place saw, as its kernel handled them."""
        return tuple(frame for one in self.watched if one.place == place for frame in one.frames)

    @cached_property
    def sightings(self) -> tuple[Sighting, ...]:
        """All frames in the order in which they were on their way."""
        ordered = in_order(self.watched, self.sender)
        back = returning(ordered, self.sender, self.receiver)
        return tuple(Sighting(place, frame, b) for (place, frame), b in zip(ordered, back, strict=True))

    @cached_property
    def copies(self) -> int | None:
        """How many copies of one packet the receiver got; None when nobody watched it."""
        if all(one.place != self.receiver for one in self.watched):
            return None
        here = [sighting for sighting in self.sightings if sighting.place == self.receiver]
        # A host hands a frame from link to link inside, so links are counted apart.
        counts: Counter[tuple[str, Hashable]] = Counter()
        for _, frame, back in here:
            headers = wire.read(frame.data)
            if headers.protocol == wire.TCP and not (headers.payload or headers.flags & wire.SYN):
                continue  # an acknowledgement may be repeated
            if not (back or frame.out):
                counts[frame.link, (headers.travels, headers.number, headers.options)] += 1
            elif back and frame.out and (headers.protocol, headers.kind) in wire.ECHO_REPLIES:  # one for each request
                counts[frame.link, headers.travels] += 1
        return max(counts.values(), default=0)


@dataclass(frozen=True, repr=False)
class Reach:
    """The outcome of one probe. True when delivered and answered, false when proved dropped.

    An unproven one is neither: asking for its truth raises ProbeUnproven. ``source_seen`` is the address that the
    far end saw (None when it is not known), ``rtt`` the round trip in seconds, ``attempts`` how often it was sent,
    ``controls`` what proves the verdict. ``receivers`` are the places that received and answered it, of a probe to a
    group or broadcast address all of them.

    ``answered_by`` is the address (of an ARP probe: the MAC) that answered. Of a reset, an ICMP error or an echo reply
    that somebody sent in the destination's name it is the place that sent it.
    """

    verdict: Verdict
    probe: str
    sender: str
    receiver: str
    destination: str
    reason: str
    attempts: int = 1
    source_seen: str | None = None
    rtt: float | None = None
    answered_by: str | None = None
    receivers: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    seen: Seen = Seen()
    received: int = 0
    transport: str = ""
    port: int = 0
    #: Finds out why it was not delivered, by sending the probe once more; None where nobody can.
    explainer: Callable[[Reach], Explanation] | None = field(default=None, compare=False)

    def __bool__(self) -> bool:
        if self.verdict is Verdict.UNPROVEN:
            raise ProbeUnproven(f"{self.probe}: unproven: {self.reason}")
        return self.verdict is Verdict.DELIVERED

    def __repr__(self) -> str:
        return line(f"<{self.verdict.value}: {self.probe}: {self.reason}>")

    @property
    def sightings(self) -> tuple[Sighting, ...]:
        """The frames of the last attempt where they were seen, in the order in which they were on their way."""
        return self.seen.sightings

    @property
    def hops(self) -> tuple[Hop, ...]:
        """The links that carried it, and an answer to it, in order, each once in each direction."""
        return tuple(dict.fromkeys(s.as_hop() for s in self.sightings if not wire.is_about_another(s.frame.data)))

    @property
    def freed(self) -> tuple[Freed, ...]:
        """The packets of the last attempt that the kernel freed instead of handing them on, in order: where, and why.

        Known where packets can be traced (to the machine's root, once a probe of this process has been lost).
        """
        return self.seen.freed

    @cached_property
    def _travels(self) -> tuple[Sighting, ...]:
        """The same without redirects: a router's announcement about a packet goes its own way."""
        return tuple(s for s in self.sightings if not wire.is_redirect(s.frame.data))

    @property
    def path(self) -> tuple[str, ...]:
        """Where the probe was seen on its way to the destination, in order, each hop once.

        A probe that is answered at once was watched at both ends only; ``watch="all"`` shows every hop.
        """
        return tuple(dict.fromkeys(sighting.hop for sighting in self._travels if not sighting.returning))

    @property
    def return_path(self) -> tuple[str, ...]:
        """Where an answer to it was seen on its way back, as in ``path``."""
        return tuple(dict.fromkeys(sighting.hop for sighting in self._travels if sighting.returning))

    @property
    def copies(self) -> int | None:
        """How many copies of one packet the far end received, normally 1; None when the lab knows no far end."""
        copies = self.seen.copies
        return None if copies is None else max(copies, self.received)

    @cached_property
    def explanation(self) -> Explanation:
        """Why it was not delivered, found out when first asked for: the probe is sent once more, with all evidence
        gathered. Ask while the lab is as it was; of a delivered probe there is none to find."""
        if self.verdict is Verdict.DELIVERED:
            return Explanation(f"{self.summary}: delivered, {self.reason}", hops=self.hops)
        if self.explainer is None:
            return Explanation(f"{self.summary}: {self.verdict.value}", unseen=("nothing: no explainer is at hand",))
        return self.explainer(self)

    @property
    def cause(self) -> Cause | None:
        """Why it was not delivered (`explanation`); None when no cause was found."""
        return self.explanation.cause

    @property
    def dropped_by(self) -> str:
        """What dropped it, short and the same each time: ``ip filter FORWARD policy``, ``no route``.

        Empty of a delivered probe, ``not found`` when there is no telling.
        """
        if self.verdict is Verdict.DELIVERED:
            return ""
        return self.cause.dropped_by if self.cause else "not found"

    @property
    def summary(self) -> str:
        """Who sent what to whom: ``node/ns01 → 10.40.80.12 icmp``."""
        port = f" {self.port}" if self.port else ""
        return line(f"{self.sender} → {self.destination} {self.transport}{port}".rstrip())

    @property
    def packets(self) -> list[Any]:
        """The frames of the probe as scapy packets, in the order of their way."""
        from cnitest.lab.frames import packets

        return [packets.dissect(sighting.frame) for sighting in self.sightings]

    def story(self) -> str:
        """All of it in lines: the verdict, the path there and back, and what proves it."""
        lines = [repr(self)[1:-1]]
        for words, path in (("seen at", self.path), ("seen on the way back at", self.return_path)):
            if path:
                lines += [f"  {words}:", *(f"    {hop}" for hop in path)]
        if (self.copies or 0) > 1:
            lines.append(f"  {self.receiver} received {self.copies} copies")
        lines += [f"  control: {control}" for control in self.controls]
        return "\n".join(lines)
