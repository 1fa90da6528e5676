"""What became of a probe: delivered, dropped, or unproven."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, NamedTuple

from cnitest.errors import ProbeUnproven, is_ours
from cnitest.kernel.tap import Frame
from cnitest.text import line

__tracebackhide__ = is_ours


class Verdict(enum.Enum):
    """Delivered and answered; dropped, with proof that the instrument worked; or neither can be said."""

    DELIVERED = "delivered"
    DROPPED = "dropped"
    UNPROVEN = "unproven"


class Sighting(NamedTuple):
    """A frame of the probe, and the place whose link carried it."""

    place: str
    frame: Frame

    @property
    def hop(self) -> str:
        """``place:link`` and the direction as that place saw it."""
        return f"{self.place}:{self.frame.link} {'out' if self.frame.out else 'in'}"


@dataclass(frozen=True, repr=False)
class Reach:
    """The outcome of one probe. True when delivered and answered, false when proved dropped.

    An unproven one is neither: asking for its truth raises ProbeUnproven. ``source_seen`` is the address that the
    far end saw (None when it is not known), ``rtt`` the round trip in seconds, ``attempts`` how often it was sent,
    ``answered_by`` the address (of an ARP probe: the MAC) that answered, ``controls`` what proves the verdict.
    ``receivers`` are the places that received and answered it, of a probe to a group or broadcast address all of them.
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
    sightings: tuple[Sighting, ...] = ()
    controls: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        if self.verdict is Verdict.UNPROVEN:
            raise ProbeUnproven(f"{self.probe}: unproven: {self.reason}")
        return self.verdict is Verdict.DELIVERED

    def __repr__(self) -> str:
        return line(f"<{self.verdict.value}: {self.probe}: {self.reason}>")

    @property
    def path(self) -> tuple[str, ...]:
        """Where the probe was seen, in order, each hop once."""
        return tuple(dict.fromkeys(sighting.hop for sighting in self.sightings))

    @property
    def packets(self) -> list[Any]:
        """The frames of the probe as scapy packets, in the order they were seen."""
        from cnitest.lab import packets

        return [packets.dissect(sighting.frame) for sighting in self.sightings]

    def story(self) -> str:
        """The whole story in lines: the verdict, the path, and what proves it."""
        lines = [repr(self)[1:-1]]
        if self.path:
            lines += ["  seen at:", *(f"    {hop}" for hop in self.path)]
        lines += [f"  control: {control}" for control in self.controls]
        return "\n".join(lines)
