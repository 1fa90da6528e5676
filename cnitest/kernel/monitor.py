"""Waits for the kernel by its own events: subscribe, look, and look again at each event."""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection

from cnitest.deadline import Deadline, readable
from cnitest.errors import DeadlineExceeded, KernelError
from cnitest.kernel.namespaces import NetworkNamespace
from cnitest.kernel.rows import dumps
from cnitest.kernel.rows.link_rows import LinkTable
from cnitest.kernel.rtnetlink import rtnl

LINK, IPV6_ADDRESS, IPV6_ROUTE = 0x1, 0x100, 0x400
_BUFFER = 1 << 16


def until(namespace: NetworkNamespace, groups: int, holds: Callable[[], bool], deadline: Deadline) -> bool:
    """Wait until ``holds()``, asked again at each event of ``groups`` in ``namespace``; False at the deadline."""
    events = namespace.run(lambda: _subscribe(groups))
    try:
        while not holds():
            if deadline.expired or not readable([events.fileno()], deadline.remaining):
                return holds()
            _drain(events)
        return True
    finally:
        events.close()


def await_links(namespace: NetworkNamespace, names: Collection[str], deadline: Deadline) -> None:
    """Wait until these links carry and send, and those of them that are bridge ports forward (or block, by STP).

    Raises DeadlineExceeded.
    """

    def ready() -> bool:
        table = LinkTable(namespace.netlink.dump(rtnl.dump_links()))
        ports = [port.state for port in table.ports if port.name in names]
        return table.operational.issuperset(names) and all(state in ("forwarding", "blocking") for state in ports)

    if not until(namespace, LINK, ready, deadline):
        raise DeadlineExceeded(deadline.words)


def await_addresses(namespace: NetworkNamespace, deadline: Deadline, scopes: tuple[str, ...] = ("global",)) -> bool:
    """Wait until no IPv6 address of these scopes is still checked for duplicates; False at the deadline.

    On a link without a carrier the check does not go on, so those do not count.
    """

    def settled() -> bool:
        table = LinkTable(namespace.netlink.dump(rtnl.dump_links()))
        carrying = {link.name for link in table.links if link.carrier}
        found = dumps.addresses(namespace.netlink.dump(rtnl.dump_addresses()), table)
        return not any(one.tentative and one.scope in scopes and one.link in carrying for one in found)

    return until(namespace, IPV6_ADDRESS, settled, deadline)


def await_received(namespace: NetworkNamespace, addresses: Collection[tuple[int, str]], deadline: Deadline) -> bool:
    """Wait until what is sent to these IPv6 addresses, each with its link's index, is received; False at the deadline.

    The kernel lists an address at once, but joins its multicast group and makes its local route a little later, also
    without a check for duplicates. Until then nobody finds it.
    """
    questions = [rtnl.get_route(address, link=index, what=f"a route to {address}") for index, address in addresses]

    def received() -> bool:
        try:
            return all(map(rtnl.is_to_oneself, namespace.netlink.ask(questions)))
        except KernelError:  # no route at all yet
            return False

    return received() or until(namespace, IPV6_ROUTE, received, deadline)


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
