"""What may keep a packet back on its way: where nothing does, and none is being handled, no answer can come any more.

A packet is handled by one processor from link to link. It rests only in a queue of a link, with a neighbour that is
asked for its MAC, with a program (NFQUEUE, a tap, a proxy) or with other fragments; all of these can be asked. A
broadcast rests where macvlans stand on a link, too, and that is seen by one of our own that comes after it.
"""

from __future__ import annotations

import contextlib
import ipaddress
import struct
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from cnitest.deadline import Deadline
from cnitest.kernel import peers
from cnitest.kernel.packet_socket import PacketSocket, wait_for_any
from cnitest.kernel.peers import PeerLink
from cnitest.kernel.rows import queues as rows
from cnitest.kernel.rtnetlink import rtnl
from cnitest.kernel.rtnetlink.neighbours import beliefs
from cnitest.kernel.rtnetlink.netlink import attributes
from cnitest.kernel.tracing import backlogs
from cnitest.lab.probe import wire
from cnitest.lab.probe.verdict import programs, proxies
from cnitest.lab.probe.verdict.neighbour import NeighbourRequest, asked_by_kernel, question
from cnitest.lab.snapshot import state as states
from cnitest.topology.link_kinds import KINDS

if TYPE_CHECKING:
    from cnitest.lab.lab import Lab
    from cnitest.lab.place import Place
    from cnitest.lab.reach import Seen

# Links that hand a packet on at once: loopback, and the kinds that are known to. Of others nobody knows.
_AT_ONCE = {"", *(kind for kind, row in KINDS.items() if not row.defers)}
# The modes of links that get broadcasts later than their parents.
_LATER = {kind: row.broadcasts_later for kind, row in KINDS.items() if row.broadcasts_later}
# Seconds for a frame of ours to get to them.
_MARKER = 0.05
_STATE, _INCOMPLETE = 24, 0x01  # of struct ndmsg, behind the header
_NEIGHBOUR, _DST = 28, 1  # where its attributes begin; the neighbour's address
_ASKED_FOR = "incomplete"
# Nanoseconds by which the kernel may round an entry's age down: a hundredth of a second, and a tick of its own.
_AGE_ROUNDS = 20_000_000
_TWICE = 2
_INGRESS = 0xFFFF0000  # which only filters: it has no queue


def nothing_waits(
    lab: Lab,
    transport: str,
    since: int = 0,
    instead: list[AskedInstead] | None = None,
    forgotten: Collection[tuple[Place, str]] = (),
) -> bool:
    """Whether no packet is on its way anywhere in a lab, and no program can answer one that was.

    Everything is asked twice, with all backlogs handled before each time, for a packet may have been between two
    places that were asked one after the other. One that moved all the time was seen: who asks looks, too. A neighbour
    that a place asks for is asked for by us, too: who does not answer that now will not answer the place. What a place
    was seen not to ask itself, ``since`` an attempt began (in nanoseconds since the epoch), is not waited for; where
    nobody saw that, what we asked goes into ``instead``. What places had ``forgotten`` by then they ask for since. A
    question of ours (``arp``) and its answer are sent without asking for anybody. Raises OSError.
    """
    if programs.may_see(lab) or programs.may_answer(lab, transport):
        return False
    counts = {place: lab.sniffer(place).count for place in lab.places}
    asks = transport != "arp"
    asked, kept_back = _ask_again(lab, since, forgotten) if asks else ([], [])
    if instead is not None:
        instead += (one for one in asked if one.unseen)
    besides = {(each.place, each.address) for each in (*asked, *kept_back)}
    ends = peers.ends({place.full_name: place.namespace for place in lab.places})
    if not _broadcasts_are_handled(lab, ends):
        return False
    if not all(backlogs.are_handled() and not next(holders(lab, besides, ends, asks=asks), "") for _ in range(_TWICE)):
        return False
    return not _may_be_answered(lab, asked, counts, besides)


class LinkIn(NamedTuple):
    """A link of a place, by name."""

    place: Place
    link: str


class AskedInstead(NamedTuple):
    """A question for a neighbour that a place asks for, sent by us; ``unseen`` when nobody watched the place before."""

    place: Place
    link: str
    question: NeighbourRequest
    unseen: bool = False

    @property
    def address(self) -> str:
        """Whose MAC is asked for."""
        return self.question.address


