"""Sources that are not believed, and addresses that a place may not send from or has twice."""

from __future__ import annotations

import ipaddress

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.causes.routing.commands import answers, delete_address, kernel_answer
from cnitest.explain.evidence.case import Case, Stage
from cnitest.explain.evidence.ip import fib
from cnitest.explain.evidence.ip.sysctls import set_to, told

_MARTIAN = ("IP_INVALID_SOURCE", "IP_LOCAL_SOURCE", "IP_LOCALNET", "IP_RPFILTER", "INVALID_SOURCE", "IPV6_BAD_SOURCE")


@cause("routing.source-not-ours", Stage.SOCKET_OUT)
def source_not_ours(case: Case) -> Found | None:
    """The packet was to be sent from an address that its sender does not have."""
    source = case.probe.source
    if case.returning or case.link or not source or case.owns(source) or not case.attempt.error:
        return None
    return Found(
        "source address not ours",
        f"{case.place.full_name} cannot send from {source}: it is none of its addresses",
        evidence=(f"the kernel says: {case.attempt.violation}",),
        remedy=f"ip address add {source} dev …",
    )


@cause("routing.localnet", Stage.ROUTING, reasons=(*_MARTIAN, "IP_INVALID_DEST"), order=-2)
def localnet(case: Case) -> Found | None:
    """A loopback address comes in by another link, and route_localnet is off."""
    if not case.received or case.six or case.link == "lo":
        return None
    found = next((one for one in (case.destination, case.packet.source) if _is_loopback(one)), "")
    name = f"ipv4/conf/{case.incoming}/route_localnet"
    if not found or "1" in (case.sysctl(name), case.sysctl("ipv4/conf/all/route_localnet")):
        return None
    return Found(
        "route_localnet off",
        f"{case.place.full_name} takes {found} by no link but lo: {told(name)}=0",
        hook="routing",
        evidence=(f"it came in by {case.incoming}",),
        remedy=set_to(name, 1),
    )


@cause("routing.martian-source", Stage.ROUTING, reasons=_MARTIAN, order=-1)
def martian_source(case: Case) -> Found | None:
    """The source is one that no packet from a link may have: the receiver's own address, a group, loopback."""
    source = case.packet.source
    if not case.received or case.link == "lo" or not source or not (case.six or answers(case, "EINVAL", "EXDEV")):
        return None
    own = not case.six and case.owns(source)
    if own and case.sysctl(f"ipv4/conf/{case.incoming}/accept_local") == "0":
        what, remedy = f"{source} is an address of {case.place.full_name} itself", delete_address(case, source)
    elif _is_loopback(source) or ipaddress.ip_address(source).is_multicast:
        what, remedy = f"{source} is no source that comes in by a link", ""
    else:
        return None
    return Found(
        "martian source",
        f"{case.place.full_name} does not believe the source: {what}",
        hook="routing",
        evidence=(f"it came in by {case.incoming}",),
        remedy=remedy,
    )


@cause("routing.duplicate-address", Stage.SOCKET_OUT, Stage.WIRE, Stage.INPUT, order=-5)
def duplicate_address(case: Case) -> Found | None:
    """The answer is for an address that the place on its way has itself, so it stays there."""
    if not case.returning or case.place is case.probe.sender or not case.owns(case.destination):
        return None
    address, owner = case.destination, case.probe.sender.full_name
    elsewhere = case.spot.out and case.link != "lo"
    if elsewhere or not case.owns(address, case.probe.sender):
        return None
    return Found(
        "duplicate address",
        f"{case.place.full_name} has {address}, too, so it keeps what is for {owner}",
        "routing",
        (f"{owner} and {case.place.full_name} both have {address}",),
        delete_address(case, address),
    )


@cause("routing.rp-filter", Stage.ROUTING, reasons=_MARTIAN)
def rp_filter(case: Case) -> Found | None:
    """Reverse path filtering is strict: the route back to the source does not lead to the link that it came in by."""
    name, mode = _rp_filter(case)
    back = fib.way_back(case.state(), case.question) if mode else None
    if mode != 1 or (back and (back.kind != "unicast" or fib.goes_by(back, case.incoming))):
        return None
    way = f"leads to {fib.ways(back)}" if back else "is not there"
    return Found(
        "rp_filter",
        f"{case.place.full_name} does not take {case.packet.source} by {case.incoming}: the route back {way}, "
        f"and {told(name)}=1 (strict)",
        "routing",
        (f"the kernel answers {kernel_answer(case)} for a packet from {case.packet.source} by {case.incoming}",),
        set_to(f"ipv4/conf/{case.incoming}/rp_filter", 2 if back else 0),
    )


@cause("routing.rp-filter-loose", Stage.ROUTING, reasons=_MARTIAN)
def rp_filter_loose(case: Case) -> Found | None:
    """Reverse path filtering is loose, and there is no route back to the source at all."""
    name, mode = _rp_filter(case)
    if mode != 2 or fib.way_back(case.state(), case.question):
        return None
    source = case.packet.source
    return Found(
        "rp_filter loose",
        f"{case.place.full_name} has no route back to {source}, and {told(name)}=2 (loose)",
        "routing",
        (f"the kernel answers {kernel_answer(case)} for a packet from {source} by {case.incoming}",),
        f"ip route add {source} dev {case.incoming}",
    )


def _rp_filter(case: Case) -> tuple[str, int]:
    """The sysctl that decides, and its value: the higher of the link's and that of all."""
    if not case.received or case.six or not answers(case, "EXDEV", "EINVAL"):
        return "", 0
    if case.decision is None or case.decision.kind not in ("unicast", "local"):
        return "", 0
    names = (f"ipv4/conf/{case.incoming}/rp_filter", "ipv4/conf/all/rp_filter")
    name = max(names, key=case.number)
    return name, case.number(name)


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback if address else False
