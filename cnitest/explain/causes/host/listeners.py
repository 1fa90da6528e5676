"""Nobody takes what arrived for a port: no listener, one on another address, or one whose queue is full."""

from __future__ import annotations

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.case import Case, Stage
from cnitest.explain.evidence.ip.answers import refused_here
from cnitest.explain.evidence.ip.next_hops import arrived
from cnitest.kernel.rows.sockets import Socket

_REASONS = ("NO_SOCKET", "TCP_CLOSE", "SOCKET_FILTER", "TCP_FLAGS")


@cause("host.no-listener", Stage.SOCKET_IN, reasons=_REASONS)
def no_listener(case: Case) -> Found | None:
    """Nobody listens on the port that the packet is for."""
    if not _unheard(case) or _on_port(case):
        return None
    kind, port = case.reach.transport, case.packet.destination_port
    return Found(
        "no listener",
        f"nobody listens on {kind} port {port} at {case.place.full_name}",
        "socket",
        _said(case),
        f"listen on {kind} port {port} at {case.place.full_name}",
    )


@cause("host.other-address", Stage.SOCKET_IN, reasons=_REASONS)
def other_address(case: Case) -> Found | None:
    """A listener has the port, but is bound to another address, family or link."""
    others = _on_port(case) if _unheard(case) else []
    if not others or any(_takes(case, one) for one in others):
        return None
    names = {link.ifindex: link.name for link in case.links().values()}
    bound = ", ".join(f"{one.address}{f' on {names.get(one.link, one.link)}' if one.link else ''}" for one in others)
    kind, port = case.reach.transport, case.packet.destination_port
    return Found(
        "listener on another address",
        f"{case.place.full_name} listens on {kind} port {port} of {bound} alone, not of {case.destination}",
        "socket",
        _said(case),
        f"listen on {case.destination}, or on any address",
    )


@cause("host.backlog-full", Stage.SOCKET_IN)
def backlog_full(case: Case) -> Found | None:
    """The listener's queue of connections that nobody has accepted yet is full."""
    full = next((one for one in _takers(case, "tcp") if one.queued > one.room), None)
    if full is None:
        return None
    overflows = case.counted("TcpExtListenOverflows", "TcpExtListenDrops")
    return Found(
        "backlog full",
        f"the listener on {full.address} port {full.port} at {case.place.full_name} has {full.queued} connections that "
        f"it has not accepted, and a backlog of {full.room}",
        "socket",
        (f"{overflows} overflows counted meanwhile",) if overflows else (),
        f"accept connections there, or listen with a backlog of more than {full.room} (up to net.core.somaxconn)",
    )


@cause("host.buffer-full", Stage.SOCKET_IN, reasons=("SOCKET_RCVBUFF", "PROTO_MEM"))
def buffer_full(case: Case) -> Found | None:
    """The receive buffer of the socket that the datagram is for is full."""
    counted = case.counted("Udp6RcvbufErrors" if case.six else "UdpRcvbufErrors")
    full = next((one for one in _takers(case, "udp") if counted and one.drops), None)
    if full is None:
        return None
    return Found(
        "socket buffer full",
        f"the socket on {full.address} port {full.port} at {case.place.full_name} has no room left: nobody reads "
        f"the {full.queued} of {full.room} bytes that it holds",
        "socket",
        (f"{counted} datagrams found no room meanwhile, {full.drops} at that socket so far",),
        "read from it, or give it a larger buffer (SO_RCVBUF)",
    )


@cause("host.server-silent", Stage.SOCKET_IN, order=1)
def server_silent(case: Case) -> Found | None:
    """The datagram is in the queue of a server of the test's own, which has not read it."""
    held = next((one for one in _takers(case, "udp") if one.queued), None)
    if held is None or not case.attempt.doubt:
        return None
    return Found(
        "server does not answer",
        f"the server on {held.address} port {held.port} at {case.place.full_name} has not read what came",
        "socket",
        (f"{held.queued} bytes wait in its socket",),
        "read from that socket, and answer",
    )


def _unheard(case: Case) -> bool:
    """Whether it arrived for a port, and nobody there took it: somebody said so, or nobody was to answer for us."""
    if not arrived(case) or case.reach.transport not in ("tcp", "udp"):
        return False
    return bool(case.once(refused_here)) or case.probe.far is not case.place


def _on_port(case: Case) -> list[Socket]:
    port = case.packet.destination_port
    return [one for one in case.sockets(case.reach.transport) if one.port == port]


def _takes(case: Case, one: Socket) -> bool:
    link = case.links().get(case.incoming)
    return one.takes(case.destination, one.port) and one.link in (0, link.ifindex if link else 0)


def _takers(case: Case, kind: str) -> list[Socket]:
    """The sockets that the packet is for."""
    if not arrived(case) or case.reach.transport != kind:
        return []
    return [one for one in _on_port(case) if _takes(case, one)]


def _said(case: Case) -> tuple[str, ...]:
    found, far = case.once(refused_here), case.probe.far
    said = (f"{found.source} sent: {found.says}",) if found else ()
    if far and far is not case.place and case.owns(case.destination, far):
        return (*said, f"{far.full_name}, where the probe is listened to, has {case.destination}, too")
    return said
