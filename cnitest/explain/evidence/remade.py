"""The commands that make a link of a VXLAN anew with another identifier or port, and all that goes with it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping

from cnitest.explain.evidence import gone
from cnitest.explain.evidence.ip import carriers
from cnitest.explain.evidence.loss import Loss
from cnitest.explain.evidence.wiring import LinkAt
from cnitest.kernel.rows.records import Link
from cnitest.lab.snapshot import words
from cnitest.lab.snapshot.state import State
from cnitest.topology.building.steps import AddForwarding
from cnitest.topology.model import Route
from cnitest.topology.words.ip_words import is_ipv6

_BY_KERNEL = ("kernel", "ra")
_LOCAL = 255


def vxlan(loss: Loss, at: LinkAt, number: int, port: int) -> str:
    """The command line that deletes a VXLAN and makes it again with an identifier and a port: its MAC, MTU, bridge,
    addresses, routes, neighbours and forwarding entries are those that it has, and those that were declared."""
    link = loss.wiring.links[at]
    detail, parent = dict(link.detail), loss.wiring.parent(at)
    options = [f"id {number} dstport {port}", "learning" if detail.get("learning") else "nolearning"]
    options += [f"{word} {address}" for word, address in _ends(detail)]
    options += [f"dev {parent.link}"] if parent else []
    master = f" master {link.master}" if link.master else ""
    return " && ".join(
        dict.fromkeys(
            (
                f"ip link del {link.name}",
                f"ip link add {link.name} type {link.kind} {' '.join(options)}",
                f"ip link set {link.name} address {link.mac} mtu {link.mtu}{master} up",
                *_present(loss, at),
                *_declared(loss, at),
            )
        )
    )


def _ends(detail: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """The addresses that it sends from and to, with ip(8)'s words."""
    for name in ("local", "local6", "remote", "remote6", "group", "group6"):
        address = str(detail.get(name) or "")
        if address and not ipaddress.ip_address(address).is_unspecified:
            far = "group" if ipaddress.ip_address(address).is_multicast else "remote"
            yield "local" if name.startswith("local") else far, address


def _present(loss: Loss, at: LinkAt) -> Iterator[str]:
    """The commands for what the link has now, and loses when it is deleted."""
    state = loss.state(loss.wiring.places[at.place])
    for row in state.addresses:
        if row.link == at.link and row.scope == "global":
            yield f"ip address replace {row.address} dev {at.link}{' nodad' if ':' in row.ip else ''}"
    yield from _present_routes(state, at)
    yield from _present_neighbours(loss, at)
    yield from _present_fdb(loss, state, at)


def _present_routes(state: State, at: LinkAt) -> Iterator[str]:
    routes = (one for one in state.routes if one.link == at.link and one.protocol not in _BY_KERNEL)
    for one in sorted(routes, key=lambda one: bool(one.via)):
        if one.table != _LOCAL:
            source = f" src {one.source}" if one.source else ""
            family, onlink = "-6 " if one.family == 6 else "", " onlink" if "onlink" in one.flags else ""
            yield f"ip {family}route replace {words.route_key(one)}{source}{onlink}"


def _present_neighbours(loss: Loss, at: LinkAt) -> Iterator[str]:
    for known in loss.wiring.places[at.place].neighbours:
        if known.link == at.link and known.state == "permanent" and known.mac:
            yield f"ip neigh replace {known.ip} lladdr {known.mac} dev {at.link}"


def _present_fdb(loss: Loss, state: State, at: LinkAt) -> Iterator[str]:
    remotes = _remotes(loss.wiring.links[at])
    for entry in state.fdb:
        default = entry.mac == carriers.EVERYBODY and entry.dst in remotes
        if entry.link == at.link and entry.dst and entry.state == "permanent" and not default:
            yield f"bridge fdb append {entry.mac} dev {at.link} dst {entry.dst}"


def _declared(loss: Loss, at: LinkAt) -> Iterator[str]:
    """The commands for what was declared for the link, and is not there."""
    state = loss.state(loss.wiring.places[at.place])
    taken = {(route.to.partition("/")[0], route.family) for route in state.routes if route.link == at.link}
    routes = (
        str(step).partition(": ")[2] for step in gone.routes(loss, at, both=True) if _key(step.route) not in taken
    )
    added = gone.commands(loss, at, six=None)
    yield from (one for one in added if " route " not in one)
    yield from routes
    known = {entry.mac for entry in state.fdb if entry.link == at.link}
    for step in loss.place.lab.plan.steps:
        if isinstance(step, AddForwarding) and (step.place, step.entry.link) == at and step.entry.mac not in known:
            yield str(step).partition(": ")[2]


def _key(route: Route) -> tuple[str, int]:
    return route.to.partition("/")[0], 6 if is_ipv6(route) else 4


def _remotes(link: Link) -> set[str]:
    return {address for word, address in _ends(dict(link.detail)) if word != "local"}