def _ask_again(
    lab: Lab, since: int, forgotten: Collection[tuple[Place, str]]
) -> tuple[list[AskedInstead], list[AskedInstead]]:
    """Ask for the neighbours that places ask for, once more, where the link sends anything; and those questions that
    places keep back themselves (a rule drops them): nobody answers these, and if we asked, it would be for them."""
    asked, kept_back = [], []
    for place in lab.places:
        if not next(neighbours(place), ""):
            continue
        links, addresses, sniffer = states.links(place.namespace), place.addresses, lab.sniffer(place)
        for row in states.neighbours(place.namespace, links):
            if row.state == _ASKED_FOR:
                link = next(link for link in links.links if link.name == row.link)
                again = question(link, addresses, row.ip)
                rounds = 0 if (place, row.ip) in forgotten else _AGE_ROUNDS
                has_asked = not since or _has_asked(place, sniffer, link.ifindex, again, since, rounds)
                if has_asked is False:
                    kept_back.append(AskedInstead(place, link.name, again))
                    continue
                own = asked_by_kernel(place, again)
                with contextlib.suppress(OSError):
                    sniffer.send(link.name, own[-1].data if own else again.data)
                    asked.append(AskedInstead(place, link.name, again, has_asked is None))
    return asked, kept_back


def _has_asked(
    place: Place, sniffer: PacketSocket, ifindex: int, asked: NeighbourRequest, since: int, rounds: int
) -> bool | None:
    """Whether a place that asks for a neighbour was seen to; None where it began before ``since``, or before the
    sniffer watched. Of when it began the kernel's word is up to ``rounds`` nanoseconds late."""
    packed = ipaddress.ip_address(asked.address.partition("%")[0]).packed
    found = beliefs(place.namespace.netlink.dump(rtnl.dump_neighbours()), {packed})
    age = next((belief.age for entry, belief in found.items() if entry.ifindex == ifindex and belief.in_vain), None)
    if age is None or place.lab.blind:
        return True
    began = time.time_ns() - round(age * 1e9)
    if began < since or sniffer.opened >= since:
        return None
    asked_at = [one.when for one in asked_by_kernel(place, asked, since - rounds)]
    if any(when >= since for when in asked_at):
        return True
    # It may have begun, and asked, just before.
    unsure = began - rounds < since and (asked_at or sniffer.opened >= since - rounds)
    return None if unsure else False


def keeps_back(place: Place, link: str, address: str, since: int, wait: float) -> str:
    """Why a place was in vain to find out a neighbour's MAC on a link after a time, although that answers, in words:
    it was not seen to ask (a rule drops its questions, or none are allowed), it asks from an address that is not
    answered within ``wait`` seconds, or does not take the answer. Empty where it knows the MAC, and where nobody sees
    anything."""
    if place.lab.blind or _knows(place, link, address):
        return ""
    asked, sniffer = question(place.link(link), place.addresses, address), place.lab.sniffer(place)
    who = f"who has {address} on {link}"
    by_kernel = asked_by_kernel(place, asked, since)
    if not by_kernel:
        kept = _in_vain(place, link, address)
        return f"it never left: {place.full_name} was not seen to ask {who}, who would answer" if kept else ""
    talk = [frame for frame in sniffer.recent if frame.when >= since and frame.link == link and asked.matches(frame)]
    answers = [after for before, after in pairwise(talk) if before in by_kernel and asked.answered_by(after)]
    if answers:
        refused = _is_handled(place.lab) and not _knows(place, link, address)
        return f"it never left: {place.full_name} asked {who}, and does not take the answer" if refused else ""
    own, source = by_kernel[-1].data, wire.read(by_kernel[-1].data).source
    again = proxies.ask_with_proxy_delay(place, link, address, wait, lambda: nothing_waits(place.lab, "arp"), own)
    return "" if again.answered else f"it never left: {place.full_name} asked from {source} {who}, and nobody answers"


def _in_vain(place: Place, link: str, address: str) -> bool:
    """Whether a place asks for a neighbour, or has given up."""
    wanted, packed = place.link(link).ifindex, ipaddress.ip_address(address.partition("%")[0]).packed
    found = beliefs(place.namespace.netlink.dump(rtnl.dump_neighbours()), {packed})
    return any(belief.in_vain for entry, belief in found.items() if entry.ifindex == wanted)


def _knows(place: Place, link: str, address: str) -> bool:
    """Whether a place has a neighbour's MAC. An entry without one says what a missing one says: where the tables of all
    namespaces hold more than gc_thresh1 entries, the kernel collects those that nobody answered for (arp(7))."""
    packed = ipaddress.ip_address(address.partition("%")[0]).packed
    rows = (row for row in place.neighbours if row.link == link and row.mac)
    return any(ipaddress.ip_address(row.ip).packed == packed for row in rows)


def _is_handled(lab: Lab, besides: Collection[tuple[Place, str]] | None = None) -> bool:
    """Whether no packet is on its way by now; without ``besides`` those that wait for a neighbour do not count."""
    try:
        return backlogs.are_handled() and not next(holders(lab, besides or (), asks=besides is not None), "")
    except OSError:
        return False


