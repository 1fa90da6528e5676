"""A link of a container that another one, of another kind, takes the place of: name, MAC, MTU, addresses, routes."""

from __future__ import annotations

from collections.abc import Iterator

from cnitest.conformance.bench.bench import Bench
from cnitest.kernel.rows.records import Address, Link, Route
from cnitest.lab.place import Place
from cnitest.lab.snapshot import words
from cnitest.lab.snapshot.state import State

_ASIDE, _INNER, _OUTER = "cnitest-was0", "cnitest-in0", "cnitest-out0"
_LOCAL = 255


def take_place(bench: Bench, place: Place, link: Link, state: State) -> str:
    """Put a link of another kind, with a carrier, in the place of one; its kind. The first stays there under another
    name, so that its other end stays, too. ``state`` is the place as it was. Raises Undecided."""
    kind = "bridge" if link.kind != "bridge" else "veth"
    for argv in (*_aside(link), *_other(link, kind)):
        bench.run("ip", *argv, at=place)
    for address in state.addresses:
        if address.link == link.name and address.scope != "link" and not address.is_advertised:
            bench.run("ip", *_address(address), at=place)
    for route in state.routes:
        if route.link == link.name and route.protocol != "kernel" and route.table != _LOCAL:
            bench.run("ip", *_route(route), at=place)
    return kind


def _aside(link: Link) -> Iterator[tuple[str, ...]]:
    """A link without addresses, under another name; its routes go with that."""
    yield "link", "set", link.name, "down"
    yield "address", "flush", "dev", link.name
    yield "link", "set", link.name, "name", _ASIDE


def _other(link: Link, kind: str) -> Iterator[tuple[str, ...]]:
    """A link of a kind, up and with a carrier: a bridge has one by a port that is up."""
    name = ("link", "add", link.name, *(("mtu", str(link.mtu)) if link.mtu else ()))
    pair = ("type", "veth", "peer", "name", _OUTER)
    if kind == "bridge":
        yield *name, "address", link.mac, "type", "bridge"
        yield "link", "add", _INNER, *(("mtu", str(link.mtu)) if link.mtu else ()), *pair
        yield "link", "set", _INNER, "master", link.name, "up"
    else:
        yield *name, "address", link.mac, *pair
    yield "link", "set", _OUTER, "up"
    yield "link", "set", link.name, "up"


def _address(address: Address) -> tuple[str, ...]:
    family_only = ("nodad",) if ":" in address.address else ()
    peer = ("peer", address.peer) if address.peer else ()
    length = address.address if not peer else address.ip
    return ("address", "add", length, *peer, "dev", address.link, *family_only)


def _route(route: Route) -> tuple[str, ...]:
    onlink = ("onlink",) if route.via else ()
    source = ("src", route.source) if route.source else ()
    scope = ("scope", route.scope) if route.family == 4 and route.scope else ()
    return (f"-{route.family}", "route", "replace", *words.route_in_command(route).split(), *source, *scope, *onlink)
