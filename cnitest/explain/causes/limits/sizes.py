"""Packets that are larger than a link, a route or a reassembly lets them be."""

from __future__ import annotations

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.case import Case, Stage
from cnitest.explain.evidence.ip import sizes
from cnitest.explain.evidence.ip.sysctls import set_to
from cnitest.explain.evidence.ip.sysctls import told as told_as
from cnitest.explain.evidence.wiring import LinkAt
from cnitest.kernel.rows.records import Route
from cnitest.lab.snapshot import words

_TOO_BIG = ("PKT_TOO_BIG", "IPV6_TOO_BIG")
_ENOUGH = 4 << 20


@cause("limits.own-mtu", Stage.SOCKET_OUT, order=1)
def own_mtu(case: Case) -> Found | None:
    """The sender's own link is too small for the packet, which must not be sent in parts."""
    link = case.links().get(case.routed.link) if isinstance(case.routed, Route) else None
    size = sizes.length(case)
    if case.link or link is None or not case.attempt.too_large or size <= link.mtu:
        return None
    return Found(
        "MTU",
        f"{case.place.full_name}:{link.name} has MTU {link.mtu}, and the packet has {size} bytes",
        "routing",
        (f"the kernel says: {case.attempt.violation}",),
        f"ip link set dev {link.name} mtu {size}",
    )


@cause("limits.route-mtu", Stage.SOCKET_OUT, order=1)
def route_mtu(case: Case) -> Found | None:
    """The sender's own route has an MTU that is too small for the packet, which must not be sent in parts."""
    route = case.decision.route if case.decision else None
    size = sizes.length(case)
    if case.link or route is None or not case.attempt.too_large or not 0 < route.mtu < size:
        return None
    key = words.route_key(route)
    return Found(
        "route MTU",
        f"{case.place.full_name} has {key} with MTU {route.mtu}, and the packet has {size} bytes",
        "routing",
        (f"the kernel says: {case.attempt.violation}",),
        f"ip {'-6 ' if case.six else ''}route change {key} mtu {size}",
    )


@cause("limits.path-mtu", Stage.SOCKET_OUT, Stage.ROUTING, reasons=_TOO_BIG, order=2)
def path_mtu(case: Case) -> Found | None:
    """A link on the way is too small for the packet, which must not be sent in parts; its sender was told."""
    told = case.forwarded and sizes.is_whole(case) and _came_back(case)
    known = told if case.link else case.attempt.too_large
    found = sizes.narrowest(case, case.place) if known else None
    if found is None and known and not case.link:
        heard = sizes.remembered(case)
        found = (heard[0], heard[1].name, heard[2]) if heard else None
    if found is None or (case.link and found[0] is not case.place):
        return None
    place, link, mtu = found
    size = sizes.length(case)
    return Found(
        "MTU",
        f"{place.full_name}:{link} has MTU {mtu}, and the packet has {size} bytes, not to be sent in parts",
        "routing",
        (f"{case.probe.sender.full_name} knows: it remembers the MTU until ip route flush cache",),
        f"ip link set dev {link} mtu {size}",
        place.full_name,
    )


@cause("limits.pmtu-black-hole", Stage.ROUTING, reasons=_TOO_BIG, order=2)
def black_hole(case: Case) -> Found | None:
    """A link on the way is too small for the packet, and the ICMP message that says so does not come to its sender."""
    route = case.routed
    link = case.links().get(route.link) if isinstance(route, Route) else None
    size = sizes.largest(case)
    if not case.forwarded or link is None or size <= link.mtu or not sizes.is_whole(case) or _came_back(case):
        return None
    seen = sizes.errors(case)
    said = f"was last seen at {seen[-1]}" if seen else f"was never seen to leave {case.place.full_name}"
    name = '"packet too big"' if case.six else '"fragmentation needed"'
    return Found(
        "pmtu black hole",
        f"{case.place.full_name}:{link.name} has MTU {link.mtu}, the packet has {size} bytes, and the {name} about it "
        f"{said}",
        "routing",
        (f"{case.packet.source} was not told, so it goes on sending as much",),
        f"ip link set dev {link.name} mtu {size}",
    )


def _came_back(case: Case) -> bool:
    """Whether a "too big" about the packet came to its sender."""
    back = case.owner(case.packet.source) or case.probe.sender
    return any(hop.startswith(f"{back.full_name}:") for hop in sizes.errors(case) if hop.endswith(" in"))


@cause("limits.receiver-mtu", Stage.WIRE, order=-1)
def receiver_mtu(case: Case) -> Found | None:
    """The other end of the wire has a smaller MTU, and takes no frame that is longer."""
    peer = case.wiring.peer(LinkAt(case.place.full_name, case.link)) if case.spot.out else None
    link = case.wiring.links.get(peer) if peer else None
    if peer is None or link is None or sizes.fits(case, link.mtu):
        return None
    size = sizes.length(case)
    return Found(
        "MTU of the receiver",
        f"{peer} has MTU {link.mtu} and does not take the {size} bytes that {case.place.full_name}:{case.link} sends",
        "link",
        (f"{case.place.full_name}:{case.link} has MTU {case.links()[case.link].mtu}",),
        f"ip link set dev {peer.link} mtu {size}",
        peer.place,
    )


@cause("limits.bridge-port-mtu", Stage.BRIDGE)
def bridge_port_mtu(case: Case) -> Found | None:
    """The bridge port that leads to the receiver has a smaller MTU, and the bridge drops what is longer."""
    if not case.bridged or case.port is None:
        return None
    ports = {row.link for row in case.state().fdb if row.mac == case.mac and row.bridge == case.port.bridge}
    link = next((case.links()[name] for name in ports if name in case.links()), None)
    if link is None or sizes.fits(case, link.mtu):
        return None
    size = sizes.length(case)
    return Found(
        "MTU of the bridge port",
        f"{case.place.full_name}:{link.name} has MTU {link.mtu}, and the bridge does not send {size} bytes there",
        "bridge",
        (f"{case.mac} is at {link.name}",),
        f"ip link set dev {link.name} mtu {size}",
    )


@cause("limits.fragments", Stage.PREROUTING, Stage.INPUT)
def fragments(case: Case) -> Found | None:
    """Fragments came, and the kernel has no memory left to put them together (ipfrag_high_thresh)."""
    name = "ipv6/ip6frag_high_thresh" if case.six else "ipv4/ipfrag_high_thresh"
    failed = case.counted("Ip6ReasmFails" if case.six else "IpReasmFails")
    if not sizes.is_part(case) or not failed or case.number(name) > sizes.length(case):
        return None
    return Found(
        "fragments",
        f"{case.place.full_name} puts no fragments together: {told_as(name)}={case.sysctl(name)}",
        "reassembly",
        (f"{case.place.full_name} has counted {failed} failed reassemblies meanwhile",),
        set_to(name, _ENOUGH),
    )
