"""What may keep a packet back on its way: where nothing does, and none is being handled, no answer can come any more.

A packet is handled by one processor from link to link. It rests only in a queue of a link, with a neighbour that is
asked for its MAC, with a program (NFQUEUE, a tap, a proxy) or with other fragments; all of these can be asked.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cnitest.kernel import peers
from cnitest.kernel.rows import queues as rows
from cnitest.kernel.rtnetlink import rtnl
from cnitest.kernel.tracing import backlogs
from cnitest.lab.probe.verdict import programs
from cnitest.lab.snapshot import state as states
from cnitest.topology.link_kinds import KINDS

if TYPE_CHECKING:
    from cnitest.lab.lab import Lab
    from cnitest.lab.place import Place
    from cnitest.lab.reach import Seen

# Links that hand a packet on at once: loopback, and the kinds that are known to. Of others nobody knows.
_AT_ONCE = {"", *(kind for kind, row in KINDS.items() if not row.defers)}
_STATE, _INCOMPLETE = 24, 0x01  # of struct ndmsg, behind the header
_TWICE = 2
_INGRESS = 0xFFFF0000  # which only filters: it has no queue


def nothing_waits(lab: Lab, transport: str) -> bool:
    """Whether no packet is on its way anywhere in a lab, and no program can answer one that was.

    Everything is asked twice, with all backlogs handled before each time, for a packet may have been between two
    places that were asked one after the other. One that moved all the time was seen: who asks looks, too. Raises
    OSError.
    """
    if programs.may_see(lab) or programs.may_answer(lab, transport):
        return False
    return all(backlogs.are_handled() and not next(holders(lab), "") for _ in range(_TWICE))


def holders(lab: Lab) -> Iterator[str]:
    """What may hold a packet, in words, as it is found."""
    for place in lab.places:
        yield from queues(place)
        yield from neighbours(place)
        yield from programs_queues(lab, place)
        yield from _fragments(lab, place)
    yield from _slow_links(lab)


def queues(place: Place) -> Iterator[str]:
    """The links of a place in whose queues packets wait, in words."""
    waiting: Counter[int] = Counter()
    for queue in rows.queues(place.namespace.netlink.dump(rows.dump())):
        waiting[queue.ifindex] += queue.waiting
    waiting = +waiting
    names = {link.ifindex: link.name for link in states.links(place.namespace).links} if waiting else {}
    for index, packets in waiting.items():
        yield f"{packets} packet{'s' * (packets > 1)} in the queue of {place.full_name}:{names.get(index, index)}"


def shapes(lab: Lab) -> bool:
    """Whether somebody has given a link of a lab a queue of his own, which may hand packets on late."""
    found = (queue for place in lab.places for queue in rows.queues(place.namespace.netlink.dump(rows.dump())))
    return any(queue.handle not in (0, _INGRESS) for queue in found)


def are_handed_out(lab: Lab, seen: Seen) -> bool:
    """Whether packets of a probe went out by a link behind which they may rest: where they do is not seen."""
    out = {(one.place, frame.link) for one in seen.watched for frame in one.frames if frame.out}
    return any((place, end.name) in out for place, end in _unseen_behind(lab))


def _slow_links(lab: Lab) -> Iterator[str]:
    for place, end in _unseen_behind(lab):
        yield f"{place}:{end.name} " + ("leads out of the lab" if end.outside else f"is a {end.kind} link")


def _unseen_behind(lab: Lab) -> Iterator[tuple[str, peers.End]]:
    """The links that hand packets on at their own time, or to a namespace that is no place of the lab."""
    for place, ends in peers.ends({place.full_name: place.namespace for place in lab.places}).items():
        yield from ((place, end) for end in ends if end.outside or end.kind not in _AT_ONCE)


def neighbours(place: Place) -> Iterator[str]:
    """The neighbours that a place asks for, in words."""
    for row in place.namespace.netlink.dump(rtnl.dump_neighbours()):
        if struct.unpack_from("=H", row, _STATE)[0] & _INCOMPLETE:
            yield f"a neighbour that {place.full_name} asks for"


def programs_queues(lab: Lab, place: Place) -> Iterator[str]:
    """Packets that wait for a program to decide on them, in words."""
    table = lab.own_file_reader(place.namespace)("netfilter/nfnetlink_queue")
    if any(int(line.split()[2]) for line in table.splitlines()):
        yield f"a packet in an NFQUEUE of {place.full_name}"


def _fragments(lab: Lab, place: Place) -> Iterator[str]:
    """Fragments that wait for the others."""
    read = lab.own_file_reader(place.namespace)
    for line in "".join(read(name) for name in ("sockstat", "sockstat6")).splitlines():
        if line.startswith("FRAG") and int(line.split()[-1]):
            yield f"fragments at {place.full_name}"
