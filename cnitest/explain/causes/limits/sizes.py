"""Packets that are larger than a link, a route or a reassembly lets them be."""

from __future__ import annotations

from cnitest.explain.causes import drops
from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.ip import sizes
from cnitest.explain.evidence.ip.sysctls import set_to, sysctl_name
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.explain.evidence.wiring import LinkAt
from cnitest.kernel.rows.records import Route
from cnitest.lab.probe import wire
from cnitest.lab.snapshot import words

_TOO_BIG = ("PKT_TOO_BIG", "IPV6_TOO_BIG")
_ENOUGH = 4 << 20


@cause("limits.own-mtu", Stage.SOCKET_OUT, order=1)
def own_mtu(loss: Loss) -> Found | None:
    """The sender's own link is too small for the packet, which must not be sent in parts."""
    link = loss.links().get(loss.routed.link) if isinstance(loss.routed, Route) else None
    size = sizes.length(loss)
    mtu = sizes.limit(loss, loss.place, link) if link else 0
    if loss.link or link is None or not loss.attempt.too_large or size <= mtu:
        return None
    return Found(
        "MTU",
        f"{loss.place.full_name}:{link.name} has MTU {mtu}, and the packet has {size} bytes",
        "routing",
        (f"the kernel says: {loss.attempt.violation}", *sizes.too_small_beyond(loss, loss.place, link.name, size)),
        sizes.raised(loss, loss.place, link.name, size),
    )


@cause("limits.route-mtu", Stage.SOCKET_OUT, order=1)
def route_mtu(loss: Loss) -> Found | None:
    """The sender's own route has an MTU that is too small for the packet, which must not be sent in parts."""
    route = loss.decision.route if loss.decision else None
    size = sizes.length(loss)
    if loss.link or route is None or not loss.attempt.too_large or not 0 < route.mtu < size:
        return None
    key = words.route_key(route)
    return Found(
        "route MTU",
        f"{loss.place.full_name} has {key} with MTU {route.mtu}, and the packet has {size} bytes",
        "routing",
        (f"the kernel says: {loss.attempt.violation}",),
        f"ip {'-6 ' if loss.six else ''}route change {words.route_in_command(route)} mtu {size}",
    )


@cause("limits.path-mtu", Stage.SOCKET_OUT, Stage.ROUTING, reasons=_TOO_BIG, order=2)
def path_mtu(loss: Loss) -> Found | None:
    """A link on the way is too small for the packet, which must not be sent in parts; its sender knows that."""
    reported = loss.forwarded and sizes.is_whole(loss) and _came_back(loss)
    known = reported if loss.link else loss.attempt.too_large
    found = sizes.narrowest(loss, loss.place) if known else None
    if found is None and known and not loss.link:
        heard = sizes.remembered(loss)
        found = (heard[0], heard[1].name, heard[2]) if heard else None
    if found is None or (loss.link and found[0] is not loss.place):
        return None
    place, link, mtu = found
    size = sizes.length(loss)
    return Found(
        "MTU",
        f"{place.full_name}:{link} has MTU {mtu}, and the packet has {size} bytes, not to be sent in parts",
        "routing",
        (
            f"{loss.probe.sender.full_name} knows: it remembers the MTU until ip route flush cache",
            *sizes.too_small_beyond(loss, place, link, size),
        ),
        sizes.raised(loss, place, link, size),
        place.full_name,
    )


@cause("limits.pmtu-black-hole", Stage.ROUTING, reasons=_TOO_BIG, order=2)
def black_hole(loss: Loss) -> Found | None:
    """A link on the way is too small for the packet, and the ICMP message that says so does not come to its sender."""
    route = loss.routed
    link = loss.links().get(route.link) if isinstance(route, Route) else None
    size = sizes.largest(loss)
    mtu = sizes.limit(loss, loss.place, link) if link else 0
    if not loss.forwarded or link is None or size <= mtu or not sizes.is_whole(loss) or _came_back(loss):
        return None
    seen = sizes.errors(loss)
    said = f"was last seen at {seen[-1]}" if seen else f"was never seen to leave {loss.place.full_name}"
    ended = message_ended(loss)
    name = '"packet too big"' if loss.six else '"fragmentation needed"'
    return Found(
        "pmtu black hole",
        f"{loss.place.full_name}:{link.name} has MTU {mtu}, the packet has {size} bytes, and the {name} about it "
        f"{said}",
        "routing",
        (
            f"{_source(loss)} got no such message, so it goes on sending as much",
            *ended,
            *sizes.too_small_beyond(loss, loss.place, link.name, size),
        ),
        sizes.raised(loss, loss.place, link.name, size),
    )


