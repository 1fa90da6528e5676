"""What is not forwarded: by a place that is no router, or because its address holds on one link only."""

from __future__ import annotations

import ipaddress

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.case import Case, Stage
from cnitest.explain.evidence.ip.sysctls import set_to, told


@cause("routing.forwarding-off", Stage.ROUTING)
def forwarding_off(case: Case) -> Found | None:
    """The place is no router: IP forwarding is off, for the family or on the link where the packet comes in."""
    if not case.forwarded or case.decision is None or case.decision.kind != "unicast":
        return None
    family, link = case.family, f"{case.family}/conf/{case.incoming}"
    if case.six:
        off = f"{family}/conf/all/forwarding" if case.sysctl(f"{link}/force_forwarding") != "1" else ""
    else:
        off = "ipv4/ip_forward" if case.sysctl("ipv4/ip_forward") == "0" else f"{link}/forwarding"
    if not off or case.sysctl(f"{link}/forwarding" if not case.six else off) != "0":
        return None
    return Found(
        "forwarding off",
        f"{case.place.full_name} does not forward {'IPv6' if case.six else 'IPv4'}: {told(off)}=0",
        "routing",
        (f"{case.destination} is no address of {case.place.full_name}",),
        set_to(off, 1),
    )


@cause("routing.link-local", Stage.ROUTING)
def link_local(case: Case) -> Found | None:
    """A packet from or to a link-local address of IPv6 is not forwarded to another link."""
    found = next((a for a in (case.packet.source, case.destination) if case.six and _is_link_local(a)), "")
    if not case.forwarded or not found:
        return None
    said = f"{case.place.full_name} does not forward {found}: a link-local address holds on one link only"
    return Found("link-local address", said, "routing", remedy="send from and to a global address")


def _is_link_local(address: str) -> bool:
    return ipaddress.ip_address(address).is_link_local if address else False
