"""How large a packet is, whether it may be sent in parts, and how large the links on its way let it be."""

from __future__ import annotations

from collections.abc import Iterator

from cnitest.explain.evidence import leg
from cnitest.explain.evidence.ip import carriers
from cnitest.explain.evidence.ip.sysctls import set_to
from cnitest.explain.evidence.loss import Loss
from cnitest.explain.evidence.wiring import LinkAt
from cnitest.kernel.rows.records import Link, Route
from cnitest.lab.place import Place
from cnitest.lab.probe import wire

_DF, _PART = 0x4000, 0x3FFF
# Ethernet's header and a VLAN's tag, which a link takes in excess of its MTU.
_EXCESS = 14 + 4
_HEADERS = {"icmp": 8, "udp": 8, "tcp": 20}
_FRAGMENT = 44

# Ethernet, VXLAN, UDP and IP.
_VXLAN, _VXLAN6 = 50, 70


def length(loss: Loss) -> int:
    """The length of the packet with its IP header; of one that was never seen as the probe has it."""
    data = loss.spot.frame.data[14:] if loss.spot.frame else b""
    if not data:
        return loss.probe.size + _HEADERS.get(loss.reach.transport, 0) + (40 if loss.six else 20)
    return _length(data)


def largest(loss: Loss) -> int:
    """The length of the largest packet of the probe that came to where it was last seen, as it is on a wire."""
    here = [
        sighting.frame
        for sighting in loss.seen.sightings
        if (sighting.place, sighting.frame.link, sighting.frame.out, sighting.returning)
        == (loss.place.full_name, loss.link, loss.spot.out, loss.returning)
        and wire.icmp_error(sighting.frame.data) is None
    ]
    found = max((_length(frame.data[14:]) for frame in here), default=length(loss))
    segment = _segment(loss)
    return min(found, segment + (60 if loss.six else 40)) if segment else found


def _segment(loss: Loss) -> int:
    """The least MSS that an end of a TCP connection announced, 0 of what is none: a frame may hold several segments."""
    mtus = [
        int.from_bytes(headers.options[2:4], "big")
        for sighting in loss.seen.sightings
        if (headers := wire.read(sighting.frame.data)).flags & wire.SYN and headers.options[:1] == b"\2"
    ]
    return min(mtus, default=0)


def _length(data: bytes) -> int:
    return int.from_bytes(data[2:4], "big") if data[0] >> 4 == 4 else 40 + int.from_bytes(data[4:6], "big")


def is_whole(loss: Loss) -> bool:
    """Whether no router may send it in parts: it forbids that, or is one of IPv6."""
    data = loss.spot.frame.data[14:] if loss.spot.frame else b""
    return loss.six or (bool(data) and bool(int.from_bytes(data[6:8], "big") & _DF))


def is_part(loss: Loss) -> bool:
    """Whether it is a fragment."""
    data = loss.spot.frame.data[14:] if loss.spot.frame else b""
    if not data:
        return False
    return data[6] == _FRAGMENT if loss.six else bool(int.from_bytes(data[6:8], "big") & _PART)


def fits(loss: Loss, mtu: int) -> bool:
    """Whether a link with an MTU takes the frame that was last seen."""
    return loss.spot.frame is None or len(loss.spot.frame.data) <= mtu + _EXCESS


def way(loss: Loss, start: Place) -> Iterator[tuple[Place, Route]]:
    """The places on the way to the packet's destination, from one on, and the route that each has."""
    place: Place | None = start
    been: set[str] = set()
    while place and place.full_name not in been:
        been.add(place.full_name)
        route = loss.route(loss.destination, place=place)
        if not isinstance(route, Route) or route.kind != "unicast":
            return
        yield place, route
        place = place.lab.owner(route.via or loss.destination, place)


def narrowest(loss: Loss, start: Place) -> tuple[Place, str, int] | None:
    """The first place on the way whose link is too small for the packet, that link, and its MTU."""
    for place, route in way(loss, start):
        link = loss.links(place).get(route.link)
        mtu = limit(loss, place, link) if link else 0
        if link and 0 < mtu < length(loss):
            return place, link.name, mtu
    return None


def limit(loss: Loss, place: Place, link: Link) -> int:
    """How many bytes a place sends by a link at most: its MTU, or what IPv6 has for it (the sysctl ``mtu``)."""
    own = loss.number(f"ipv6/conf/{link.name}/mtu", place) if loss.six else 0
    return min(link.mtu, own or link.mtu)


