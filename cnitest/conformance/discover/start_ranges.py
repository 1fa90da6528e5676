"""Ranges of an IPAM section from which no addresses can be given: those that overlap, mix families, or are empty."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from cnitest.topology.words.address import Prefix, ip, prefix


class _Range(NamedTuple):
    """Addresses from ``first`` to ``last``, as numbers, of the range at ``path``; the gateway is given to nobody."""

    path: str
    family: int
    first: int
    last: int
    gateway: int

    def __str__(self) -> str:
        ends = (
            Prefix(self.family, value, 32 if self.family == 4 else 128).address for value in (self.first, self.last)
        )
        return f"{self.path} ({' to '.join(ends)})"


def faults(section: Mapping[str, Any], *, more: bool = False) -> Iterator[str]:
    """What is wrong with the ranges of a section among each other; ``more`` ranges may come from a runtime.

    What is malformed is left to others.
    """
    alone = [section] if "subnet" in section else []
    listed = section.get("ranges")
    sets: list[tuple[str, Sequence[Any]]] = [("ipam", alone)] if alone else []
    if isinstance(listed, (list, tuple)):
        each = enumerate(listed)
        sets += [(f"ipam.ranges[{number}]", found) for number, found in each if isinstance(found, (list, tuple))]
    if not sets and not more and not listed:
        yield "ipam has neither 'subnet' nor 'ranges': there is no range to give addresses from"
    for path, found in sets:
        if not found:
            yield f"{path} is empty: a list of ranges has one at least"
    ranges = [_read(path, found) for path, found in sets]
    for own in ranges:
        yield from _mixed(own)
        yield from (f"{one}: its only address is the gateway's" for one in own if one.first == one.last == one.gateway)
    every = [one for own in ranges for one in own]
    for one, other in combinations(every, 2):
        if one.family == other.family and one.first <= other.last and other.first <= one.last:
            yield f"{one} and {other} overlap: an address may be in one range only"


def _mixed(own: Sequence[_Range]) -> Iterator[str]:
    if len({one.family for one in own}) > 1:
        where = own[0].path.rpartition("[")[0]
        yield f"{where} has IPv4 and IPv6: each family has a list of its own, as in [[{{IPv4}}], [{{IPv6}}]]"


def _read(path: str, found: Sequence[Any]) -> list[_Range]:
    paths = [path if path == "ipam" else f"{path}[{number}]" for number in range(len(found))]
    made = (_range(where, one) for where, one in zip(paths, found, strict=True) if isinstance(one, Mapping))
    return [one for one in made if one is not None]


def _range(path: str, one: Mapping[str, Any]) -> _Range | None:
    text = one.get("subnet")
    subnet = prefix(text) if isinstance(text, str) else None
    if subnet is None or subnet.bits - subnet.length < 2:
        return None
    lowest = subnet.network.value
    highest = lowest + (1 << subnet.bits - subnet.length) - 1
    first = _address(one.get("rangeStart"), subnet.family, lowest + 1)
    last = _address(one.get("rangeEnd"), subnet.family, highest - (subnet.family == 4))
    return _Range(path, subnet.family, first, last, _address(one.get("gateway"), subnet.family, lowest + 1))


def _address(text: Any, family: int, otherwise: int) -> int:
    found = ip(text) if isinstance(text, str) else None
    return found.value if found and found.family == family else otherwise
