"""In which order the frames of a probe were on their way.

Clocks do not show it: two hops inside a kernel share one stamp, and a clock can be set meanwhile. Three things hold
whatever the clocks say. The kernel of a place shows its frames in the order in which it handled them. A frame arrives
only after it was sent at the other end of the link. And nothing is anywhere before the sender has sent it. Where these
leave a choice, the earlier stamp goes first.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from cnitest.kernel.packet_socket import Frame
from cnitest.kernel.peers import PeerLink
from cnitest.lab.probe import wire


class Watched(NamedTuple):
    """The frames of a probe that one place saw, as its kernel handled them; its links, where they are known."""

    place: str
    frames: tuple[Frame, ...]
    links: tuple[PeerLink, ...] = ()


class _Way(NamedTuple):
    """A link of a place, and one of its two directions."""

    place: str
    link: str
    out: bool


class _Passage(NamedTuple):
    """A packet on such a way. It may pass several times: a copy, or sent again."""

    packet: Hashable
    way: _Way
    hops: int
    data: bytes


class _Event(NamedTuple):
    """One frame: its passage, which time it passes there, and the passages that can have led to it."""

    frame: Frame
    passage: _Passage
    time: int
    causes: tuple[_Passage, ...] = ()


def in_order(watched: Sequence[Watched], sender: str) -> list[tuple[str, Frame]]:
    """The frames of all places as (place, frame), each after those that led to it."""
    merge = _Merge(watched)
    return [(event.passage.way.place, event.frame) for event in merge.events(sender)]


class _Merge:
    """Several places' frames, becoming one sequence."""

    def __init__(self, watched: Sequence[Watched]) -> None:
        self._before = _straight_before(watched)
        self._queues = {one.place: _passages(one) for one in watched}
        self._all = Counter(event.passage for queue in self._queues.values() for event in queue)
        self._placed: Counter[_Passage] = Counter()

    @cached_property
    def _by_packet(self) -> Mapping[Hashable, list[_Passage]]:
        found: dict[Hashable, list[_Passage]] = defaultdict(list)
        for passage in self._all:
            found[passage.packet].append(passage)
        return found

    def events(self, sender: str) -> list[_Event]:
        """All frames, in order."""
        waiting = {
            place: [event._replace(causes=self._causes(event.passage)) for event in reversed(queue)]
            for place, queue in self._queues.items()
            if queue
        }
        found: list[_Event] = []
        departed = not any(event.frame.out for event in waiting.get(sender, ()))
        while waiting:
            place = sender if not departed else self._next(waiting)
            event = waiting[place].pop()
            self._placed[event.passage] += 1
            found.append(event)
            departed = departed or event.frame.out
            if not waiting[place]:
                del waiting[place]
        return found

    def _next(self, waiting: Mapping[str, list[_Event]]) -> str:
        """The place whose next frame comes next: the earliest of those whose causes have been."""
        ready = [place for place, queue in waiting.items() if self._is_ready(queue[-1])]
        return min(ready or waiting, key=lambda place: waiting[place][-1].frame.when)

    def _is_ready(self, event: _Event) -> bool:
        """Whether as many have set out as have to, for this one to arrive."""
        needed = min(event.time, sum(self._all[cause] for cause in event.causes))
        return sum(self._placed[cause] for cause in event.causes) >= needed

    def _causes(self, passage: _Passage) -> tuple[_Passage, ...]:
        """The passages elsewhere of which one led to this: at the other end of the link, or somewhere on the way."""
        way, others = passage.way, [p for p in self._by_packet[passage.packet] if p.way.place != passage.way.place]
        straight = [other for other in others if other.way in self._before[way] and other.hops == passage.hops]
        sent = [other for other in others if other.way.out and other.hops >= passage.hops and not way.out]
        for found in (straight, sent):
            same = tuple(other for other in found if other.data == passage.data)
            if found:
                return same or tuple(found)
        return ()


def _passages(one: Watched) -> list[_Event]:
    times: Counter[_Passage] = Counter()
    found = []
    for frame in one.frames:
        way = _Way(one.place, frame.link, frame.out)
        passage = _Passage(wire.packet(frame.data), way, wire.read(frame.data).hops, frame.data)
        times[passage] += 1
        found.append(_Event(frame, passage, times[passage]))
    return found


def _straight_before(watched: Sequence[Watched]) -> Mapping[_Way, set[_Way]]:
    """From which ways in other places a frame comes onto a way.

    The peer's sending comes before a veth's receiving. A macvlan's parent receives before it and sends after it; what
    one child sends to another is first shown to the parent, as if it received it.
    """
    found: dict[_Way, set[_Way]] = defaultdict(set)
    names = {(one.place, link.ifindex): link.name for one in watched for link in one.links}
    for one in watched:
        for link in one.links:
            other = names.get((link.namespace, link.other))
            if other is None:
                continue
            here, there = (one.place, link.name), (link.namespace, other)
            if link.kind == "veth":
                found[_Way(*here, False)].add(_Way(*there, True))
                continue
            found[_Way(*there, True)].add(_Way(*here, True))
            found[_Way(*there, False)].add(_Way(*here, True))
            found[_Way(*here, False)].add(_Way(*there, False))
    return found
