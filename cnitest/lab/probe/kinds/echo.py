"""ICMP and ICMPv6 echo over a raw socket that is kept open."""

from __future__ import annotations

import math
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from cnitest.deadline import Deadline
from cnitest.kernel.namespaces import Kept
from cnitest.kernel.packet_socket import Frame
from cnitest.lab.probe import wire
from cnitest.lab.probe.base import Attempt, Gone, canonical, carrying, is_ipv6, rounds
from cnitest.lab.probe.kinds.numbers import identifier
from cnitest.lab.probe.options import Options

if TYPE_CHECKING:
    from cnitest.lab.place import Place

_REQUEST, _REPLY = 8, 0
_REQUEST6, _REPLY6 = 128, 129
_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER, _PMTU_DONT, _PMTU_WANT, _PMTU_DO = 10, 23, 0, 1, 2
_SOL_RAW, _ICMP_FILTER = 255, 1
_ICMP6_FILTER = 1
_LARGEST = 65507


class Request(NamedTuple):
    """An echo request: its message, the payload in it, what tells its frames, when it was made (perf_counter)."""

    data: bytes
    payload: bytes
    matches: Callable[[Frame], bool]
    began: float


class EchoProbe:
    """An echo request with a payload of ``size`` bytes that no other request has."""

    #: Nobody does.
    sent_again_after = math.inf

    def __init__(
        self,
        sender: Place,
        address: str,
        *,
        size: int = 56,
        df: bool = False,
        options: Options | None = None,
        far: Place | None = None,
    ) -> None:
        if not 0 <= size <= _LARGEST:
            raise ValueError(f"size {size} is none that an echo request can have (0 to {_LARGEST})")
        self.sender = sender
        self.options = options or Options()
        self.source = self.options.source
        self.link: str | None = None
        self.destination = canonical(address)
        self.what = f"ping {self.destination} from {sender.full_name}" + (f" with {size} bytes" if size != 56 else "")
        self.transport, self.port = "icmp", 0
        self._six = is_ipv6(self.destination)
        self.size, self._df = size, df
        self._identity, self._sequence = identifier(), 0
        self._far = far

    @property
    def far(self) -> Place | None:
        """The place that was named, or the one that has the address."""
        return self._far or self.sender.lab.owner(self.destination.partition("%")[0], self.sender)

    @property
    def kept(self) -> tuple[Kept, ...]:
        """The raw socket of the address's family."""
        name, make = ("icmpv6", open6) if self._six else ("icmp", open4)
        return (Kept(self.sender.namespace, name, make),)

    def renew(self) -> None:
        """Have the next request be the first one of a connection, as rules and connection tracking see it."""
        self._identity, self._sequence = identifier(), 0

    def attempt(self, wait: float) -> Attempt:
        """Send one request and await its reply, or an ICMP error about it."""
        return self.attempt_unless(None, wait)

    def attempt_unless(self, gone: Gone | None, wait: float) -> Attempt:
        """As ``attempt``, and give up when ``gone`` says so."""
        (kept,) = self.kept
        echo = self.sender.namespace.kept(kept.name, kept.make)
        drain(echo)
        sent = self.prepare()
        try:
            self.send(echo, sent)
        except OSError as error:
            return Attempt(sent.matches, error=error)
        ready = select.poll()
        ready.register(echo, select.POLLIN)
        waited = rounds(ready, Deadline.exactly(wait, "an echo reply"), partial(gone, sent.matches) if gone else None)
        return self._listen(echo, sent, waited)

    def prepare(self) -> Request:
        """The next request, with a payload that no other has; its clock starts now."""
        self._sequence += 1
        payload = wire.token().ljust(self.size, b".")[: self.size]
        return Request(self._request(payload), payload, self._matcher(payload), time.perf_counter())

    def heard(self, packet: bytes, sender: str, sent: Request) -> Attempt | None:
        """What a packet from ``sender`` says of a request: that it was answered, or turned down; None of others."""
        rtt = time.perf_counter() - sent.began
        message = packet if self._six else packet[(packet[0] & 15) * 4 :]
        if self._is_reply(message, sent.payload):
            return Attempt(sent.matches, True, sender, rtt=rtt)
        refusal = self._refusal(message, sender)
        return Attempt(sent.matches, refusal=refusal, answered_by=sender, rtt=rtt) if refusal else None

    def source_in(self, frame: Frame) -> str | None:
        """The source of the request as the far end received it."""
        headers = wire.read(frame.data)
        return headers.source if headers.kind in (_REQUEST, _REQUEST6) else None

    def _request(self, payload: bytes) -> bytes:
        kind = _REQUEST6 if self._six else _REQUEST
        body = struct.pack("!BBHHH", kind, 0, 0, self._identity, self._sequence) + payload
        if self._six:
            return body  # the kernel fills in the checksum of ICMPv6
        return body[:2] + struct.pack("!H", wire.checksum(body)) + body[4:]

    def send(self, echo: socket.socket, sent: Request) -> None:
        """Send a request by a socket of `kept`. Raises OSError."""
        ttl = -1 if self.options.ttl is None else self.options.ttl  # the kernel chooses, as for any program
        if self._six:
            echo.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)
            echo.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTU_DO if self._df else _PMTU_WANT)
            bare, _, scope = self.destination.partition("%")
            where: tuple[str | int, ...] = (bare, 0, 0, self.sender.link(scope).ifindex if scope else 0)
        else:
            echo.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
            echo.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTU_DO if self._df else _PMTU_DONT)
            where = (self.destination, 0)
        echo.sendmsg([sent.data], self.options.ancillary(six=self._six), 0, where)

    def _listen(self, echo: socket.socket, sent: Request, waited: Iterator[object]) -> Attempt:
        for _ in waited:
            try:
                packet, sender = echo.recvfrom(65536)
            except OSError:  # nothing there after all, or an ICMP error, which our sniffers have seen
                continue
            attempt = self.heard(packet, sender[0], sent)
            if attempt:
                return attempt
        return Attempt(sent.matches)

    def _is_reply(self, message: bytes, payload: bytes) -> bool:
        head = struct.pack("!HH", self._identity, self._sequence)
        return message[0] == (_REPLY6 if self._six else _REPLY) and message[4:8] == head and message[8:] == payload

    def _refusal(self, message: bytes, sender: str) -> str:
        """What an ICMP error about our request says, empty when the message is none."""
        words = wire.error_words(message[0], message[1], six=self._six)
        original = message[8:]
        inner = original[40:] if self._six else original[(original[0] & 15) * 4 :] if original else b""
        ours = inner[4:8] == struct.pack("!HH", self._identity, self._sequence)
        if not (words and ours) or words in wire.TOO_BIG:
            return ""
        own = words in wire.NO_NEIGHBOUR and any(address.ip == sender for address in self.sender.addresses)
        return "" if own else f"{sender} answered: {words}"

    def _matcher(self, payload: bytes) -> Callable[[Frame], bool]:
        """Frames with this request or its reply: by payload, or by identity and sequence when that is short."""
        if len(payload) >= wire.DISTINCT:
            needle = payload[: wire.DISTINCT]
        else:
            needle = struct.pack("!HH", self._identity, self._sequence) + payload
        return carrying(needle)


def open4() -> socket.socket:
    """A raw socket that gets echo replies and ICMP errors."""
    echo = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    wanted = [_REPLY, *wire.ERROR_KINDS]
    mask = 0xFFFFFFFF & ~sum(1 << kind for kind in wanted)
    echo.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", mask))
    echo.setblocking(False)
    return echo


def open6() -> socket.socket:
    """The same for ICMPv6."""
    echo = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    blocked = bytearray(b"\xff" * 32)
    for kind in (_REPLY6, *wire.ERROR_KINDS6):
        blocked[kind // 32 * 4 + kind % 32 // 8] &= ~(1 << kind % 8) & 0xFF
    echo.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, bytes(blocked))
    echo.setblocking(False)
    return echo


def drain(echo: socket.socket) -> None:
    """Forget late replies to earlier requests."""
    try:
        while True:
            echo.recv(65536)
    except OSError:
        return
