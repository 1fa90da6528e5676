"""Links of the place itself that are down, and have taken their routes with them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.case import Case, NoRoute, Stage
from cnitest.topology.building.steps import AddAddress, AddRoute


@cause("l2.own-link-down", Stage.SOCKET_OUT, Stage.ROUTING)
def own_link_down(case: Case) -> Found | None:
    """The link to the next hop is down, and the kernel has dropped its routes with it."""
    wanted = case.packet.destination
    if not isinstance(case.route(wanted), NoRoute):
        return None
    for name in _down(case):
        lost = _lost(case, name)
        if not _leads_to(case, name, lost):
            continue
        return Found(
            "link down",
            f"{case.place.full_name}:{name} is down, and {case.place.full_name} has no route to {wanted} without it",
            hook="link",
            evidence=tuple(f"gone with it: {words}" for words in lost),
            remedy=" && ".join((f"ip link set {name} up", *lost)),
        )
    return None


def _down(case: Case) -> list[str]:
    return [name for name, link in case.links().items() if not link.up and link.kind != "loopback"]


def _leads_to(case: Case, link: str, lost: tuple[str, ...]) -> bool:
    """Whether the way to the destination was by a link: it is in a subnet of it, or a route of it that is gone led
    there; or no other link is up."""
    wanted = ipaddress.ip_address(case.packet.destination)
    if any(link.up and link.kind != "loopback" for link in case.links().values()):
        networks = [row.address for row in case.state().addresses if row.link == link]
        networks += [step.address for step in _addresses(case, link)]
        networks += [to for to in map(_prefix, _routes(case, link)) if to]
        return any(wanted in ipaddress.ip_interface(one).network for one in networks)
    return any(row.link == link for row in case.state().addresses) or bool(lost)


def _lost(case: Case, link: str) -> tuple[str, ...]:
    """The commands for the addresses and routes that the topology gives to a link and that are gone."""
    there = {(row.link, row.address) for row in case.state().addresses}
    addresses = [step for step in _addresses(case, link) if (link, step.address) not in there]
    return (
        *(f"{_command(step)}{' nodad' if ':' in step.address else ''}" for step in addresses),
        *map(_command, _routes(case, link)),
    )


def _command(step: AddAddress | AddRoute) -> str:
    return str(step).partition(": ")[2]


def _addresses(case: Case, link: str) -> list[AddAddress]:
    """The addresses that the topology gives to a link, of the packet's family."""
    steps = [step for step in case.place.lab.plan.steps if isinstance(step, AddAddress)]
    here = (case.place.full_name, link)
    return [step for step in steps if (step.place, step.link.name) == here and (":" in step.address) == case.six]


def _routes(case: Case, link: str) -> Iterator[AddRoute]:
    """The routes that the topology gives to the place by a link, of the packet's family."""
    networks = [ipaddress.ip_interface(step.address).network for step in _addresses(case, link)]
    for step in case.place.lab.plan.steps:
        if isinstance(step, AddRoute) and step.place == case.place.full_name:
            via = (step.route.via or "").removeprefix("inet6 ")
            through = bool(via) and any(ipaddress.ip_address(via) in network for network in networks)
            named = step.route.link == link and (":" in f"{via}{step.route.to}" or step.route.family == 6) == case.six
            if through or named:
                yield step


def _prefix(step: AddRoute) -> str:
    """Where a route leads to, as a prefix."""
    if step.route.to != "default":
        return step.route.to
    return "::/0" if ":" in f"{step.route.via}" or step.route.family == 6 else "0.0.0.0/0"
