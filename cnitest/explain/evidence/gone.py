"""What the topology gives to a link, and what of it is gone while the link is down: addresses, routes, neighbours."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from cnitest.explain.evidence.loss import Loss
from cnitest.explain.evidence.wiring import LinkAt
from cnitest.topology.building.steps import AddAddress, AddNeighbour, AddRoute


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
        six = ":" in f"{via}{step.route.to}" or step.route.family == 6
        through = any(via and ipaddress.ip_address(via) in network for network in networks)
        if through or (step.route.link == at.link and (both or six == loss.six)):
            yield step


def prefix(step: AddRoute) -> str:
    """Where a route leads to, as a prefix."""
    if step.route.to != "default":
        return step.route.to
    return "::/0" if ":" in f"{step.route.via}" or step.route.family == 6 else "0.0.0.0/0"