def raised(loss: Loss, place: Place, link: str, size: int) -> str:
    """The command that lets a link of a place take packets of so many bytes, and all that the other end of its wire
    sends; of a bridge, its port on their way, too."""
    name = f"ipv6/conf/{link}/mtu"
    if loss.six and 0 < loss.number(name, place) < size <= loss.links(place)[link].mtu:
        return set_to(size, name)
    peer = loss.wiring.peer(LinkAt(place.full_name, link))
    mtu = max(size, loss.wiring.links[peer].mtu if peer else 0)
    beyond = (at for at in _way_of_bridge(loss, place, link) if at.place == place.full_name)
    ports = (f"ip link set dev {at.link} mtu {mtu}" for at in beyond if 0 < loss.wiring.links[at].mtu < mtu)
    return " && ".join((*ports, f"{_room_below(loss, place, link, mtu)}ip link set dev {link} mtu {mtu}"))


def _way_of_bridge(loss: Loss, place: Place, link: str) -> tuple[LinkAt, ...]:
    """The links behind a bridge on the way to the next hop of a place's; none of other links."""
    start, route = LinkAt(place.full_name, link), loss.route(loss.destination, place=place)
    if loss.wiring.links[start].kind != "bridge" or not isinstance(route, Route):
        return ()
    ways = loss.wiring.ways(start)
    owners = leg.owners_of(loss.wiring, route.via or loss.destination, place)
    return next((ways[at][1:] for at in owners if at in ways), ())


def too_small_beyond(loss: Loss, place: Place, link: str, size: int) -> tuple[str, ...]:
    """That the other end of the wire, too, is too small for packets of so many bytes by a link, or by the one below."""
    lower = _below(loss, place, link, size)
    wire_end, needs = (lower[0].name, lower[1]) if lower else (link, size)
    peer = loss.wiring.peer(LinkAt(place.full_name, wire_end))
    others = [(peer, ", the other end,")] if peer else []
    others += [(at, "") for at in _way_of_bridge(loss, place, link) if at.place != place.full_name]
    return tuple(
        f"{at}{which} takes {mtu} bytes: then it needs MTU {needs}, too"
        for at, which in others
        if 0 < (mtu := loss.wiring.links[at].mtu) < needs
    )


def _room_below(loss: Loss, place: Place, link: str, mtu: int) -> str:
    """The command that has to come first where the link that a VXLAN is sent by is too small."""
    lower = _below(loss, place, link, mtu)
    return f"ip link set dev {lower[0].name} mtu {lower[1]} && " if lower and lower[0].mtu < lower[1] else ""


def _below(loss: Loss, place: Place, link: str, mtu: int) -> tuple[Link, int] | None:
    """The link that a VXLAN is sent by, and the MTU that it needs: a VXLAN's is that of this link at most, less what it
    puts around a packet."""
    detail = dict(loss.links(place)[link].detail)
    lower = next((one for one in loss.links(place).values() if one.ifindex and one.ifindex == detail.get("link")), None)
    six = any(detail.get(f"{end}6") or ":" in str(detail.get(end, "")) for end in ("local", "group"))
    if lower is None or carriers.protocol(loss.links(place)[link].kind) != wire.UDP:
        return None
    return lower, mtu + (_VXLAN6 if six else _VXLAN)


def remembered(loss: Loss) -> tuple[Place, Link, int] | None:
    """The place that has sent the sender a smaller MTU on the way to the destination, its link that has it, and
    that MTU; None where nobody was heard to."""
    for frame in reversed(loss.place.lab.sniffer(loss.place).recent):
        error = wire.icmp_error(frame.data)
        if error and not frame.out and error[1] in wire.TOO_BIG and error[2].destination == loss.destination:
            mtu, place = wire.next_mtu(frame.data), loss.owner(error[0].source)
            links = [link for link in loss.links(place).values() if limit(loss, place, link) == mtu] if place else []
            narrow = sorted(links, key=lambda link: not link.master)
            return (place, narrow[0], mtu) if place and narrow else None
    return None


def errors(loss: Loss) -> list[str]:
    """Where a "too big" about the packet was seen, hop by hop."""
    return [
        sighting.hop
        for sighting in loss.seen.sightings
        if (found := wire.icmp_error(sighting.frame.data)) and found[1] in wire.TOO_BIG
    ]