def message_ended(loss: Loss) -> tuple[str, ...]:
    """The rule that ended the message about the packet's size, where one was seen to, and what would let that pass."""
    step = next(iter(loss.ended_messages()), None)
    if step is None:
        return ()
    by = f"{drops.where(step)}: {step.rule}" if step.rule else f"{drops.where(step)} policy {step.verdict.upper()}"
    return (f"{step.place} drops the message by {by}; it would pass with: {drops.past(loss, step)}",)


def _came_back(loss: Loss) -> bool:
    """Whether a "too big" about the packet came to its sender."""
    return any(hop.startswith(f"{_source(loss)}:") for hop in sizes.errors(loss) if hop.endswith(" in"))


def _source(loss: Loss) -> str:
    """The place that sent the packet, whose address another may have put its own for (MASQUERADE)."""
    sent = (one for one in loss.seen.sightings if one.frame.out and one.returning == loss.returning)
    first = next((one for one in sent if wire.icmp_error(one.frame.data) is None), None)
    return first.place if first else loss.probe.sender.full_name


@cause("limits.receiver-mtu", Stage.WIRE, order=-1)
def receiver_mtu(loss: Loss) -> Found | None:
    """The other end of the wire has a smaller MTU, and takes no frame that is longer."""
    peer = loss.wiring.peer(LinkAt(loss.place.full_name, loss.link)) if loss.spot.out else None
    link = loss.wiring.links.get(peer) if peer else None
    if peer is None or link is None or sizes.fits(loss, link.mtu):
        return None
    size = sizes.length(loss)
    return Found(
        "MTU of the receiver",
        f"{peer} has MTU {link.mtu} and does not take the {size} bytes that {loss.place.full_name}:{loss.link} sends",
        "link",
        (f"{loss.place.full_name}:{loss.link} has MTU {loss.links()[loss.link].mtu}",),
        sizes.raised(loss, loss.wiring.places[peer.place], peer.link, size),
        peer.place,
    )


@cause("limits.bridge-port-mtu", Stage.BRIDGE, Stage.WIRE)
def bridge_port_mtu(loss: Loss) -> Found | None:
    """The bridge port that leads to the receiver has a smaller MTU, and the bridge drops what is longer."""
    bridge = loss.port.bridge if loss.bridged and loss.port else loss.link if loss.spot.out else ""
    if not bridge:
        return None
    ports = {row.link for row in loss.state().fdb if row.mac == loss.mac and row.bridge == bridge}
    link = next((loss.links()[name] for name in ports if name in loss.links()), None)
    if link is None or sizes.fits(loss, link.mtu):
        return None
    size = sizes.length(loss)
    return Found(
        "MTU of the bridge port",
        f"{loss.place.full_name}:{link.name} has MTU {link.mtu}, and the bridge does not send {size} bytes there",
        "bridge",
        (f"{loss.mac} is at {link.name}",),
        sizes.raised(loss, loss.place, link.name, size),
    )


@cause("limits.fragments", Stage.PREROUTING, Stage.INPUT)
def fragments(loss: Loss) -> Found | None:
    """Fragments came, and the kernel has no memory left to put them together (ipfrag_high_thresh)."""
    name = "ipv6/ip6frag_high_thresh" if loss.six else "ipv4/ipfrag_high_thresh"
    failed = loss.counted("Ip6ReasmFails" if loss.six else "IpReasmFails")
    if not sizes.is_part(loss) or not failed or loss.number(name) > sizes.length(loss):
        return None
    return Found(
        "fragments",
        f"{loss.place.full_name} puts no fragments together: {sysctl_name(name)}={loss.sysctl(name)}",
        "reassembly",
        (f"{loss.place.full_name} has counted {failed} failed reassemblies meanwhile",),
        set_to(_ENOUGH, name),
    )
