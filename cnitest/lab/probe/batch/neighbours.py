"""Leaves no more neighbours behind than there were: the kernel has room for so many in all namespaces together."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from cnitest.errors import KernelError
from cnitest.kernel.rtnetlink import rtnl
from cnitest.kernel.rtnetlink.neighbours import NeighbourEntry, delete, learned

if TYPE_CHECKING:
    from cnitest.lab.place import Place


class NeighbourTables:
    """The neighbours that places had before probes brought more."""

    def __init__(self, places: Iterable[Place]) -> None:
        self._before = {place: _learned(place) for place in places}

    def restore(self, places: Iterable[Place]) -> None:
        """Delete what has come by itself since."""
        for place in places:
            new = _learned(place) - self._before.get(place, set())
            with contextlib.suppress(KernelError):  # one may go by itself meanwhile
                place.namespace.netlink.batch([delete(entry) for entry in new])


def _learned(place: Place) -> set[NeighbourEntry]:
    return learned(place.namespace.netlink.dump(rtnl.dump_neighbours()))
