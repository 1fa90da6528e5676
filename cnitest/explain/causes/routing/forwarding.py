"""What is not forwarded: by a place that is no router, or because its address holds on one link only."""

from __future__ import annotations

import ipaddress

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.ip.next_hops import to_and_fro
from cnitest.explain.evidence.ip.sysctls import set_to, sysctl_name
from cnitest.explain.evidence.loss import Loss, Stage


@cause("routing.forwarding-off", Stage.ROUTING)
def forwarding_off(loss: Loss) -> Found | None:
    """The place is no router: IP forwarding is off, for the family or on the link where the packet comes in."""
    if not loss.forwarded or loss.decision is None or loss.decision.kind != "unicast" or to_and_fro(loss):
        return None
    family, link = loss.family, f"{loss.family}/conf/{loss.incoming}"
    if loss.six:
        off = f"{family}/conf/all/forwarding" if loss.sysctl(f"{link}/force_forwarding") != "1" else ""
    else:
        off = "ipv4/ip_forward" if loss.sysctl("ipv4/ip_forward") == "0" else f"{link}/forwarding"
    if not off or loss.sysctl(f"{link}/forwarding" if not loss.six else off) != "0":
        return None
    return Found(
        "forwarding off",
        f"{loss.place.full_name} does not forward {'IPv6' if loss.six else 'IPv4'}: {sysctl_name(off)}=0",
        "routing",
        (f"{loss.destination} is no address of {loss.place.full_name}",),
        set_to(off, 1),
    )


@cause("routing.link-local", Stage.ROUTING)
def link_local(loss: Loss) -> Found | None:
    """A packet from or to a link-local address of IPv6 is not forwarded to another link."""
    found = next((a for a in (loss.packet.source, loss.destination) if loss.six and _is_link_local(a)), "")
    if not loss.forwarded or not found:
        return None
    said = f"{loss.place.full_name} does not forward {found}: a link-local address holds on one link only"
    return Found("link-local address", said, "routing", remedy="send from and to a global address")


def _is_link_local(address: str) -> bool:
    return ipaddress.ip_address(address).is_link_local if address else False
