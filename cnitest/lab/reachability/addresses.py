"""At which address each place is probed: the first global one of a family as ip(8) shows them, or the chosen one."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from cnitest.errors import UsageError
from cnitest.typos import did_you_mean

if TYPE_CHECKING:
    from cnitest.kernel.rows.records import Address
    from cnitest.lab.place import Place


class Addresses(NamedTuple):
    """The address of each place by family, and all places that have an address."""

    chosen: Mapping[tuple[str, int], str]
    owners: Mapping[str, tuple[str, ...]]

    def of(self, place: Place, family: int) -> str | None:
        """The address at which a place is probed, None when it has none of the family."""
        return self.chosen.get((place.full_name, family))


def addresses(places: Iterable[Place], everyone: Iterable[Place], wanted: Mapping[str, Sequence[str]]) -> Addresses:
    """The addresses of places, ``wanted`` ones (an address or a link, by full name) first.

    Raises UsageError for a wanted one that a place does not have.
    """
    rows = {place.full_name: place.addresses for place in everyone}
    owners: dict[str, list[str]] = {}
    for name, some in rows.items():
        for address in dict.fromkeys(each.ip for each in some if each.scope == "global"):
            owners.setdefault(address, []).append(name)
    chosen = {
        (place.full_name, family): found
        for place in places
        for family in (4, 6)
        if (found := _chosen(place, family, rows[place.full_name], wanted.get(place.full_name, ())))
    }
    return Addresses(chosen, {address: tuple(names) for address, names in owners.items()})


def _chosen(place: Place, family: int, rows: Sequence[Address], wanted: Sequence[str]) -> str:
    usable = [each for each in rows if each.scope == "global" and _family(each.ip) == family]
    for word in wanted:
        named = [each.ip for each in usable if word in (each.link, each.ip)]
        if named:
            return named[0]
        if not any(word in (each.link, each.ip) for each in rows):
            has = [*dict.fromkeys(name for each in rows if each.scope == "global" for name in (each.link, each.ip))]
            said = f"it has {', '.join(has) or 'none'}{did_you_mean(word, has)}"
            raise UsageError(f"addresses: {place.full_name} has no address or link {word!r} to be probed at; {said}")
    if any(word == each.link for word in wanted for each in rows):
        return ""  # another link is not what was named
    outside = [each.ip for each in usable if each.link != "lo"]
    return next(iter(outside or [each.ip for each in usable]), "")


def _family(address: str) -> int:
    return ipaddress.ip_address(address.partition("%")[0]).version
