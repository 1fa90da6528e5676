"""Which packets of a probe the kernel freed, and whether that settles what became of it. Reads a trace, sends nothing.

What counts is the very packet: the buffer that left the sender as the sniffers saw it leave, its copies, and what the
far end made of it. Nothing is settled while any of these, or any other packet that came after, may be on its way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cnitest.kernel.packet_socket import Frame
from cnitest.kernel.tracing.buffers import RECEIVED, SENT, Buffer, BufferEnd, BufferHop, Drop, buffers
from cnitest.kernel.tracing.events import TraceEvent
from cnitest.lab.reach import UNTOLD, Freed

_OTHER_HOST, _NO_SOCKET = "OTHERHOST", "NO_SOCKET"
# These say that nobody wanted (more of) a packet that may well have been delivered.
_DELIVERED = {
    _NO_SOCKET,
    "SOCKET_FILTER",
    "SOCKET_CLOSE",
    "QUEUE_PURGE",
    "PACKET_SOCK_ERROR",
    "TCP_CSUM",
    "UDP_CSUM",
    UNTOLD,
}
# These pass by themselves, and the next packet may get through.
_CONGESTION = {
    "QDISC_DROP",
    "QDISC_OVERLIMIT",
    "QDISC_CONGESTED",
    "FQ_BAND_LIMIT",
    "FQ_HORIZON_LIMIT",
    "FQ_FLOW_LIMIT",
    "CAKE_FLOOD",
    "DUALPI2_STEP_DROP",
    "CPU_BACKLOG",
    "FULL_RING",
    "NOMEM",
    "PROTO_MEM",
    "PFMEMALLOC",
    "SOCKET_RCVBUFF",
    "SOCKET_BACKLOG",
    "TCP_LISTEN_OVERFLOW",
    "NEIGH_QUEUEFULL",
    "NEIGH_FAILED",
    "NEIGH_DEAD",
    "DEV_READY",
    "TC_INGRESS",
    "TC_EGRESS",
    "DUP_FRAG",
    "FRAG_REASM_TIMEOUT",
}
# The kernel has no word for what these drop; others that have none may have kept a copy (proxied neighbours, NFQUEUE).
_PLAIN_DROPPERS = {
    "ip_error",
    "ip_forward",
    "ip_rcv_finish_core",
    "ip6_pkt_drop",
    "ip6_forward",
    "br_handle_frame",
    "br_handle_frame_finish",
    "macvlan_handle_frame",
    "macvlan_start_xmit",
    "macvlan_queue_xmit",
    "veth_xmit",
}
# A tag that the kernel keeps beside the packet is in the frame that a sniffer shows.
_VLAN = 4
_INET = "2"
_WAITING, _RESOLVED = "incomplete", ("reachable", "stale", "delay", "probe", "permanent", "noarp")


class Fate(NamedTuple):
    """What was freed of an attempt; ``settled`` when nothing else of it can still be on its way.

    ``pending`` when something is, by what was noted, and not only because a place asks for a neighbour.
    """

    freed: tuple[Freed, ...] = ()
    settled: bool = False
    pending: bool = False


@dataclass(frozen=True)
class Captured:
    """What sniffers saw of an attempt: the frames of it at its sender and at its far end (None: there is none).

    ``protocol`` is the EtherType of the probe's packets.
    """

    sender: str
    near: Sequence[Frame]
    protocol: int
    receiver: str = ""
    far: Sequence[Frame] | None = None

    @property
    def left(self) -> Frame | None:
        """The frame in which it left."""
        return next((frame for frame in self.near if frame.out), None)

    @property
    def reached(self) -> bool:
        """Whether it may have been at the far end."""
        return self.far is None or any(not frame.out for frame in self.far)

    @property
    def answer(self) -> Frame | None:
        """The frame in which an answer left the far end."""
        return next((frame for frame in self.far or () if frame.out), None) if self.receiver != self.sender else None


def what_became(events: Sequence[TraceEvent], task: int, captured: Captured) -> Fate:
    """What became of the packet that the thread ``task`` sent, by what was noted since just before it did."""
    family = _Family(buffers(events), task, captured)
    if family.probe is None:
        return Fate()
    proved = _is_dropped(family.forth, reached=captured.reached) or _is_dropped(family.back, reached=True)
    rows = [_row(each, captured, returning=False) for each in family.forth if each.drop]
    rows += [_row(each, captured, returning=True) for each in family.back if each.drop]
    telling = [row for row in rows if row.reason not in (_OTHER_HOST, _NO_SOCKET)]
    asks, ended = _waits_for_neighbour(events), family.has_ended
    return Fate(tuple(telling or rows), proved and ended and not asks, pending=not (ended or asks))


class _Family:
    """The buffers of one probe: it, its copies, what the far end answered; and whether any other may still live."""

    def __init__(self, everything: Sequence[Buffer], task: int, captured: Captured) -> None:
        self._everything, self._task, self._captured = everything, task, captured
        self.probe = self._find_probe()
        self.forth: list[Buffer] = []
        self.back: list[Buffer] = []
        if self.probe is None:
            return
        answer = self._seen_answer(self.probe)
        until = answer.first if answer else self.probe.last
        self.forth = [self.probe, *self._copies(self.probe, until)]
        self.back = [answer, *self._copies(answer, answer.last)] if answer else self._unsent_answers()

    @property
    def has_ended(self) -> bool:
        """Whether everything has ended that was begun since, by the probe or in the threads that handled it."""
        tasks = {self._task}.union(*(each.tasks for each in (*self.forth, *self.back)))
        begun = self.forth[0].first
        later = [each for each in self._everything if each.first >= begun and each.begin.task in tasks]
        return all(each.end is not BufferEnd.UNKNOWN or self._was_taken(each) for each in later)

    def _was_taken(self, each: Buffer) -> bool:
        """Whether a request that is not known to have ended was received: our own listener has answered it."""
        answered = any(one.begin.in_task and one.begin.task == self._task for one in self.back)
        taken = {frame.link for frame in self._captured.far or () if not frame.out}
        return answered and each in self.forth and each.hops[-1].what == RECEIVED and each.hops[-1].link in taken

    def _find_probe(self) -> Buffer | None:
        """The buffer in which the probe left; where nobody saw it leave, the first that was dropped in its sending."""
        left = self._captured.left
        for each in self._everything:
            if each.begin.task != self._task:
                continue
            if left is None:
                if each.begin.in_task and self._is_ours(each):
                    return each
            elif each.hops and _is_frame(each.hops[0], left):
                return each
        return None

    def _copies(self, of: Buffer, until: int) -> list[Buffer]:
        """Copies that bridges and the like made: sent for the first time, and as long, while it was handled."""
        lengths = {hop.length for hop in of.hops if hop.what == SENT}
        return [
            each
            for each in self._everything
            if of.first < each.first < until and each.hops and not each.begin.in_task
            if each.hops[0].what == SENT and each.hops[0].length in lengths
        ]

    def _seen_answer(self, probe: Buffer) -> Buffer | None:
        """What the far end was seen to send."""
        answer = self._captured.answer
        later = (each for each in self._everything if each.first > probe.first and each.hops)
        return next((each for each in later if answer and _is_frame(each.hops[0], answer)), None)

    def _unsent_answers(self) -> list[Buffer]:
        """What the far end made of a probe and the kernel dropped before anybody could see it."""
        return [each for each in self._everything if each not in self.forth and self._is_unsent(each)]

    def _is_unsent(self, each: Buffer) -> bool:
        """Whether a buffer that no link ever had was made while the probe was received, or by our own listener."""
        if each.hops or not self._is_ours(each):
            return False
        if each.begin.in_task:
            return each.begin.task == self._task and self._captured.reached
        return any(one.hops and one.hops[-1].what == RECEIVED and _is_within(each, one) for one in self.forth)

    def _is_ours(self, each: Buffer) -> bool:
        """Whether a buffer was dropped that can have been a packet of the probe, for a reason that says something."""
        drop = each.drop
        return drop is not None and drop.protocol == self._captured.protocol and drop.reason not in _DELIVERED


def _is_within(each: Buffer, one: Buffer) -> bool:
    """Whether a buffer was dropped after another was last received and before that one ended, by the same softirq."""
    received = one.hops[-1].event
    same = (received.cpu, received.task) == (each.begin.cpu, each.begin.task)
    return same and one.first < each.first < one.last and received.when <= each.begin.when


def _is_dropped(packets: Sequence[Buffer], *, reached: bool) -> bool:
    """Whether all of some copies were dropped, one at least for a reason that holds for the next one, too."""
    if not packets or any(each.end is not BufferEnd.DROPPED for each in packets):
        return False
    drops = [each.drop for each in packets if each.drop]
    plain = [drop for drop in drops if not reached and _is_plain(drop)]
    reasons = {drop.reason for drop in drops if drop not in plain}
    return not reasons & (_DELIVERED | _CONGESTION) and bool(plain or reasons - {_OTHER_HOST})


def _is_plain(drop: Drop) -> bool:
    """Whether a drop that the kernel has no word for is known to be one."""
    return drop.reason == UNTOLD and drop.function.partition(".")[0] in _PLAIN_DROPPERS


def _is_frame(hop: BufferHop, frame: Frame) -> bool:
    """Whether a link's sending is that of a frame that a sniffer saw there."""
    return (hop.what, hop.link) == (SENT, frame.link) and len(frame.data) - hop.length in (0, _VLAN)


def _waits_for_neighbour(events: Sequence[TraceEvent]) -> bool:
    """Whether somebody still asks for a neighbour, for packets wait for the answer without a word."""
    waiting = set()
    for event in events:
        if not event.name.startswith("neigh_"):
            continue
        said = event.fields
        key = said.get("primary_key4") if said.get("family") == _INET else said.get("primary_key6")
        neighbour = (said.get("dev"), key)
        state = said.get("new_state", said.get("nud_state", ""))
        if state == _WAITING:
            waiting.add(neighbour)
        elif state in _RESOLVED:
            waiting.discard(neighbour)
    return bool(waiting)


def _row(each: Buffer, captured: Captured, *, returning: bool) -> Freed:
    assert each.drop is not None, "only what was dropped has a row"
    last = each.hops[-1] if each.hops else None
    return Freed(
        reason=each.drop.reason,
        location=each.drop.function,
        place="" if last else captured.receiver if returning else captured.sender,
        link=last.link if last else "",
        out=last is not None and last.what == SENT,
        returning=returning,
    )
