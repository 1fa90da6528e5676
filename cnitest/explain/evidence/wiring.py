"""How the links of a lab hang together: veth pairs, bridges and their ports, what stands on a parent."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import combinations, product
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
        yield from ((at, LinkAt(at.place, link.master)) for at, link in self.links.items() if link.master)
        yield from self._others.items()
        yield from self._overlays()

    @cached_property
    def _others(self) -> Mapping[LinkAt, LinkAt]:
        """The one link that each names as its other, in whatever place: a veth its peer, a macvlan its parent."""
        ends = peers.ends({name: place.namespace for name, place in self.places.items()})
        names = {(name, end.ifindex): end.name for name, found in ends.items() for end in found}
        elsewhere = {
            LinkAt(name, end.name): LinkAt(end.namespace, names[end.namespace, end.other])
            for name, found in ends.items()
            for end in found
            if (end.namespace, end.other) in names
        }
        parents = ((at, link.parent) for at, link in self.links.items() if not link.parent.startswith("@"))
        found = elsewhere | {at: LinkAt(at.place, parent) for at, parent in parents if parent}
        return {at: to for at, to in found.items() if to in self.links}

    def _overlays(self) -> Iterator[tuple[LinkAt, LinkAt]]:
        """The ends of each VXLAN: links of one identifier and port, whoever leads to whom. One that has no other end is
        an end of those that it shares one of the two with: whoever made it mistook the other."""
        known: dict[tuple[object, object], list[LinkAt]] = {}
        for at, link in self.links.items():
            detail = dict(link.detail)
            if link.kind in KINDS and KINDS[link.kind].fdb_dst and detail.get("id"):
                known.setdefault((detail["id"], detail.get("dstport")), []).append(at)
        for ends in known.values():
            yield from combinations(ends, 2)
        for (one, ends), (two, others) in combinations(known.items(), 2):
            lonely = any(len({at.place for at in same}) == 1 for same in (ends, others))
            if lonely and (one[0] == two[0] or one[1] == two[1]):
                yield from (pair for pair in product(ends, others) if pair[0].place != pair[1].place)

    def ways(self, start: LinkAt) -> Mapping[LinkAt, tuple[LinkAt, ...]]:
        """The shortest way from a link to each link of its segment, both ends included."""
        return shortest(self._next, start)

    def peer(self, at: LinkAt) -> LinkAt | None:
        """The other end of a veth, None of other links and where it is outside the lab."""
        link = self.links.get(at)
        return self._others.get(at) if link and link.kind == "veth" else None

    def parent(self, at: LinkAt) -> LinkAt | None:
        """The link that another one stands on, such as a macvlan's."""
        link = self.links.get(at)
        return self._others.get(at) if link and link.kind != "veth" else None


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
