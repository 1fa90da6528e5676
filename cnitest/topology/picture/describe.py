"""What a place says about itself in a picture: its links, addresses, routes and settings, line by line."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from cnitest.topology.model import Bridge, Link, Place, Route, Rule, Switch
from cnitest.topology.survey import Item, Survey
from cnitest.topology.words import ip_words
from cnitest.topology.words.ip_words import fdb_words, neighbour_words
from cnitest.topology.words.phrase import flags


class Words:
    """Lines about the places and links of one topology."""

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self._peers = {one: other for pair in survey.pairs if len(pair) == 2 for one, other in (pair, pair[::-1])}
        self._children: dict[tuple[str, str], list[Item]] = {}
        for item in survey.declared:
            if parent := survey.parent(item):
                self._children.setdefault(parent.key, []).append(item)

    def place(self, name: str) -> Iterator[str]:
        """The lines of a host or sandbox: its links outside bridges, then its routes and settings."""
        spot = self._survey.spots[name]
        for item in self._all_links(name):
            if not self._is_elsewhere(item):
                yield from self.link(item)
        if spot.body:
            yield from _settings(spot.body)

    def bridge(self, item: Item) -> Iterator[str]:
        """The lines of a bridge: its addresses, children and ports."""
        yield from _facts(item.link)
        yield from self._children_of(item, {item.key})
        for port in self._survey.links[item.place].values():
            if port.link.bridge == item.name and port.kind != "bridge":
                yield from self.link(port)

    def switch(self, name: str) -> Iterator[str]:
        """The lines of a switch: its settings and what is plugged into it."""
        switch = self._survey.topology.switches[name]
        yield from _one_line(
            f"mtu {switch.mtu}" if switch.mtu else "", "stp" if switch.stp else "", "hairpin" if switch.hairpin else ""
        )
        for item in self._all_links(name):
            yield from self.link(item)
        for item in self._survey.links[name].values():
            yield from self._children_of(item, {item.key}) if item.name == Switch.BRIDGE else ()

    def link(self, item: Item) -> Iterator[str]:
        """A link with what it is, whom it is wired to, its addresses, and the children that stand on it."""
        yield from self._nested(item, set())

    def reference(self, item: Item) -> str:
        """How others call a link: ``place:name``, or the place alone for a port that nobody named."""
        unnamed = item.kind == "veth" and not getattr(item.link, "name", None)
        return item.place if unnamed else f"{item.place}:{item.name}"

    def _nested(self, item: Item, seen: set[tuple[str, str]]) -> Iterator[str]:
        wire = f" ── {self.reference(self._peers[item])}" if item in self._peers else ""
        yield f"{item.name}{_kind(item)}{self._on(item)}{wire}{_flags(item.link)}"
        yield from (f"  {fact}" for fact in _facts(item.link))
        yield from self._children_of(item, seen | {item.key})

    def _children_of(self, item: Item, seen: set[tuple[str, str]]) -> Iterator[str]:
        for child in self._children.get(item.key, []):
            if child.key in seen:
                continue
            if child.place != item.place or child.link.bridge:
                yield f"└ {self.reference(child)}{_kind(child)}"
            else:
                first, *rest = self._nested(child, seen)
                yield from (f"└ {first}", *(f"  {line}" for line in rest))

    def _all_links(self, place: str) -> list[Item]:
        return [item for item in self._survey.items if item.place == place]

    def _is_elsewhere(self, item: Item) -> bool:
        """Whether a link is drawn with its bridge, as its parent's child, or as a bridge itself."""
        parent = self._survey.parent(item)
        nested = parent is not None and parent.place == item.place
        return item.kind == "bridge" or bool(self._survey.bridge_of(item)) or nested

    def _on(self, item: Item) -> str:
        parent = getattr(item.link, "parent", None)
        nested = (found := self._survey.parent(item)) is not None and found.place == item.place
        return f" on {parent}" if parent and (not nested or item.link.bridge) else ""


def _kind(item: Item) -> str:
    label = item.row.label(item.kind, item.link) if item.row else ""
    return f" ({label})" if label else ""


def _flags(link: Link) -> str:
    hairpin = {True: "hairpin", False: "no hairpin", None: ""}[link.hairpin]
    words = [hairpin, "isolated" if link.isolated else ""]
    return "".join(f", {word}" for word in words if word)


def _facts(link: Link) -> Iterator[str]:
    yield from link.addresses
    yield from (f"also {name}" for name in link.altnames)
    yield from (f"vlan {' '.join([str(v.vid), *flags(pvid=v.pvid, untagged=v.untagged)])}" for v in link.vlans)
    yield from _one_line(
        f"mac {link.mac}" if link.mac else "",
        f"mtu {link.mtu}" if link.mtu else "",
        "down" if link.state == "down" else "",
        "dad" if link.dad else "",
        "stp" if isinstance(link, Bridge) and link.stp else "",
        "filters VLANs" if isinstance(link, Bridge) and link.vlan_filtering else "",
    )


def _one_line(*words: str) -> Iterator[str]:
    shown = [word for word in words if word]
    if shown:
        yield ", ".join(shown)


def _settings(place: Place) -> Iterator[str]:
    yield from (f"lo {address}" for address in place.loopback)
    yield from map(_route_words, place.routes)
    yield from map(_rule_words, place.rules)
    yield from (f"neighbour {neighbour_words(entry)}" for entry in place.neighbours)
    yield from (f"fdb {fdb_words(entry)}" for entry in place.fdb)
    yield from [f"sysctls of {place.defaults}"] if place.defaults else []
    yield from (f"{name} = {value}" for name, value in place.sysctls.items())
    yield from (f"iptables {line}" for line in place.iptables)
    yield from (f"ip6tables {line}" for line in place.ip6tables)
    yield from (f"nft: {line}" for line in place.nft.splitlines() if line.strip())

    yield from (f"tc {line}" for line in place.tc)
    yield from (f"$ {each if isinstance(each, str) else shlex.join(each)}" for each in place.setup)


def _route_words(route: Route) -> str:
    lone = route.to == "default" and not route.via and not route.nexthops
    return ip_words.route_words(route) + (" (IPv6)" if lone and route.family == 6 else "")


def _rule_words(rule: Rule) -> str:
    lone = not rule.source and not rule.to
    return f"rule{' not' if rule.inverted else ''} {ip_words.rule_words(rule).removeprefix('not').strip()}" + (
        " (IPv6)" if rule.family == 6 and lone else ""
    )
