"""How the links of a lab hang together: veth pairs, bridges and their ports, what stands on a parent."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import combinations
from typing import NamedTuple

from cnitest.kernel import peers
from cnitest.kernel.rows.records import Link
from cnitest.lab.place import Place
from cnitest.lab.snapshot import state as states
from cnitest.topology.link_kinds import KINDS


class LinkAt(NamedTuple):
    """A link of a place, by its full name."""

    place: str
    link: str

    def __str__(self) -> str:
        return f"{self.place}:{self.link}"


class Wiring:
    """The links of all places, read when first asked for."""

    def __init__(self, places: Sequence[Place]) -> None:
        self.places = {place.full_name: place for place in places}

    @cached_property
    def links(self) -> Mapping[LinkAt, Link]:
        """All links."""
        return {
            LinkAt(name, link.name): link
            for name, place in self.places.items()
            for link in states.links(place.namespace).links
        }

    @cached_property
    def _next(self) -> Mapping[LinkAt, list[LinkAt]]:
        """What a frame comes to from each link without being routed."""
        found: dict[LinkAt, list[LinkAt]] = {at: [] for at in self.links}
        for one, other in self._pairs():
            for at, to in ((one, other), (other, one)):
                if to in found and at in found and to not in found[at]:
                    found[at].append(to)
        return found

    def _pairs(self) -> Iterator[tuple[LinkAt, LinkAt]]:
        ends = peers.ends({name: place.namespace for name, place in self.places.items()})
        names = {(name, end.ifindex): end.name for name, found in ends.items() for end in found}
        for at, link in self.links.items():
            if link.master:
                yield at, LinkAt(at.place, link.master)
            if link.parent and not link.parent.startswith("@"):
                yield at, LinkAt(at.place, link.parent)
        for name, found in ends.items():
            yield from (
                (LinkAt(name, end.name), LinkAt(end.namespace, names[end.namespace, end.other]))
                for end in found
                if (end.namespace, end.other) in names
            )
        yield from self._overlays()

    def _overlays(self) -> Iterator[tuple[LinkAt, LinkAt]]:
        """The ends of each VXLAN: links of one identifier and port, whoever leads to whom."""
        known: dict[tuple[object, object], list[LinkAt]] = {}
        for at, link in self.links.items():
            detail = dict(link.detail)
            if link.kind in KINDS and KINDS[link.kind].fdb_dst and detail.get("id"):
                known.setdefault((detail["id"], detail.get("dstport")), []).append(at)
        for ends in known.values():
            yield from combinations(ends, 2)

    def ways(self, start: LinkAt) -> Mapping[LinkAt, tuple[LinkAt, ...]]:
        """The shortest way from a link to each link of its segment, both ends included."""
        return shortest(self._next, start)

    def peer(self, at: LinkAt) -> LinkAt | None:
        """The other end of a veth, None of other links and where it is outside the lab."""
        link = self.links.get(at)
        if link is None or link.kind != "veth":
            return None
        return next((to for to in self._next[at] if to != LinkAt(at.place, link.master)), None)

    def parent(self, at: LinkAt) -> LinkAt | None:
        """The link that another one stands on, such as a macvlan's."""
        link = self.links.get(at)
        if link is None or not link.parent or link.kind == "veth":
            return None
        return next((to for to in self._next[at] if to != LinkAt(at.place, link.master)), None)

    def ports(self, bridge: LinkAt) -> tuple[LinkAt, ...]:
        """The ports of a bridge."""
        return tuple(at for at, link in self.links.items() if at.place == bridge.place and link.master == bridge.link)


def shortest(neighbours: Mapping[LinkAt, Sequence[LinkAt]], start: LinkAt) -> Mapping[LinkAt, tuple[LinkAt, ...]]:
    """The shortest way from a link to each that can be reached from it, both ends included."""
    found: dict[LinkAt, tuple[LinkAt, ...]] = {start: (start,)}
    waiting = deque([start])
    while waiting:
        at = waiting.popleft()
        for to in neighbours.get(at, ()):
            if to not in found:
                found[to] = (*found[at], to)
                waiting.append(to)
    return found
