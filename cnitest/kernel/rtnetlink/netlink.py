"""One rtnetlink socket a namespace: batches out, acknowledgements and dumps in.

A netlink socket stays bound to the namespace it was opened in and can be used from any thread. Many requests go
out in one ``send``; ``NETLINK_EXT_ACK`` brings back the kernel's own words for a refusal.
Layout of headers and attributes: include/uapi/linux/netlink.h.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from cnitest.errors import KernelError

#: Netlink families: links and routes, firewall and connection tracking.
ROUTE, NETFILTER = 0, 12
#: Why a socket or a descriptor of a namespace is closed.
GONE = (
    "the network namespace is gone: its sandbox was lost, its host has rebooted, or its lab is closed; "
    "ask the lab or the host for the place again"
)
REQUEST, ACK, DUMP, EXCL, CREATE = 0x1, 0x4, 0x300, 0x200, 0x400
_ERROR, _DONE = 2, 3
_ACK_TLVS, _DUMP_INTERRUPTED = 0x200, 0x10
_SOL_NETLINK, _CAP_ACK, _EXT_ACK = 270, 10, 11
_MOST_IN_A_BATCH = 64
_BUFFER = 1 << 20

_header = struct.Struct("=IHHII")
_attribute = struct.Struct("=HH")
_number = struct.Struct("=i")


class Message(NamedTuple):
    """A request before it is sent; ``what`` is said when the kernel refuses it."""

    kind: int
    flags: int
    body: bytes
    what: str = ""


def attribute(kind: int, payload: bytes) -> bytes:
    """One attribute: length, type, payload, padded to four bytes."""
    length = 4 + len(payload)
    return _attribute.pack(length, kind) + payload + b"\0" * (-length & 3)


def attributes(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The attributes between two offsets of ``data`` as (type, payload start, payload end)."""
    unpack = _attribute.unpack_from
    while start + 4 <= end:
        length, kind = unpack(data, start)
        if length < 4:
            return
        yield kind & 0x3FFF, start + 4, start + length
        start += (length + 3) & ~3


