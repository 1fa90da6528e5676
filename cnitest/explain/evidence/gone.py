"""What the topology declares and is no longer there: links, and what went with one that is down: its addresses,
routes and neighbours."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping

from cnitest.explain.evidence.loss import Loss
from cnitest.explain.evidence.wiring import LinkAt, shortest
from cnitest.topology.building.steps import AddAddress, AddLink, AddNeighbour, AddRoute, SetLink
from cnitest.topology.words.ip_words import is_ipv6


def commands(loss: Loss, at: LinkAt, *, six: bool | None = False) -> tuple[str, ...]:
    """The commands for the addresses, routes and neighbours that went with a link: those of the packet's family, or
    with ``six=None`` of both, as what a tunnel carries may have another."""
    there = {row.address for row in loss.state(loss.wiring.places[at.place]).addresses if row.link == at.link}
    both = six is None
    lost = [step for step in addresses(loss, at, both=both) if step.address not in there]
    return (
        *(f"{_command(step)}{' nodad' if ':' in step.address else ''}" for step in lost),
        *map(_command, routes(loss, at, both=both)),
        *map(_command, _neighbours(loss, at, both=both)),
    )


def neighbour(loss: Loss, at: LinkAt, address: str) -> str:
    """The command for the entry of a neighbour that the topology gives to a link, and that is gone; else empty."""
    steps = _neighbours(loss, at, both=True)
    return next((_command(step) for step in steps if step.entry.to == address), "")


def _neighbours(loss: Loss, at: LinkAt, *, both: bool) -> Iterator[AddNeighbour]:
    """The entries that the topology gives to a link, and that are gone."""
    there = {(row.ip, row.mac) for row in loss.wiring.places[at.place].neighbours if row.link == at.link}
    steps = (step for step in loss.place.lab.plan.steps if isinstance(step, AddNeighbour))
    for step in steps:
        ours = (step.place, step.entry.link) == at and not step.entry.proxy
        if ours and (step.entry.to, step.entry.mac) not in there and (both or (":" in step.entry.to) == loss.six):
            yield step


def _command(step: AddAddress | AddRoute | AddNeighbour) -> str:
    return str(step).partition(": ")[2]


def addresses(loss: Loss, at: LinkAt, *, both: bool = False) -> list[AddAddress]:
    """The addresses that the topology gives to a link, of the packet's family or of both."""
    steps = [step for step in loss.place.lab.plan.steps if isinstance(step, AddAddress)]
    return [
        step for step in steps if (step.place, step.link.name) == at and (both or (":" in step.address) == loss.six)
    ]


def routes(loss: Loss, at: LinkAt, *, both: bool = False) -> Iterator[AddRoute]:
    """The routes that the topology gives to the link's place by it, of the packet's family or of both."""
    networks = [ipaddress.ip_interface(step.address).network for step in addresses(loss, at, both=both)]
    steps = [step for step in loss.place.lab.plan.steps if isinstance(step, AddRoute) and step.place == at.place]
    for step in steps:
        via = (step.route.via or "").removeprefix("inet6 ")
        through = any(via and ipaddress.ip_address(via) in network for network in networks)
        if through or (step.route.link == at.link and (both or is_ipv6(step.route) == loss.six)):
            yield step


def prefix(step: AddRoute) -> str:
    """Where a route leads to, as a prefix."""
    if step.route.to != "default":
        return step.route.to
    return "::/0" if is_ipv6(step.route) else "0.0.0.0/0"


def made_by(loss: Loss, at: LinkAt) -> AddLink | None:
    """The step that made a link as the topology has it, from either end of a pair; None of a link that it lacks."""
    for step in loss.place.lab.plan.steps:
        if isinstance(step, AddLink) and at in _ends(step):
            return step
    return None


def way(loss: Loss, start: LinkAt, end: LinkAt) -> tuple[LinkAt, ...]:
    """The shortest way between two links over the wires and bridges that the topology has; empty without one."""
    return shortest(loss.once(_declared_wires), start).get(end, ())


def _declared_wires(loss: Loss) -> Mapping[LinkAt, list[LinkAt]]:
    steps = [step for step in loss.place.lab.plan.steps if isinstance(step, AddLink | SetLink)]
    made = [step for step in steps if isinstance(step, AddLink)]
    handles = [handle for step in made for handle in (step.link, step.peer) if handle]
    names = {(handle.place, handle.ifindex): LinkAt(handle.place, handle.name) for handle in handles}
    pairs = [(LinkAt(step.place, step.link.name), names.get((step.place, step.master or 0))) for step in steps]
    for step in made:
        others = [LinkAt(other.place, other.name) for other in (step.peer, step.parent) if other]
        pairs += [(LinkAt(step.link.place, step.link.name), other) for other in others]
    found: dict[LinkAt, list[LinkAt]] = {}
    for one, other in pairs:
        if other:
            found.setdefault(one, []).append(other)
            found.setdefault(other, []).append(one)
    return found


def _ends(step: AddLink) -> list[LinkAt]:
    return [LinkAt(handle.place, handle.name) for handle in (step.link, step.peer) if handle]
