"""Rules about what a link stands on and what it belongs to."""

from __future__ import annotations

from collections.abc import Iterator

from cnitest.topology import link_kinds
from cnitest.topology.model import Vlan
from cnitest.topology.problem import Problem
from cnitest.topology.segments import Groups
from cnitest.topology.survey import Item, Survey
from cnitest.typos import did_you_mean

TABLES = range(1, 1 << 32)


def numbers(survey: Survey) -> Iterator[Problem]:
    """VLAN ids, VRF tables and what else a kind has numbers for are in range."""
    for item in survey.declared:
        for name, (least, most, what) in link_kinds.of(item.link).limits.items():
            if (value := getattr(item.link, name)) not in range(least, most + 1):
                wrong = f"is not {what}" if what else "is out of range"
                yield Problem(f"{item.path}.{name}", f"{value} {wrong} ({least}-{most})")


def known_parents(survey: Survey) -> Iterator[Problem]:
    """What a macvlan, ipvlan or vlan stands on exists."""
    for item in survey.declared:
        reference = getattr(item.link, "parent", None)
        parent = survey.parent(item)
        if reference is not None and (parent is None or parent.key == item.key):
            yield _unknown_parent(survey, item, reference)


def _unknown_parent(survey: Survey, item: Item, reference: str) -> Problem:
    path = f"{item.path}.parent"
    where, colon, name = reference.rpartition(":")
    place = where if colon else item.place
    if place not in survey.spots:
        hint = did_you_mean(place, survey.spots)
        return Problem(path, f"unknown place {place!r} in {reference!r}{hint}", needs=survey.place_names(place))
    hint = _parent_hint(survey, item, place, name)
    if place == item.place and name == item.name:
        return Problem(path, f"{name!r} cannot be its own parent{hint}")
    return Problem(path, f"unknown link {name!r} in {place!r}{hint}", needs=survey.names_at(place, name))


def _parent_hint(survey: Survey, item: Item, place: str, name: str) -> str:
    host = survey.spots[item.place].host
    if place == item.place != host and survey.resolve(host, name):
        return f". Did you mean {f'{host}:{name}'!r}?"
    others = [known for known in survey.links[place] if (place, known) != item.key]
    return did_you_mean(name, others)


def known_masters(survey: Survey) -> Iterator[Problem]:
    """A port names a bridge of its own place, and a bond or VRF lists links of its own place."""
    for item in survey.items:
        if item.link.bridge is not None:
            yield from _bridge(survey, item, item.link.bridge)
        for number, port in enumerate(getattr(item.link, "ports", ())):
            yield from _port(survey, item, f"{item.path}.ports[{number}]", port)


def _bridge(survey: Survey, item: Item, name: str) -> Iterator[Problem]:
    path = f"{item.path}.bridge"
    found = survey.links.get(item.place, {}).get(name)
    if survey.is_switch(item.place):
        yield Problem(path, f"at the switch {item.place!r} each end is a port already; leave 'bridge' out")
    elif "bridge" not in link_kinds.of(item.link).masters:
        yield Problem(path, f"a {item.kind} cannot be a bridge's port")
    elif found is None and item.place in survey.spots:
        yield _unknown_bridge(survey, item, name)
    elif found and found.kind != "bridge":
        yield Problem(path, f"{name!r} is a {found.kind}, not a bridge")


def _unknown_bridge(survey: Survey, item: Item, name: str) -> Problem:
    bridges = [known for known, link in survey.links[item.place].items() if link.kind == "bridge"]
    _, colon, bare = name.rpartition(":")
    own = bare if colon and bare in bridges else None
    hint = f". Did you mean {own!r}?" if own else did_you_mean(name, bridges)
    needs = (f"{survey.spots[item.place].path}.bridges",)
    return Problem(f"{item.path}.bridge", f"unknown bridge {name!r} in {item.place!r}{hint}", needs)


