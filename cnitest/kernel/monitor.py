"""Waits for the kernel by its own events: subscribe, look, and look again at each event."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable

from cnitest.deadline import Deadline
from cnitest.kernel import dumps, rtnl
from cnitest.kernel.namespaces import NetworkNamespace

LINK, NEIGHBOUR, IPV4_ADDRESS, IPV6_ADDRESS = 0x1, 0x4, 0x10, 0x100
_BUFFER = 1 << 16


def until(namespace: NetworkNamespace, groups: int, holds: Callable[[], bool], deadline: Deadline) -> bool:
    """Wait until ``holds()``, asked again at each event of ``groups`` in ``namespace``; False at the deadline."""
    events = namespace.do(lambda: _subscribe(groups))
    try:
        while not holds():
            if deadline.expired or not select.select([events], [], [], deadline.remaining)[0]:
                return holds()
            _drain(events)
        return True
    finally:
        events.close()


def await_links(namespace: NetworkNamespace, deadline: Deadline) -> None:
    """Wait until each link that is up has a carrier and each port with one forwards.

    Raises DeadlineExceeded. A link whose peer is down never carries and is not waited for.
    """

    def ready() -> bool:
        table = dumps.LinkTable(namespace.netlink.dump(rtnl.dump_links()))
        carrying = {link.name for link in table.links if link.up and link.carrier}
        return all(port.state in ("forwarding", "blocking") for port in table.ports if port.name in carrying)

    if not until(namespace, LINK, ready, deadline):
        deadline.check()


def await_addresses(namespace: NetworkNamespace, deadline: Deadline) -> bool:
    """Wait until no global IPv6 address is still checked for duplicates; False at the deadline."""

    def settled() -> bool:
        table = dumps.LinkTable(namespace.netlink.dump(rtnl.dump_links()))
        found = dumps.addresses(namespace.netlink.dump(rtnl.dump_addresses()), table)
        return not any(address.tentative and address.scope == "global" for address in found)

    return until(namespace, IPV6_ADDRESS, settled, deadline)


def _subscribe(groups: int) -> socket.socket:
    events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    events.setblocking(False)
    events.bind((0, groups))
    return events


def _drain(events: socket.socket) -> None:
    try:
        while True:
            events.recv(_BUFFER)
    except BlockingIOError:
        return
    except OSError:  # events were lost, so look again
        return
