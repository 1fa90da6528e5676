"""Rules about addresses, MACs and MTUs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from cnitest.topology.problem import Problem, child
from cnitest.topology.segments import segments
from cnitest.topology.survey import Item, Owned, Survey
from cnitest.topology.words.address import Prefix, expected_prefix, ip, mac_fault, prefix, suggest_prefix

_MTU = range(68, 65536)
_SMALLEST_IPV6_MTU = 1280
_ETHERNET_MTU = 1500
_LOOPBACK = ("127.0.0.1/8", "::1/128")


def well_formed(survey: Survey) -> Iterator[Problem]:
    """An address is one that a link can have, with its prefix."""
    for spot in survey.spots.values():
        if spot.body:
            yield from _addresses(f"{spot.path}.loopback", spot.body.loopback, loopback=True)
    for item in survey.items:
        yield from _addresses(f"{item.path}.addresses", item.link.addresses)


def _addresses(path: str, addresses: Sequence[str], *, loopback: bool = False) -> Iterator[Problem]:
    for number, text in enumerate(addresses):
        if fault := address_fault(text, loopback=loopback):
            yield Problem(f"{path}[{number}]", fault)


def address_fault(text: str, *, loopback: bool = False) -> str | None:
    """Why ``text`` cannot be given to a link (``lo`` with ``loopback``), or None when it can."""
    found = prefix(text)
    if found is None:
        return f"{text!r} is not {expected_prefix(text)}{_suggest(text, loopback)}"
    if loopback and str(found) in _LOOPBACK:
        return f"{text!r} is on every loopback by itself; leave it out"
    if found.is_multicast:
        return f"{text!r} is a multicast address; no link can have it"
    if not found.value:
        return f"{text!r} is the unspecified address; no link can have it"
    return _place_in_subnet(text, found)


def _suggest(text: str, loopback: bool) -> str:
    bare = ip(text)
    return f". Did you mean '{bare}'?" if bare and loopback else suggest_prefix(text, host=True)


def _place_in_subnet(text: str, found: Prefix) -> str | None:
    spare = found.bits - found.length
    if spare < 2:
        return None
    first, place = found.network.value, found.value & (1 << spare) - 1
    if place == 0:
        better = found._replace(value=first + 1)
        return f"{text!r} is the subnet itself, not an address in it. Did you mean '{better}'?"
    if place == (1 << spare) - 1 and found.family == 4:
        better = found._replace(value=first + 1)
        return f"{text!r} is the subnet's broadcast address. Did you mean '{better}'?"
    return None


def once_a_link(survey: Survey) -> Iterator[Problem]:
    """A link has an address once; further ones of its subnet are fine, as for ip(8) (IPv4 calls them secondary)."""
    on_link: dict[tuple[str, str], list[Owned]] = {}
    for owned in survey.owned:
        before = on_link.setdefault((owned.item.path, owned.item.name), [])
        first = next((other for other in before if _same(other, owned)), None)
        if first:
            yield Problem(owned.path, f"'{owned.prefix.address}' is on this link already: {first.path}")
        before.append(owned)


def _same(first: Owned, second: Owned) -> bool:
    return first.prefix.family == second.prefix.family and first.prefix.value == second.prefix.value


def one_link(survey: Survey) -> Iterator[Problem]:
    """A place has an address on one link only, link-local and /32 or /128 ones apart."""
    for everyone in survey.owned_by_place.values():
        first: dict[tuple[int, int], Owned] = {}
        for owned in everyone:
            holder = first.setdefault((owned.prefix.family, owned.prefix.value), owned)
            harmless = owned.prefix.is_link_local or (owned.prefix.is_single and holder.prefix.is_single)
            if (holder.item.path, holder.item.name) != (owned.item.path, owned.item.name) and not harmless:
                whose = f"{holder.item.name!r} of the same place"
                message = f"'{owned.prefix.address}' is on {whose} already: {holder.path}. On purpose,"
                yield Problem(owned.path, f"{message} give it /{owned.prefix.bits} on both, or add it in 'setup'")


def one_owner(survey: Survey) -> Iterator[Problem]:
    """Two places on one segment do not own the same address."""
    wires = segments(survey)
    owners: dict[tuple[int, int, object], Owned] = {}
    for owned in survey.owned:
        if owned.item.kind == "loopback" or owned.item.link.dad:
            continue
        key = (owned.prefix.family, owned.prefix.value, wires.find(owned.item.key))
        first = owners.setdefault(key, owned)
        if first.item.place != owned.item.place:
            whose = f"{first.item.name!r} of {first.item.place!r}"
            message = f"'{owned.prefix.address}' belongs to {whose} on the same segment: {first.path}."
            yield Problem(owned.path, f"{message} For a duplicate on purpose, add it in 'setup' (ip address add)")


def macs(survey: Survey) -> Iterator[Problem]:
    """A MAC is unicast, and differs from that of the link's peer or parent."""
    for item in survey.items:
        if item.link.mac is not None:
            yield from _mac(survey, item, item.link.mac)
    for pair in survey.pairs:
        known = [end.link.mac.lower() for end in pair if end.link.mac]
        if len(known) == 2 and known[0] == known[1]:
            yield Problem(f"{pair[1].path}.mac", f"{pair[1].link.mac!r} is the MAC of the other end too")