def _port(survey: Survey, owner: Item, path: str, name: str) -> Iterator[Problem]:
    found = survey.links[owner.place].get(name)
    if found is None:
        known = [each for each in survey.links[owner.place] if each != owner.name]
        message = f"unknown link {name!r} in {owner.place!r}{did_you_mean(name, known)}"
        yield Problem(path, message, survey.names_at(owner.place, name))
    elif found.key == owner.key:
        yield Problem(path, f"{name!r} cannot be its own port")
    elif found.row and owner.kind not in found.row.masters:
        yield Problem(path, f"a {found.kind} cannot be the port of a {owner.kind}")


def one_master(survey: Survey) -> Iterator[Problem]:
    """A link is the port of one bridge, bond or VRF at most, and named once there."""
    for key, owners in survey.collectors.items():
        item = survey.links[key[0]].get(key[1])
        bridge = survey.bridge_of(item) if item else None
        first = bridge or owners[0]
        for owner in owners if bridge else owners[1:]:
            at = len(owner.link.ports) - 1 - owner.link.ports[::-1].index(key[1])  # type: ignore[attr-defined]
            yield Problem(f"{owner.path}.ports[{at}]", f"{key[1]!r} is a port of {first.name!r} already: {first.path}")


def port_flags(survey: Survey) -> Iterator[Problem]:
    """Only a bridge's port can be hairpin or isolated."""
    for item in survey.items:
        if item.link.bridge is None and not survey.is_switch(item.place):
            for flag in ("hairpin", "isolated"):
                if getattr(item.link, flag):
                    needs = (f"{item.path}.bridge", f"{item.path}.at", *survey.place_names(item.place))
                    yield Problem(
                        f"{item.path}.{flag}", f"only a bridge's port can be {flag}; say which 'bridge'", needs
                    )


def switch_ends(survey: Survey) -> Iterator[Problem]:
    """An end at a switch is a port and has no address."""
    for pair in survey.pairs:
        for end in pair:
            if end.link.addresses and survey.is_switch(end.place):
                yield Problem(f"{end.path}.addresses", "a switch's port has no address; it belongs to the other end")


def no_circles(survey: Survey) -> Iterator[Problem]:
    """No link stands on itself through its parents and ports."""
    settled: set[tuple[str, str]] = set()
    for item in survey.declared:
        circle = _circle(survey, item, [], settled)
        if circle:
            words = " on ".join(repr(each.name) for each in circle)
            field = "parent" if hasattr(circle[0].link, "parent") else "ports"
            yield Problem(f"{circle[0].path}.{field}", f"stands on itself: {words}")


def _circle(survey: Survey, item: Item, path: list[Item], settled: set[tuple[str, str]]) -> list[Item]:
    if item in path:
        return [*path[path.index(item) :], item]
    if item.key in settled:
        return []
    settled.add(item.key)
    for below in _lower(survey, item):
        if below.key != item.key and (circle := _circle(survey, below, [*path, item], settled)):
            return circle
    return []


def _lower(survey: Survey, item: Item) -> list[Item]:
    """The links that ``item`` cannot be without: its parent, a bond's or VRF's ports, a bridge's ports."""
    parent = survey.parent(item)
    ports = [survey.links[item.place].get(port) for port in getattr(item.link, "ports", ())]
    bridged = _stacked_ports(survey, item) if item.kind == "bridge" else []
    return [each for each in (parent, *ports, *bridged) if each]


def _stacked_ports(survey: Survey, bridge: Item) -> list[Item]:
    here = survey.links.get(bridge.place, {}).values()
    return [each for each in here if each.link.bridge == bridge.name and each.kind != "veth"]


def children(survey: Survey) -> Iterator[Problem]:
    """The macvlans and ipvlans of one parent get along, and the parent has no other owner."""
    families: dict[tuple[str, str], list[Item]] = {}
    for item in survey.declared:
        if link_kinds.of(item.link).rx_handler and (root := _root(survey, item)):
            families.setdefault(root.key, []).append(item)
    for key, family in families.items():
        yield from _family(survey, survey.links[key[0]][key[1]], family)


