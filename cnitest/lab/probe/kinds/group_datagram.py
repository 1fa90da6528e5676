"""UDP to a group or broadcast address: the listeners join, and each sends the datagram back."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from cnitest.deadline import Deadline
from cnitest.kernel.namespaces import Kept
from cnitest.kernel.packet_socket import Frame
from cnitest.lab.probe import wire
from cnitest.lab.probe.base import Attempt, carrying
from cnitest.lab.probe.kinds.group import Group
from cnitest.lab.probe.kinds.listener import dial, listen
from cnitest.lab.probe.options import Options

if TYPE_CHECKING:
    from cnitest.lab.place import Place


class _Listener(NamedTuple):
    """A place that listens; without a socket of ours, a server of the test's own does."""

    place: Place
    server: socket.socket | None
    joined: bool


class GroupDatagram:
    """A datagram to a group. ``listeners`` that are named all have to get it; else whoever is a member already."""

    def __init__(
        self,
        group: Group,
        port: int,
        listeners: Sequence[Place],
        listener_port: int,
        *,
        join: bool = True,
        size: int = 32,
        options: Options | None = None,
    ) -> None:
        self.sender, self.group, self.options = group.sender, group, options or Options()
        self.destination = group.words
        self.what = f"udp {self.destination} port {port} from {group.sender.full_name}"
        self.source = self.options.source
        self.link = group.link or None
        self.size = max(size, len(wire.token()))
        self.transport, self.port = "udp", port
        self._listener_port = listener_port
        self._named, self._join = tuple(listeners), join

    @property
    def far(self) -> Place | None:
        """The listener, when only one was named."""
        return self._named[0] if len(self._named) == 1 else None

    @property
    def kept(self) -> tuple[Kept, ...]:
        """None: each attempt has sockets of its own."""
        return ()

    def source_in(self, frame: Frame) -> str | None:
        """The source of what a listener received for its port."""
        headers = wire.read(frame.data)
        return headers.source if headers.destination_port == self._listener_port else None

    def attempt(self, wait: float) -> Attempt:
        """Send one datagram and await it back from every listener."""
        payload = wire.token()
        matches = carrying(payload[: wire.DISTINCT])
        with ExitStack() as undo:
            try:
                listeners = self._listeners(undo)
                client = dial(self.sender, self.group.address, socket.SOCK_DGRAM, self.options)
                undo.callback(client.close)
                self.group.prepare(client, self.options)
                began = time.perf_counter()
                client.sendto(payload.ljust(self.size, b"."), self.group.target(self.port))
            except OSError as error:
                return Attempt(matches, error=error)
            exchange = _Exchange(client, listeners, payload.ljust(self.size, b"."))
            exchange.serve(Deadline.exactly(wait, "a datagram"))
        return self._outcome(matches, exchange, began)

    def _listeners(self, undo: ExitStack) -> list[_Listener]:
        places = self._named or self.group.members()
        found = []
        for place in places:
            server = listen(place, self.group.address, self._listener_port, socket.SOCK_DGRAM)
            joined = False
            if server:
                undo.callback(server.close)
                joined = bool(self._named) and self._join and self.group.join(server, place)
            found.append(_Listener(place, server, joined))
        return found

    def _outcome(self, matches: Callable[[Frame], bool], exchange: _Exchange, began: float) -> Attempt:
        got = tuple(place.full_name for place in exchange.received)
        lacking = [one for one in exchange.listeners if one.place not in exchange.answered]
        seen = exchange.source_seen
        if exchange.answered and not (lacking and self._named):
            by, when = exchange.answers[0]
            return Attempt(matches, True, by, seen, when - began, receivers=got)
        if exchange.answered:
            some = f"{', '.join(place.full_name for place in exchange.answered)} received and answered it"
            less = ", ".join(one.place.full_name for one in lacking)
            doubt = f"{some}, but not {less}: it is neither delivered nor dropped"
            return Attempt(matches, source_seen=seen, receivers=got, doubt=doubt)
        return Attempt(matches, source_seen=seen, receivers=got, remark=self._why_nobody(exchange, lacking))

    def _why_nobody(self, exchange: _Exchange, lacking: Sequence[_Listener]) -> str:
        if exchange.received:
            return f"{exchange.received[0].full_name} received it, but its answer did not come"
        if not exchange.listeners:
            what = "has an address in its subnet" if self.group.broadcast else f"is a member of {self.group.address}"
            return f"no other place {what}: name a listener"
        if self.group.broadcast:
            return ""
        outside = [one.place.full_name for one in lacking if one.server and not one.joined and not self._member(one)]
        return f"{', '.join(outside)} did not join {self.group.address}" if outside else ""

    def _member(self, listener: _Listener) -> bool:
        return any(group == self.group.address for _, group in listener.place.multicast)


class _Exchange:
    """The sender and all listeners, served by one loop until everyone has answered."""

    def __init__(self, client: socket.socket, listeners: Sequence[_Listener], sent: bytes) -> None:
        self._client, self._sent = client, sent
        self.listeners = listeners
        self.received: list[Place] = []
        self.answered: list[Place] = []
        self.answers: list[tuple[str, float]] = []
        self.source_seen: str | None = None

    def serve(self, deadline: Deadline) -> None:
        servers = {one.server.fileno(): (number, one) for number, one in enumerate(self.listeners) if one.server}
        watch = select.poll()
        for fd in (self._client.fileno(), *servers):
            watch.register(fd, select.POLLIN)
        while len(self.answered) < max(1, len(self.listeners)) and (events := watch.poll(deadline.remaining * 1000)):
            for fd, _ in events:
                with contextlib.suppress(OSError):
                    if fd in servers:
                        self._send_back(*servers[fd])
                    else:
                        self._hear()

    def _send_back(self, number: int, listener: _Listener) -> None:
        """Answer with the datagram and who we are, for the address it is answered from may be anyone's."""
        assert listener.server is not None, "only those with a socket are watched"
        data, sender = listener.server.recvfrom(65536)
        if data != self._sent:
            return
        if listener.place not in self.received:
            self.received.append(listener.place)
        self.source_seen = str(sender[0]).partition("%")[0]
        listener.server.sendto(data + number.to_bytes(4, "big"), sender)

    def _hear(self) -> None:
        data, sender = self._client.recvfrom(65536 + 4)
        address, when = str(sender[0]).partition("%")[0], time.perf_counter()
        if data[:-4] == self._sent:
            place = self.listeners[int.from_bytes(data[-4:], "big")].place
        else:  # a server of the test's own
            theirs = [one.place for one in self.listeners if not one.server]
            found = [place for place in theirs if any(a.ip == address for a in place.addresses)]
            if not found:
                return
            place = found[0]
        for who in (self.received, self.answered):
            if place not in who:
                who.append(place)
        self.answers.append((address, when))
