"""The route that a place's kernel takes, asked of the kernel itself."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cnitest.errors import KernelError
from cnitest.kernel.rows import route_rows
from cnitest.kernel.rows.records import Link, Neighbour, Route
from cnitest.kernel.rtnetlink import rtnl
from cnitest.lab.place import Place

#: The states of a neighbour whose MAC is asked for, or will be, without an answer so far.
IN_VAIN = ("incomplete", "failed", "none")


@dataclass(frozen=True)
class NoRoute:
    """What the kernel says instead of a route."""

    number: int

    @property
    def name(self) -> str:
        """The name of the error: ``ENETUNREACH``."""
        return errno.errorcode.get(self.number, str(self.number))


def route_of(
    place: Place,
    links: Mapping[str, Link],
    destination: str,
    *,
    source: str,
    iif: str,
    mark: int,
    tos: int,
    ports: tuple[int, int, int] | None,
) -> Route | NoRoute:
    """The route of a place with these ``links``; the rest is as `Loss.route` has it."""
    request = rtnl.get_route(
        destination,
        source=source or None,
        iif=links[iif].ifindex if iif in links else 0,
        mark=mark,
        tos=tos,
        ports=ports,
        what=f"a route to {destination}",
    )
    try:
        (row,) = place.namespace.netlink.request(request)
    except KernelError as error:
        return NoRoute(error.errno)
    return route_rows.route(row, {link.ifindex: link.name for link in links.values()})


def by_unanswered(route: Route, hops: Iterable[str], neighbours: Iterable[Neighbour]) -> Route:
    """A route by that one of several next hops (``via 10.1.0.9 dev eth0 weight 1``) that the kernel asks for in vain.

    Which of them a flow takes hangs on ports that nobody knows of a packet that never left.
    """
    in_vain = {(row.ip, row.link) for row in neighbours if row.state in IN_VAIN}
    for hop in hops:
        words = hop.split()
        named = dict(zip(words[::2], words[1::2], strict=False))
        if (found := (named.get("via", ""), named.get("dev", ""))) in in_vain:
            return route._replace(via=found[0], link=found[1])
    return route
