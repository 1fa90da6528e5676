"""Packet sockets on all links of a namespace: they see every frame, and send any."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Sequence
from itertools import islice
from select import POLLIN, poll
from typing import NamedTuple
from weakref import WeakSet

from cnitest.deadline import Deadline
from cnitest.kernel import announcements, stamps
from cnitest.kernel.namespaces import Kept, NetworkNamespace

_ETH_P_ALL = 0x0003
_SOL_PACKET, _ADD_MEMBERSHIP, _PACKET_AUXDATA, _PROMISCUOUS = 263, 1, 8, 1
_SO_RCVBUFFORCE = 33
_OUTGOING = 4
_KEPT = "sniffer"
_STATISTICS = 6
_MOST_AT_ONCE = 4096
# A full buffer is empty after three rounds.
_MOST_ROUNDS = 3
#: So many frames are kept for who comes after: what a full buffer holds, and one round that was read before.
REMEMBERED = (_MOST_ROUNDS + 1) * _MOST_AT_ONCE
_VLAN_VALID, _TPID_VALID = 1 << 4, 1 << 6
_BUFFER = 4 << 20
_LARGEST = 1 << 16
_ANCILLARY = socket.CMSG_SPACE(20) + stamps.ANCILLARY

_opened: WeakSet[socket.socket] = WeakSet()
_opening = threading.Lock()
_auxdata = struct.Struct("=IIIHHHH")


class Frame(NamedTuple):
    """A frame as a link carried it. ``when`` is in nanoseconds since the epoch; ``out`` when this side sent it.

    ``when`` is the kernel's stamp. Frames of one place are read in the order in which its kernel handled them, which
    is the better evidence: a frame that is handed on inside a host keeps its stamp.
    """

    when: int
    link: str
    out: bool
    data: bytes


class Sniffer:
    """A packet socket and the frames that come in by it. ``blind`` ones see nothing."""

    def __init__(self, opened: socket.socket, *, blind: bool = False, link: str = "") -> None:
        self.socket = opened
        self._link = link
        self._blind = blind
        self._lock = threading.Lock()

    @classmethod
    def open(cls, namespace: NetworkNamespace, link: str = "", ifindex: int = 0, *, blind: bool = False) -> Sniffer:
        """Sniffer of one's own: on all links, or on one, which then shows even what is not meant for it."""
        stamps.await_on()
        opened = namespace.run(_open)
        if ifindex:
            opened.bind((link, _ETH_P_ALL))
            opened.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, struct.pack("=iHH8s", ifindex, _PROMISCUOUS, 0, b""))
        return cls(opened, blind=blind, link=link)

    def frames(self) -> list[Frame]:
        """The frames since the last call, the first few thousand of them; never waits."""
        found: list[Frame] = []
        receive = self.socket.recvmsg
        with self._lock:
            try:
                while len(found) < _MOST_AT_ONCE:
                    data, ancillary, _, where = receive(_LARGEST, _ANCILLARY)
                    found.append(_frame(data, ancillary, self._link or where[0], where[2]))
            except BlockingIOError:
                pass
        return [] if self._blind else found

    def lost(self) -> int:
        """How many frames did not fit into the socket's buffer since the last call."""
        statistics = self.socket.getsockopt(_SOL_PACKET, _STATISTICS, 8)
        drops: int = struct.unpack("=II", statistics)[1]
        return drops

    def wait(self, deadline: Deadline) -> bool:
        """Wait until a frame is there; False when the deadline comes first."""
        watch = poll()
        watch.register(self.socket, POLLIN)
        return bool(watch.poll(deadline.remaining * 1000))