class NetlinkSocket:
    """A socket of one netlink family, opened in the calling thread's network namespace."""

    def __init__(self, family: int = ROUTE) -> None:
        self._lock = threading.Lock()
        self._sequence = 0
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        for option in (_CAP_ACK, _EXT_ACK):
            self._socket.setsockopt(_SOL_NETLINK, option, 1)
        self._socket.bind((0, 0))

    def close(self) -> None:
        """Close the socket; it no longer holds its namespace."""
        self._socket.close()

    @property
    def detached(self) -> socket.socket:
        """The socket alone, for someone to close later."""
        return self._socket

    def batch(self, messages: Sequence[Message]) -> None:
        """Send all messages and wait for each acknowledgement.

        Raises KernelError that lists every refused message with the kernel's reason.
        """
        with self._lock:
            refusals: list[KernelError] = []
            for start in range(0, len(messages), _MOST_IN_A_BATCH):
                refusals += self._exchange(messages[start : start + _MOST_IN_A_BATCH])
        if refusals:
            raise KernelError("; ".join(map(str, refusals)), refusals[0].errno)

    def request(self, message: Message) -> list[bytes]:
        """Send one message and return the whole messages that answer it. Raises KernelError."""
        return self.ask([message])

    def ask(self, messages: Sequence[Message]) -> list[bytes]:
        """Send several messages and return the whole messages that answer them. Raises KernelError for the first
        that is refused."""
        with self._lock:
            answers: list[bytes] = []
            refusals: list[KernelError] = []
            for start in range(0, len(messages), _MOST_IN_A_BATCH):
                refusals += self._exchange(messages[start : start + _MOST_IN_A_BATCH], answers)
        if refusals:
            raise refusals[0]
        return answers

    def enclosed(self, first: Message, messages: Sequence[Message], last: Message) -> None:
        """Send messages, each with ACK among its flags, between two that the kernel answers only to refuse all.

        Raises KernelError with the first refusal.
        """
        with self._lock:
            begin = self._send([first, *messages, last], 0)
            waiting = set(range(begin + 1, begin + 1 + len(messages)))
            refusals: list[KernelError] = []
            while waiting:
                for sequence, refusal in self._answers(begin, (first, *messages, last)):
                    waiting = waiting - {sequence} if sequence in waiting else set()
                    refusals += [refusal] if refusal else []
        if refusals:
            raise refusals[0]

    def _answers(self, first: int, messages: Sequence[Message]) -> Iterator[tuple[int, KernelError | None]]:
        """What one read answers to messages that were numbered from ``first``."""
        data = self._socket.recv(1 << 16)
        for start, length, kind, flags, sequence in _messages(data):
            if kind == _ERROR and sequence >= first:
                errno = -_number.unpack_from(data, start + 16)[0]
                reason = _reason(data, start, length, flags, errno) if errno else ""
                yield sequence, KernelError(f"{messages[sequence - first].what}: {reason}", errno) if errno else None

    def dump(self, message: Message) -> list[bytes]:
        """Ask for a table; return its messages, header included. A table that changed meanwhile is read again."""
        with self._lock:
            for _ in range(20):
                rows, whole = self._dump_once(message)
                if whole:
                    return rows
        raise KernelError(f"{message.what}: the table kept changing while it was read")

    def _send(self, messages: Sequence[Message], flags: int) -> int:
        first = self._sequence + 1
        parts = []
        for message in messages:
            self._sequence += 1
            length = 16 + len(message.body)
            header = _header.pack(length, message.kind, REQUEST | flags | message.flags, self._sequence, 0)
            parts.append(header + message.body)
        if self._socket.fileno() < 0:
            raise OSError(errno.EBADF, GONE)
        self._socket.send(b"".join(parts))
        return first

    def _exchange(self, messages: Sequence[Message], answers: list[bytes] | None = None) -> list[KernelError]:
        first = self._send(messages, ACK)
        waiting = len(messages)
        refusals = []
        while waiting:
            data = self._socket.recv(1 << 16)
            for start, length, kind, flags, sequence in _messages(data):
                if sequence < first:
                    continue  # a late answer to something given up
                if kind == _ERROR:
                    waiting -= 1
                    errno = -_number.unpack_from(data, start + 16)[0]
                    if errno:
                        reason = _reason(data, start, length, flags, errno)
                        refusals.append(KernelError(f"{messages[sequence - first].what}: {reason}", errno))
                elif answers is not None:
                    answers.append(data[start : start + length])
        return refusals

    def _dump_once(self, message: Message) -> tuple[list[bytes], bool]:
        first = self._send([message], DUMP)
        rows: list[bytes] = []
        whole = True
        while True:
            data = self._socket.recv(1 << 17)
            for start, length, kind, flags, sequence in _messages(data):
                if sequence != first:
                    continue
                whole = whole and not flags & _DUMP_INTERRUPTED
                if kind in (_DONE, _ERROR):
                    errno = -_number.unpack_from(data, start + 16)[0] if length >= 20 else 0
                    if errno > 0:
                        raise KernelError(f"{message.what}: {os.strerror(errno)}", errno)
                    return rows, whole
                rows.append(data[start : start + length])


def _messages(data: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    start, end = 0, len(data)
    while start + 16 <= end:
        length, kind, flags, sequence, _ = _header.unpack_from(data, start)
        yield start, length, kind, flags, sequence
        start += (length + 3) & ~3


def _reason(data: bytes, start: int, length: int, flags: int, errno: int) -> str:
    """The kernel's words about a refusal (NLMSGERR_ATTR_MSG), else the number's usual words."""
    if flags & _ACK_TLVS:
        for kind, begin, end in attributes(data, start + 36, start + length):
            if kind == 1:
                return f"{data[begin:end].rstrip(bytes(1)).decode()} ({os.strerror(errno)})"
    return os.strerror(errno)
