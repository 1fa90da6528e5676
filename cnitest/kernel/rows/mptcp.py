"""Reads the endpoints of multipath TCP, as ``ip mptcp endpoint`` shows them.

Numbers: include/uapi/linux/{genetlink,mptcp_pm}.h.
"""

from __future__ import annotations

import contextlib
import functools
import struct
from collections.abc import Mapping
from typing import NamedTuple

from cnitest.errors import KernelError
from cnitest.kernel.namespaces import NetworkNamespace
from cnitest.kernel.rows.link_rows import LinkNames
from cnitest.kernel.rows.readers import MAIN_HEADER, attributes_of, bits, integer, ip
from cnitest.kernel.rtnetlink.netlink import Message, NetlinkSocket, attribute

_GENERIC, _CONTROLLER = 16, 0x10
_GET_FAMILY, _FAMILY_ID, _FAMILY_NAME = 3, 1, 2
_GET_ADDRESSES, _ENTRY = 3, 1
_ID, _IPV4, _IPV6, _PORT, _FLAGS, _INDEX = 2, 3, 4, 5, 6, 7
_NAMES: Mapping[int, str] = {1: "signal", 2: "subflow", 4: "backup", 8: "fullmesh", 32: "laminar"}
_BY_ITSELF = 16
_command = struct.Struct("=BBH")


class Endpoint(NamedTuple):
    """An address that multipath TCP may use or announce."""

    address: str
    link: str
    id: int
    port: int
    flags: tuple[str, ...]


def endpoints(namespace: NetworkNamespace, links: LinkNames) -> tuple[Endpoint, ...]:
    """All but those that the kernel makes by itself for a connection; none where it has no multipath TCP."""
    if not (family := _family()):
        return ()
    try:
        netlink = namespace.netlink_of(_GENERIC)
        rows = netlink.dump(Message(family, 0, _command.pack(_GET_ADDRESSES, 1, 0), "MPTCP endpoints"))
    except (KernelError, OSError):
        return ()
    return tuple(sorted(found for row in rows if (found := _endpoint(row, links))))


@functools.cache
def _family() -> int:
    """The number of the family, which is the kernel's and the same in each namespace; 0 where it has none."""
    body = _command.pack(_GET_FAMILY, 1, 0) + attribute(_FAMILY_NAME, b"mptcp_pm\0")
    try:
        with contextlib.closing(NetlinkSocket(_GENERIC)) as netlink:
            (row,) = netlink.request(Message(_CONTROLLER, 0, body, "the family mptcp_pm"))
    except (KernelError, OSError):
        return 0
    return integer(_attributes(row), _FAMILY_ID)


def _attributes(row: bytes) -> dict[int, bytes]:
    return attributes_of(row, MAIN_HEADER + _command.size, len(row))


def _endpoint(row: bytes, links: LinkNames) -> Endpoint | None:
    entry = _attributes(row).get(_ENTRY, b"")
    found = attributes_of(entry, 0, len(entry))
    flags, index = integer(found, _FLAGS), integer(found, _INDEX)
    if flags & _BY_ITSELF:
        return None
    address = ip(found.get(_IPV4) or found.get(_IPV6, b""))
    link = links.name(index) if index else ""
    return Endpoint(address, link, integer(found, _ID), integer(found, _PORT), bits(flags, _NAMES))