class PacketSocket(Sniffer):
    """The sniffers that a lab keeps on one place, and its hand: it also sends whole frames."""

    def __init__(self, namespace: NetworkNamespace, *, blind: bool = False) -> None:
        super().__init__(namespace.kept(_KEPT, _open), blind=blind)
        #: The last frames that anybody has read here, for who comes after.
        self.recent: deque[Frame] = deque(maxlen=REMEMBERED)
        #: How many frames anybody has ever read here.
        self.count = 0
        #: Since when it watches, in nanoseconds since the epoch.
        self.opened = time.time_ns()
        self._forgotten = 0
        self._sent: deque[int] = deque(maxlen=_MOST_AT_ONCE)

    def leave_out_announcements(self) -> None:
        """Do without what links announce of their own accord; where the kernel cannot tell, there is more to read."""
        with contextlib.suppress(OSError):
            announcements.leave_out(self.socket)

    def frames(self) -> list[Frame]:
        """As of any sniffer, and remembered."""
        found = super().frames()
        self.recent.extend(found)
        self.count += len(found)
        return found

    def forget(self) -> None:
        """Leave out what has come so far, for who looks at what comes next; what else comes meanwhile is a flood."""
        for _ in range(_MOST_ROUNDS - 1):
            if len(self.frames()) < _MOST_AT_ONCE:
                break
        self.lost()

    def since(self, count: int) -> list[Frame]:
        """The frames after the first ``count`` ones, whoever has read them; never waits. Of many that have come, the
        last ones are read by `catch_up` or by the next call. Those that are not remembered any more count as lost."""
        self.frames()
        return self.remembered(count)

    def remembered(self, count: int) -> list[Frame]:
        """As `since`, of those that have been read."""
        wanted = self.count - count
        self._forgotten = max(self._forgotten, wanted - REMEMBERED)
        return list(islice(reversed(self.recent), wanted))[::-1]

    def lost(self) -> int:
        """How many frames since the last call did not fit into the socket's buffer, or were not remembered any more
        when they were asked for."""
        forgotten, self._forgotten = self._forgotten, 0
        return super().lost() + forgotten

    def catch_up(self) -> None:
        """Read all that has come by now, for who does not look again."""
        for _ in range(_MOST_ROUNDS):
            if len(self.frames()) < _MOST_AT_ONCE:
                break

    def send(self, link: str, data: bytes) -> None:
        """Put a whole frame, Ethernet header included, on a link. Raises OSError.

        A packet socket is not shown what it sent itself, so the frame is remembered here.
        """
        self.frames()
        sent = Frame(time.time_ns(), link, True, data)
        self.socket.sendto(data, (link, 0))
        if not self._blind:
            self.recent.append(sent)
            self.count += 1
            self._sent.append(sent.when)

    def sent_by_kernel(self, when: int) -> list[Frame]:
        """The frames since a time that the place sent itself, not we by this socket."""
        self.frames()
        return [one for one in list(self.recent) if one.out and one.when >= when and one.when not in self._sent]


def wait_for_any(sniffers: Sequence[Sniffer], deadline: Deadline) -> bool:
    """Wait until a frame is there for any of them; False when the deadline comes first."""
    watch = poll()
    for one in sniffers:
        watch.register(one.socket, POLLIN)
    return bool(watch.poll(deadline.remaining * 1000))


def kept(namespace: NetworkNamespace) -> Kept:
    """The socket that a sniffer of this namespace uses."""
    return Kept(namespace, _KEPT, _open)


def own_inodes() -> set[int]:
    """The inodes of all packet sockets that this module has open, as ``/proc/net/packet`` tells sockets apart."""
    found = set()
    with _opening:
        known = list(_opened)
    for one in known:
        with contextlib.suppress(OSError):  # another thread closes it, or has
            found.add(os.fstat(one.fileno()).st_ino)
    return found


def _open() -> socket.socket:
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    with _opening:
        _opened.add(opened)
    opened.setblocking(False)
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
    except PermissionError:  # below a user namespace the machine's limit holds
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    stamps.ask(opened)
    opened.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
    return opened


def _frame(data: bytes, ancillary: list[tuple[int, int, bytes]], link: str, kind: int) -> Frame:
    when = 0
    for level, number, payload in ancillary:
        if level == _SOL_PACKET:
            data = _with_vlan(data, payload)
        elif number == stamps.KIND:
            when = stamps.read(payload)
    return Frame(when or time.time_ns(), link, kind == _OUTGOING, data)


def _with_vlan(data: bytes, payload: bytes) -> bytes:
    """Put the VLAN tag that the kernel took out of the frame back where it was."""
    status, _, _, _, _, tag, protocol = _auxdata.unpack_from(payload)
    if not status & _VLAN_VALID:
        return data
    protocol = protocol if status & _TPID_VALID else 0x8100
    return data[:12] + struct.pack("!HH", protocol, tag) + data[12:]
