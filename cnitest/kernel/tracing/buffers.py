"""What became of each packet buffer (``skb``) in a trace: which links handed it on, and how it ended.

The kernel gives an address to the next packet once it is free, so an address alone tells nothing: a buffer's time is
from its first event to its end.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from cnitest.kernel.tracing.events import TraceEvent

#: The events of a link that sends or receives a buffer.
SENT, HANDED_OVER, RECEIVED = "net_dev_queue", "netif_rx", "netif_receive_skb"
_HOPS = (SENT, HANDED_OVER, RECEIVED)
_FREED, _CONSUMED = "kfree_skb", "consume_skb"


class BufferEnd(Enum):
    """How a buffer ended: used up by whom it was for, dropped, or not at all as far as was noted."""

    USED = "used"
    DROPPED = "dropped"
    UNKNOWN = "unknown"


class BufferHop(NamedTuple):
    """A link that had a buffer of ``length`` bytes, and what it did with it (`SENT`, `HANDED_OVER` or `RECEIVED`)."""

    what: str
    link: str
    length: int
    event: TraceEvent


class Drop(NamedTuple):
    """Why a buffer was dropped, in the kernel's word, by which of its functions; of which EtherType it was."""

    reason: str
    function: str
    protocol: int


@dataclass
class Buffer:
    """A buffer from its first event on. ``first`` and ``last`` are the places of these in the trace.

    ``hops`` are the links that had it, none of one that was dropped before any had; ``drop`` is None unless it was.
    """

    first: int
    last: int
    begin: TraceEvent
    end: BufferEnd = BufferEnd.UNKNOWN
    drop: Drop | None = None
    hops: list[BufferHop] = field(default_factory=list)
    #: The threads in whose time it was handled.
    tasks: set[int] = field(default_factory=set)

    def note(self, number: int, event: TraceEvent) -> None:
        """One more event of it."""
        self.last = number
        self.tasks.add(event.task)
        said = event.fields
        if event.name in _HOPS:
            self.hops.append(BufferHop(event.name, said["dev"], int(said["len"]), event))
        elif event.name == _FREED:
            self.end = BufferEnd.DROPPED
            function = said.get("location", "").partition("+")[0]
            self.drop = Drop(said.get("reason", ""), function, int(said.get("protocol", 0)))
        else:
            self.end = BufferEnd.USED


def buffers(events: Iterable[TraceEvent]) -> list[Buffer]:
    """The buffers of a trace that links had or that were dropped, in the order in which they began."""
    found: list[Buffer] = []
    living: dict[str, Buffer] = {}
    for number, event in enumerate(events):
        if event.name not in (*_HOPS, _FREED, _CONSUMED):
            continue
        address = event.fields["skbaddr"]
        buffer = living.get(address)
        if buffer and _is_new(event, buffer):
            buffer = None
        if buffer is None:
            if event.name == _CONSUMED:
                continue
            buffer = living[address] = Buffer(number, number, event)
            found.append(buffer)
        buffer.note(number, event)
        if buffer.end is not BufferEnd.UNKNOWN:
            del living[address]
    return found


def _is_new(event: TraceEvent, buffer: Buffer) -> bool:
    """Whether an address was given anew though its end was not noted, as when a program has read a datagram.

    A task sends what it has just made, and drops nothing that a softirq received but what it has read.
    """
    if not event.in_task or not buffer.hops:
        return False
    last = buffer.hops[-1]
    return last.what != SENT if event.name == SENT else last.what == RECEIVED and not last.event.in_task
