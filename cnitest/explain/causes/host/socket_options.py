"""Sockets that refuse what comes to them: by a filter of their own, an MD5 key, or the least hop limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.ip.next_hops import arrived
from cnitest.explain.evidence.loss import Loss, Stage


class _Option(NamedTuple):
    """An option of a socket: its name, what it asks for, and what is counted where it is not met."""

    name: str
    wants: str
    counter: str


_OPTIONS: Mapping[str, _Option] = {
    "TCP_MINTTL": _Option("IP_MINTTL", "a higher hop limit (TTL) than the packet has", "TcpExtTCPMinTTLDrop"),
    "TCP_MD5NOTFOUND": _Option("TCP_MD5SIG", "a signature, which the packet has not", "TcpExtTCPMD5NotFound"),
    "TCP_MD5UNEXPECTED": _Option("TCP_MD5SIG", "no signature, which the packet has", "TcpExtTCPMD5Unexpected"),
    "TCP_MD5FAILURE": _Option("TCP_MD5SIG", "another signature than the packet has", "TcpExtTCPMD5Failure"),
    "SOCKET_FILTER": _Option("SO_ATTACH_FILTER", "what its own filter lets pass, and this it does not", ""),
}


@cause("host.socket-option", Stage.SOCKET_IN, order=-1)
def socket_option(loss: Loss) -> Found | None:
    """A listener refuses the packet by an option of its own: IP_MINTTL, TCP_MD5SIG, a filter (SO_ATTACH_FILTER)."""
    kind, port = loss.reach.transport, loss.packet.destination_port
    if not arrived(loss) or kind not in ("tcp", "udp"):
        return None
    taker = next((one for one in loss.sockets(kind) if one.takes(loss.destination, port)), None)
    found = next((one for reason, one in _OPTIONS.items() if _refused(loss, reason, one)), None)
    if taker is None or found is None:
        return None
    return Found(
        f"socket option {found.name}",
        f"the socket on {taker.address} port {port} at {loss.place.full_name} has {found.name}: it wants {found.wants}",
        "socket",
        (f"{loss.counted(found.counter)} counted meanwhile",) if found.counter and loss.counted(found.counter) else (),
        f"take {found.name} from that socket, or send what it wants",
    )


def _refused(loss: Loss, reason: str, option: _Option) -> bool:
    """Whether the kernel freed the packet for an option, or has counted so."""
    return reason in loss.reasons or bool(option.counter and loss.counted(option.counter))
