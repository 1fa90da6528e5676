"""Reads the sockets of TCP and UDP that a namespace has, by sock_diag(7): who listens where, and what its queues hold.

Numbers: include/uapi/linux/{inet_diag,sock_diag}.h, net/tcp_states.h.
"""

from __future__ import annotations

import socket
import struct
import sys
from typing import NamedTuple

from cnitest.kernel.namespaces import NetworkNamespace
from cnitest.kernel.rows.readers import MAIN_HEADER, attributes_of, ip
from cnitest.kernel.rtnetlink.netlink import Message, NetlinkSocket

_SOCK_DIAG, _BY_FAMILY = 4, 20
_SKMEMINFO, _V6ONLY, _MARK = 7, 11, 15
_LISTEN, _UNCONNECTED, _ESTABLISHED = 10, 7, 1
_request = struct.Struct("=BBBxI48x")
_answer = struct.Struct("=BBBBHH16s16sIIIIIIII")
_DROPS_AT = 8
_PROTOCOLS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP}


class Socket(NamedTuple):
    """A socket that takes what comes from anybody: a TCP listener, or one of UDP.

    ``address`` is what it is bound to (``0.0.0.0``, ``::``: any), ``link`` the index of the link that it is bound to, 0
    of one that is not. ``queued`` is what waits to be taken: connections of TCP, of which there can be ``room`` and one
    more; bytes of UDP (with the kernel's own overhead), of which there can be ``room``. ``drops`` is what found no room
    (UDP), ``mark`` what it sends is marked with (SO_MARK), 0 where the kernel does not say.
    """

    protocol: str
    address: str
    port: int
    link: int
    queued: int
    room: int
    drops: int = 0
    mark: int = 0

    def takes(self, address: str, port: int) -> bool:
        """Whether it is for what comes to an address and port."""
        wild = "::" if ":" in address else "0.0.0.0"
        both = self.address == "::" and wild == "0.0.0.0"
        return self.port == port and (self.address in (address, wild) or both)


def listening(namespace: NetworkNamespace, protocol: str) -> tuple[Socket, ...]:
    """The sockets of ``tcp`` or ``udp`` that take what comes. Raises KernelError where the kernel shows none."""
    states = 1 << (_LISTEN if protocol == "tcp" else _UNCONNECTED)
    netlink = namespace.run(lambda: NetlinkSocket(_SOCK_DIAG))
    try:
        found = []
        for family in (socket.AF_INET, socket.AF_INET6):
            body = _request.pack(family, _PROTOCOLS[protocol], 1 << (_SKMEMINFO - 1), states)
            found += [_socket(row, protocol) for row in netlink.dump(Message(_BY_FAMILY, 0, body, "sockets"))]
    finally:
        netlink.close()
    return tuple(found)


def _socket(row: bytes, protocol: str) -> Socket:
    values = _answer.unpack_from(row, MAIN_HEADER)
    family, port, bound, link = values[0], socket.ntohs(values[4]), values[6], values[8]
    queued, room = values[12], values[13]
    attributes = attributes_of(row, MAIN_HEADER + _answer.size, len(row))
    memory, mark = attributes.get(_SKMEMINFO, b""), int.from_bytes(attributes.get(_MARK, b""), sys.byteorder)
    numbers = struct.unpack(f"={len(memory) // 4}I", memory)
    drops = numbers[_DROPS_AT] if len(numbers) > _DROPS_AT else 0
    if protocol == "udp" and len(numbers) > 1:
        queued, room = numbers[0], numbers[1]
    return Socket(protocol, ip(bound[:4] if family == socket.AF_INET else bound), port, link, queued, room, drops, mark)
