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
from cnitest.topology.link_kinds import KINDS

if TYPE_CHECKING:
    from cnitest.lab.lab import Lab
    from cnitest.lab.place import Place

# Links that hand a packet on at once: loopback, and the kinds that are known to. Of others nobody knows.
_AT_ONCE = {"", *(kind for kind, row in KINDS.items() if not row.defers)}
_STATE, _INCOMPLETE = 24, 0x01  # of struct ndmsg, behind the header
_TWICE = 2
_INGRESS = 0xFFFF0000  # which only filters: it has no queue


def nothing_waits(lab: Lab, transport: str) -> bool:
    """Whether no packet is on its way anywhere in a lab, and no program can answer one that was.

    Everything is asked twice, with all backlogs handled before each time, for a packet may have been between two
    places that were asked one after the other. Raises OSError.
    """
    if programs.may_see(lab) or programs.may_answer(lab, transport):
        return False
    return all(backlogs.are_handled() and not next(holders(lab), "") for _ in range(_TWICE))


def holders(lab: Lab) -> Iterator[str]:
    """What may hold a packet, in words, as it is found."""
    for place in lab.places:
        yield from queues(place)
        yield from _slow_links(place)
        yield from _neighbours(place)
        yield from _kept_by_the_kernel(lab, place)


def queues(place: Place) -> Iterator[str]:
    """The links of a place in whose queues packets wait, in words."""
    waiting: Counter[int] = Counter()
    for queue in rows.queues(place.namespace.netlink.dump(rows.dump())):
        waiting[queue.ifindex] += queue.waiting
    waiting = +waiting
    names = {end.ifindex: end.name for end in peers.ends(place.namespace, {})} if waiting else {}
    for index, packets in waiting.items():
        yield f"{packets} packet{'s' * (packets > 1)} in the queue of {place.full_name}:{names.get(index, index)}"


def shapes(lab: Lab) -> bool:
    """Whether somebody has given a link of a lab a queue of his own, which may hand packets on late."""
    found = (queue for place in lab.places for queue in rows.queues(place.namespace.netlink.dump(rows.dump())))
    return any(queue.handle not in (0, _INGRESS) for queue in found)


def _slow_links(place: Place) -> Iterator[str]:
    for end in peers.ends(place.namespace, {}):
        if end.kind not in _AT_ONCE:
            yield f"{place.full_name}:{end.name} is a {end.kind} link"


def _neighbours(place: Place) -> Iterator[str]:
    for row in place.namespace.netlink.dump(rtnl.dump_neighbours()):
        if struct.unpack_from("=H", row, _STATE)[0] & _INCOMPLETE:
            yield f"a neighbour that {place.full_name} asks for"


def _kept_by_the_kernel(lab: Lab, place: Place) -> Iterator[str]:
    """Packets that wait for a verdict of a program, and fragments for the others."""
    read = lab.own_file_reader(place.namespace)
    table, *fragments = (read(name) for name in ("netfilter/nfnetlink_queue", "sockstat", "sockstat6"))
    if any(int(line.split()[2]) for line in table.splitlines()):
        yield f"a packet in an NFQUEUE of {place.full_name}"
    for line in "".join(fragments).splitlines():
        if line.startswith("FRAG") and int(line.split()[-1]):
            yield f"fragments at {place.full_name}"