def _root(survey: Survey, item: Item) -> Item | None:
    """The link under a macvlan or ipvlan: a child of a child stands on the same one, as the kernel has it."""
    seen = {item.key}
    here = survey.parent(item)
    while here and here.row and here.row.rx_handler and here.key not in seen:
        seen.add(here.key)
        here = survey.parent(here)
    return here if here and here.key not in seen else None


def _family(survey: Survey, parent: Item, family: list[Item]) -> Iterator[Problem]:
    first = family[0]
    owner = survey.bridge_of(parent) or next(
        (each for each in survey.collectors.get(parent.key, []) if each.kind == "bond"), None
    )
    for item in family:
        if owner:
            busy = f"{parent.name!r} is a port of {owner.name!r}; the kernel lets it have no {item.kind} as well"
            yield Problem(f"{item.path}.parent", busy)
    for item in family[1:]:
        if fault := _disagreement(parent, first, item):
            yield fault


def _disagreement(parent: Item, first: Item, item: Item) -> Problem | None:
    modes = [getattr(each.link, "mode", "") for each in (first, item)]
    if item.kind != first.kind:
        message = f"{parent.name!r} has the {first.kind} {first.name!r} ({first.path}); no parent has both kinds"
        return Problem(f"{item.path}.parent", message)
    if "passthru" in modes:
        return Problem(
            f"{item.path}.parent", f"{parent.name!r} has {first.name!r} ({first.path}); passthru allows one child only"
        )
    if item.kind == "ipvlan" and modes[0] != modes[1]:
        needs = (f"{first.path}.mode", f"{item.path}.mode")
        message = f"{first.name!r} ({first.path}) has mode {modes[0]!r}; the ipvlans of one parent share their mode"
        return Problem(f"{item.path}.mode", message, needs)
    return None


def same_vlan_once(survey: Survey) -> Iterator[Problem]:
    """A parent has a VLAN id once."""
    first: dict[tuple[object, int], Item] = {}
    for item in survey.declared:
        parent = survey.parent(item)
        if isinstance(item.link, Vlan) and parent:
            holder = first.setdefault((parent.key, item.link.id), item)
            if holder is not item:
                yield Problem(f"{item.path}.id", f"{holder.path} has VLAN {item.link.id} of {parent.name!r} already")


def no_loops(survey: Survey) -> Iterator[Problem]:
    """Bridges without STP are wired as a tree; a broadcast would circle for ever otherwise."""
    joined, quiet, closing = Groups(), set[tuple[str, str]](), []
    for pair in survey.pairs:
        bridges = [survey.bridge_of(end) for end in pair if end.link.state == "up"]
        first, second = (*bridges, None, None)[:2]
        if first and second and len(pair) == 2 and not joined.join(first.key, second.key):
            closing.append((pair[1], first))
    for item in survey.links.values():
        quiet |= {joined.find(each.key) for each in item.values() if each.kind == "bridge" and _runs_stp(survey, each)}
    for end, bridge in closing:
        if joined.find(bridge.key) not in quiet:
            path = end.path.rpartition(".")[0]
            yield Problem(
                path,
                f"closes a loop through {_name(survey, bridge)} in which broadcasts circle for ever; "
                "take one wire out, or set 'stp: true'",
            )


def _runs_stp(survey: Survey, bridge: Item) -> bool:
    switch = survey.topology.switches.get(bridge.place) if survey.is_switch(bridge.place) else None
    return switch.stp if switch else bool(getattr(bridge.link, "stp", False))


def _name(survey: Survey, bridge: Item) -> str:
    return repr(bridge.place if survey.is_switch(bridge.place) else f"{bridge.place}:{bridge.name}")


RULES = (
    numbers,
    known_parents,
    known_masters,
    one_master,
    port_flags,
    switch_ends,
    no_circles,
    children,
    same_vlan_once,
    no_loops,
)
