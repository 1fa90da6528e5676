"""Nobody takes what arrived for a port: no listener, one on another address, or one whose queue is full."""

from __future__ import annotations

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.ip.answers import refused_here
from cnitest.explain.evidence.ip.next_hops import arrived
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.kernel.rows.sockets import Socket
from cnitest.lab.probe import wire
from cnitest.lab.reach import Verdict

_PROTOCOLS = {"tcp": wire.TCP, "udp": wire.UDP}
_REASONS = ("NO_SOCKET", "TCP_CLOSE", "SOCKET_FILTER", "TCP_FLAGS")


@cause("host.no-listener", Stage.SOCKET_IN, reasons=_REASONS)
def no_listener(loss: Loss) -> Found | None:
    """Nobody listens on the port that the packet is for."""
    if not _unheard(loss) or _on_port(loss):
        return None
    kind, port = loss.reach.transport, loss.packet.destination_port
    return Found(
        "no listener",
        f"nobody listens on {kind} port {port} at {loss.place.full_name}",
        "socket",
        _said(loss),
        f"listen on {kind} port {port} at {loss.place.full_name}",
    )


@cause("host.other-address", Stage.SOCKET_IN, reasons=_REASONS)
def other_address(loss: Loss) -> Found | None:
    """A listener has the port, but is bound to another address, family or link."""
    others = _on_port(loss) if _unheard(loss) else []
    if not others or any(_takes(loss, one) for one in others):
        return None
    names = {link.ifindex: link.name for link in loss.links().values()}
    bound = ", ".join(f"{one.address}{f' on {names.get(one.link, one.link)}' if one.link else ''}" for one in others)
    kind, port = loss.reach.transport, loss.packet.destination_port
    return Found(
        "listener on another address",
        f"{loss.place.full_name} listens on {kind} port {port} of {bound} alone, not of {loss.destination}",
        "socket",
        _said(loss),
        f"listen on {loss.destination}, or on any address",
    )


@cause("host.backlog-full", Stage.SOCKET_IN)
def backlog_full(loss: Loss) -> Found | None:
    """The listener's queue of connections that nobody has accepted yet is full."""
    full = next((one for one in _takers(loss, "tcp") if one.queued > one.room), None)
    if full is None:
        return None
    overflows = loss.counted("TcpExtListenOverflows", "TcpExtListenDrops")
    return Found(
        "backlog full",
        f"the listener on {full.address} port {full.port} at {loss.place.full_name} has {full.queued} connections that "
        f"it has not accepted, and a backlog of {full.room}",
        "socket",
        (f"{overflows} overflows counted meanwhile",) if overflows else (),
        f"accept connections there, or listen with a backlog of more than {full.room} (up to net.core.somaxconn)",
    )


@cause("host.buffer-full", Stage.SOCKET_IN, reasons=("SOCKET_RCVBUFF", "PROTO_MEM"))
def buffer_full(loss: Loss) -> Found | None:
    """The receive buffer of the socket that the datagram is for is full."""
    counted = loss.counted("Udp6RcvbufErrors" if loss.six else "UdpRcvbufErrors")
    full = next((one for one in _takers(loss, "udp") if counted and one.drops), None)
    if full is None:
        return None
    return Found(
        "socket buffer full",
        f"the socket on {full.address} port {full.port} at {loss.place.full_name} has no room left: nobody reads "
        f"the {full.queued} of {full.room} bytes that it holds",
        "socket",
        (f"{counted} datagrams found no room meanwhile, {full.drops} at that socket so far",),
        "read from it, or give it a larger buffer (SO_RCVBUF)",
    )


@cause("host.server-silent", Stage.SOCKET_IN, order=1)
def server_silent(loss: Loss) -> Found | None:
    """The datagram is in the queue of a server of the test's own, which has not read it."""
    held = next((one for one in _takers(loss, "udp") if one.queued), None)
    if held is None or not (loss.attempt.doubt or loss.reach.verdict is Verdict.UNPROVEN):
        return None
    return Found(
        "server does not answer",
        f"the server on {held.address} port {held.port} at {loss.place.full_name} has not read what came",
        "socket",
        (f"{held.queued} bytes wait in its socket",),
        "read from that socket, and answer",
    )


def _unheard(loss: Loss) -> bool:
    """Whether it arrived for a port, and nobody there took it: somebody said so, or nobody was to answer for us."""
    if not arrived(loss) or loss.packet.protocol != _PROTOCOLS.get(
        loss.reach.transport
    ):  # what a tunnel carries is not
        return False
    return bool(loss.once(refused_here)) or loss.probe.far is not loss.place


def _on_port(loss: Loss) -> list[Socket]:
    port = loss.packet.destination_port
    return [one for one in loss.sockets(loss.reach.transport) if one.port == port]


def _takes(loss: Loss, one: Socket) -> bool:
    link = loss.links().get(loss.incoming)
    return one.takes(loss.destination, one.port) and one.link in (0, link.ifindex if link else 0)


def _takers(loss: Loss, kind: str) -> list[Socket]:
    """The sockets that the packet is for."""
    if not arrived(loss) or loss.reach.transport != kind:
        return []
    return [one for one in _on_port(loss) if _takes(loss, one)]


def _said(loss: Loss) -> tuple[str, ...]:
    found, far = loss.once(refused_here), loss.probe.far
    said = (f"{found.source} sent: {found.says}",) if found else ()
    if far and far is not loss.place and loss.owns(loss.destination, far):
        return (*said, f"{far.full_name}, where the probe is listened to, has {loss.destination}, too")
    return said
