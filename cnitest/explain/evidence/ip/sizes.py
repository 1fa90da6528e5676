"""How large a packet is, whether it may be sent in parts, and how large the links on its way let it be."""

from __future__ import annotations

from collections.abc import Iterator

from cnitest.explain.evidence.case import Case
from cnitest.kernel.rows.records import Link, Route
from cnitest.lab.place import Place
from cnitest.lab.probe import wire

_DF, _PART = 0x4000, 0x3FFF
# Ethernet's header and a VLAN's tag, which a link takes in excess of its MTU.
_EXCESS = 14 + 4
_HEADERS = {"icmp": 8, "udp": 8, "tcp": 20}
_FRAGMENT = 44


def length(case: Case) -> int:
    """The length of the packet with its IP header; of one that was never seen as the probe has it."""
    data = case.spot.frame.data[14:] if case.spot.frame else b""
    if not data:
        return case.probe.size + _HEADERS.get(case.reach.transport, 0) + (40 if case.six else 20)
    return _length(data)


def largest(case: Case) -> int:
    """The length of the largest packet of the probe that came to where it was last seen, as it is on a wire."""
    here = [
        sighting.frame
        for sighting in case.seen.sightings
        if (sighting.place, sighting.frame.link, sighting.frame.out, sighting.returning)
        == (case.place.full_name, case.link, case.spot.out, case.returning)
        and wire.icmp_error(sighting.frame.data) is None
    ]
    found = max((_length(frame.data[14:]) for frame in here), default=length(case))
    segment = _segment(case)
    return min(found, segment + (60 if case.six else 40)) if segment else found


def _segment(case: Case) -> int:
    """The least MSS that either end of a TCP connection told, 0 of what is none: a frame may hold several segments."""
    told = [
        int.from_bytes(headers.options[2:4], "big")
        for sighting in case.seen.sightings
        if (headers := wire.read(sighting.frame.data)).flags & wire.SYN and headers.options[:1] == b"\2"
    ]
    return min(told, default=0)


def _length(data: bytes) -> int:
    return int.from_bytes(data[2:4], "big") if data[0] >> 4 == 4 else 40 + int.from_bytes(data[4:6], "big")


def is_whole(case: Case) -> bool:
    """Whether no router may send it in parts: it forbids that, or is one of IPv6."""
    data = case.spot.frame.data[14:] if case.spot.frame else b""
    return case.six or (bool(data) and bool(int.from_bytes(data[6:8], "big") & _DF))


def is_part(case: Case) -> bool:
    """Whether it is a fragment."""
    data = case.spot.frame.data[14:] if case.spot.frame else b""
    if not data:
        return False
    return data[6] == _FRAGMENT if case.six else bool(int.from_bytes(data[6:8], "big") & _PART)


def fits(case: Case, mtu: int) -> bool:
    """Whether a link with an MTU takes the frame that was last seen."""
    return case.spot.frame is None or len(case.spot.frame.data) <= mtu + _EXCESS


def way(case: Case, start: Place) -> Iterator[tuple[Place, Route]]:
    """The places on the way to the packet's destination, from one on, and the route that each has."""
    place: Place | None = start
    been: set[str] = set()
    while place and place.full_name not in been:
        been.add(place.full_name)
        route = case.route(case.destination, place=place)
        if not isinstance(route, Route) or route.kind != "unicast":
            return
        yield place, route
        place = place.lab.owner(route.via or case.destination, place)


def narrowest(case: Case, start: Place) -> tuple[Place, str, int] | None:
    """The first place on the way whose link is too small for the packet, that link, and its MTU."""
    for place, route in way(case, start):
        link = case.links(place).get(route.link)
        if link and 0 < link.mtu < length(case):
            return place, link.name, link.mtu
    return None


def remembered(case: Case) -> tuple[Place, Link, int] | None:
    """The place that has told the sender of a smaller MTU on the way to the destination, its link that has it, and
    that MTU; None where nobody was heard to."""
    for frame in reversed(case.place.lab.tap(case.place).recent):
        error = wire.icmp_error(frame.data)
        if error and not frame.out and error[1] in wire.TOO_BIG and error[2].destination == case.destination:
            mtu, place = wire.next_mtu(frame.data), case.owner(error[0].source)
            links = [link for link in case.links(place).values() if link.mtu == mtu] if place else []
            narrow = sorted(links, key=lambda link: not link.master)
            return (place, narrow[0], mtu) if place and narrow else None
    return None


def errors(case: Case) -> list[str]:
    """Where a "too big" about the packet was seen, hop by hop."""
    return [
        sighting.hop
        for sighting in case.seen.sightings
        if (found := wire.icmp_error(sighting.frame.data)) and found[1] in wire.TOO_BIG
    ]
