"""Which links hear each other's broadcasts."""

from __future__ import annotations

from cnitest.topology.survey import Item, Survey

Key = tuple[str, str]


class Groups:
    """Disjoint sets of links, merged as wires join them."""

    def __init__(self) -> None:
        self._above: dict[Key, Key] = {}

    def find(self, key: Key) -> Key:
        """The link that stands for the whole group of ``key``."""
        top = key
        while (above := self._above.get(top, top)) != top:
            top = above
        while key != top:
            self._above[key], key = top, self._above.get(key, top)
        return top

    def join(self, one: Key, other: Key) -> bool:
        """Merge two groups; False when they were one already."""
        first, second = self.find(one), self.find(other)
        self._above[second] = first
        return first != second


def segments(survey: Survey) -> Groups:
    """The links of each broadcast domain; VLANs and routed ipvlans stand apart from their parents."""
    groups = Groups()
    for pair in survey.pairs:
        if len(pair) == 2 and all(end.name for end in pair):
            groups.join(pair[0].key, pair[1].key)
    for item in survey.items:
        for neighbour in _neighbours(survey, item):
            groups.join(item.key, neighbour.key)
    return groups


def _neighbours(survey: Survey, item: Item) -> list[Item]:
    bridge = survey.bridge_of(item)
    parent = survey.parent(item) if _shares_its_parent(item) else None
    bonds = [each for each in survey.collectors.get(item.key, []) if each.kind == "bond"]
    return [each for each in (bridge, parent, *bonds) if each]


def _shares_its_parent(item: Item) -> bool:
    return item.row is not None and item.row.hears_parent(item.link)