def _mac(survey: Survey, item: Item, mac: str) -> Iterator[Problem]:
    path = f"{item.path}.mac"
    parent = survey.parent(item)
    if fault := mac_fault(mac):
        yield Problem(path, fault)
    elif item.row and item.row.parents_mac:
        yield Problem(path, f"an {item.kind} has its parent's MAC; leave it out")
    elif item.kind == "macvlan" and parent and parent.link.mac and parent.link.mac.lower() == mac.lower():
        yield Problem(path, f"{mac!r} is the parent's MAC too; each macvlan needs its own")


def mtus(survey: Survey) -> Iterator[Problem]:
    """An MTU is in range, large enough for the link's IPv6 and not larger than the parent's."""
    for name, switch in survey.topology.switches.items():
        yield from _mtu_range(child("switches", name), switch.mtu)
    for item in survey.items:
        if item.link.mtu is not None:
            yield from _mtu_range(item.path, item.link.mtu)
            yield from chain(_mtu_for_ipv6(item, item.link.mtu), _mtu_of_child(survey, item, item.link.mtu))


def _mtu_range(path: str, mtu: int | None) -> Iterator[Problem]:
    if mtu is not None and mtu not in _MTU:
        yield Problem(f"{path}.mtu", f"{mtu} is not an MTU ({_MTU.start}-{_MTU.stop - 1})")


def _mtu_for_ipv6(item: Item, mtu: int) -> Iterator[Problem]:
    if _MTU.start <= mtu < _SMALLEST_IPV6_MTU and any(":" in address for address in item.link.addresses):
        yield Problem(
            f"{item.path}.mtu", f"{mtu} is too small for the link's IPv6 addresses (at least {_SMALLEST_IPV6_MTU})"
        )


def _mtu_of_child(survey: Survey, item: Item, mtu: int) -> Iterator[Problem]:
    parent = survey.parent(item)
    limit = mtu_of(survey, parent) if parent else mtu
    if parent and limit < mtu <= _MTU.stop - 1:
        path = f"{item.path}.mtu"
        yield Problem(
            path, f"{mtu} is more than the {limit} of its parent {parent.name!r}", needs=(f"{parent.path}.mtu",)
        )


def mtu_of(survey: Survey, item: Item) -> int:
    """The MTU a link has once built: its own, its switch's, its parent's, or Ethernet's 1500."""
    seen: set[tuple[str, str]] = set()
    here: Item | None = item
    while here and here.key not in seen:
        seen.add(here.key)
        switch = survey.topology.switches.get(here.place) if survey.is_switch(here.place) else None
        if known := here.link.mtu or (switch.mtu if switch else None):
            return known
        here = survey.parent(here)
    return _ETHERNET_MTU


RULES = (well_formed, once_a_link, one_link, one_owner, macs, mtus)