def _may_be_answered(
    lab: Lab, asked: Sequence[AskedInstead], counts: Mapping[Place, int], besides: Collection[tuple[Place, str]]
) -> bool:
    """Whether somebody has answered a question, or may yet: one who heard it and takes time to answer for others. An
    answer that was handled, and after which the place still asks, is one that it does not take.

    ``counts`` are the frames that places had seen before, ``besides`` as of `holders`.
    """
    come = {place: lab.sniffer(place).since(count) for place, count in counts.items()} if asked else {}
    answered = [one for one in asked if any(one.question.answered_by(frame) for frame in come[one.place])]
    if answered and not (
        _is_handled(lab, besides) and not any(_knows(one.place, one.link, one.address) for one in answered)
    ):
        return True
    heard = (
        each
        for one in asked
        for place, frames in come.items()
        for each in proxies.questions(place, filter(one.question.matches, frames), one.address)
    )
    return proxies.delay(heard) > 0


def _broadcasts_are_handled(lab: Lab, ends: Mapping[str, Sequence[PeerLink]]) -> bool:
    """Whether the links that stand on others have got all broadcasts that came to these.

    The kernel hands broadcasts on later, by a work queue, in order (macvlan_process_broadcast): a frame of ours that
    comes to the same parent is behind them. False where none can be sent, and where it takes too long.
    """
    groups: dict[tuple[str, int], list[LinkIn]] = {}
    for name, found in ends.items():
        for end in found:
            if end.kind in _LATER and (link := _that_gets_broadcasts(lab.place(name), end)):
                groups.setdefault((end.namespace or name, end.other), []).append(link)
    if not groups:
        return True
    origins = {(end.namespace, end.other): LinkIn(lab.place(name), end.name) for name in ends for end in ends[name]}
    return backlogs.are_handled() and all(
        parent in origins and _comes_to(origins[parent], some) for parent, some in groups.items()
    )


def _that_gets_broadcasts(place: Place, end: PeerLink) -> LinkIn | None:
    link = next((one for one in place.links if one.name == end.name), None)
    gets = link is not None and link.up and dict(link.detail).get("mode") in _LATER[end.kind]
    return LinkIn(place, end.name) if gets else None


def _comes_to(origin: LinkIn, links: Sequence[LinkIn]) -> bool:
    """Whether a frame that is sent there comes to one of some links."""
    lab, unique = origin.place.lab, wire.token()
    sniffers = {one: lab.sniffer(one.place) for one in links}
    counts = {one: sniffer.count for one, sniffer in sniffers.items()}
    try:
        mac = rtnl.mac_bytes(origin.place.link(origin.link).mac)
        lab.sniffer(origin.place).send(origin.link, wire.marker(mac, unique))
    except OSError:
        return False
    deadline = Deadline.after(_MARKER, "a marker frame")
    while True:
        for one, sniffer in sniffers.items():
            if any(frame.link == one.link and unique in frame.data for frame in sniffer.since(counts[one])):
                return True
        if deadline.expired or not wait_for_any(list(sniffers.values()), deadline):
            return False


def holders(
    lab: Lab,
    besides: Collection[tuple[Place, str]] = (),
    ends: Mapping[str, Sequence[PeerLink]] | None = None,
    *,
    asks: bool = True,
) -> Iterator[str]:
    """What may hold a packet, in words, as it is found; ``besides`` are places and neighbours that do not count, and
    none does of a packet that ``asks`` for nobody's MAC. ``ends`` are the lab's links where somebody has them."""
    for place in lab.places:
        yield from queues(place)
        if asks:
            yield from neighbours(place, [address for each, address in besides if each is place])
        yield from programs_queues(lab, place)
        yield from _fragments(lab, place)
    yield from _slow_links(_unseen_behind(lab) if ends is None else _unseen(ends))


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


def _slow_links(found: Iterable[tuple[str, PeerLink]]) -> Iterator[str]:
    for place, end in found:
        yield f"{place}:{end.name} " + ("leads out of the lab" if end.outside else f"is a {end.kind} link")


def _unseen_behind(lab: Lab) -> Iterator[tuple[str, PeerLink]]:
    """The links that hand packets on at their own time, or to a namespace that is no place of the lab."""
    return _unseen(peers.ends({place.full_name: place.namespace for place in lab.places}))


def _unseen(ends: Mapping[str, Sequence[PeerLink]]) -> Iterator[tuple[str, PeerLink]]:
    for place, found in ends.items():
        yield from ((place, end) for end in found if end.outside or end.kind not in _AT_ONCE)


def neighbours(place: Place, besides: Collection[str] = ()) -> Iterator[str]:
    """The neighbours that a place asks for, in words, but for some addresses."""
    left_out = {ipaddress.ip_address(address).packed for address in besides}
    for row in place.namespace.netlink.dump(rtnl.dump_neighbours()):
        if struct.unpack_from("=H", row, _STATE)[0] & _INCOMPLETE and _address(row) not in left_out:
            yield f"a neighbour that {place.full_name} asks for"


def _address(row: bytes) -> bytes:
    return next((row[start:end] for kind, start, end in attributes(row, _NEIGHBOUR, len(row)) if kind == _DST), b"")


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
