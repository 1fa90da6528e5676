"""IPsec policies (xfrm) that block a packet, or want it protected."""

from __future__ import annotations

import ipaddress
import socket

from cnitest.errors import KernelError
from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.kernel.rows import ipsec
from cnitest.kernel.rows.ipsec import Policy
from cnitest.kernel.rows.records import Link, Route

_REASON = "XFRM_POLICY"
# What the kernel counts where a packet lacks the protection that a policy wants.
_UNPROTECTED = ("XfrmInTmplMismatch", "XfrmOutNoStates", "XfrmAcquireError")
_WITH_PORTS = (socket.IPPROTO_TCP, socket.IPPROTO_UDP, socket.IPPROTO_SCTP)


@cause("routing.ipsec-policy", Stage.SOCKET_OUT, Stage.ROUTING, Stage.SOCKET_IN, reasons=(_REASON,), order=-5)
def ipsec_policy(loss: Loss) -> Found | None:
    """An IPsec policy (`ip xfrm policy`) blocks the packet, or wants it protected where nothing protects it."""
    found = _deciding(loss) if isinstance(loss.routed, Route) or loss.owns(loss.destination) else None
    if found is None:
        return None
    traced = _REASON in loss.reasons
    if not found.blocks and not (found.protected and (traced or loss.counted(*_UNPROTECTED))):
        return None
    does = "action block" if found.blocks else "wants it protected (tmpl), and nothing does"
    return Found(
        f"IPsec policy {found.direction}",
        f"{loss.place.full_name}: ip xfrm policy {found.words} {does}",
        "routing",
        (f"the kernel's trace says {_REASON}",) if traced else (),
        f"ip xfrm policy delete {found.words}",
    )


def _deciding(loss: Loss) -> Policy | None:
    """The policy that decides on the packet where it was last seen: on its way in, through or out."""
    try:
        known = ipsec.policies(loss.place.namespace)
    except (KernelError, OSError):
        return None
    ways = ("out",) if not loss.link else ("fwd", "out") if loss.forwarded else ("in",)
    decided = (next((one for one in known if one.direction == way and _matches(loss, one)), None) for way in ways)
    return next((one for one in decided if one and (one.blocks or one.protected)), None)


def _matches(loss: Loss, policy: Policy) -> bool:
    packet = loss.packet
    ends = ((packet.source, policy.source), (loss.destination, policy.destination))
    if not all(_within(address, network) for address, network in ends):
        return False
    ports = packet.protocol in _WITH_PORTS
    named = (
        (packet.source_port if ports else 0, policy.source_port),
        (packet.destination_port if ports else 0, policy.destination_port),
    )
    value, mask = policy.mark
    return (
        policy.protocol in (0, packet.protocol)
        and all(port & mask == wanted & mask for port, (wanted, mask) in named)
        and loss.mark & mask == value
        and (not policy.link or policy.link in {link.ifindex for link in _links(loss)})
        and (not policy.if_id or hex(policy.if_id) in {dict(link.detail).get("if_id") for link in _links(loss)})
    )


def _links(loss: Loss) -> list[Link]:
    """The links that it takes at its place."""
    names = {loss.incoming, loss.routed.link if isinstance(loss.routed, Route) else ""}
    return [link for name, link in loss.links().items() if name in names]


def _within(address: str, network: str) -> bool:
    known = ipaddress.ip_network(network)
    return (
        bool(address)
        and ipaddress.ip_address(address).version == known.version
        and (ipaddress.ip_address(address) in known)
    )
