"""The route that a place's kernel takes, asked of the kernel itself."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass

from cnitest.errors import KernelError
from cnitest.kernel.rows import route_rows
from cnitest.kernel.rows.records import Link, Route
from cnitest.kernel.rtnetlink import rtnl
from cnitest.lab.place import Place


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
