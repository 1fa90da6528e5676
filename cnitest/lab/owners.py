"""Which place of a lab has an address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cnitest.lab.place import Place
from cnitest.topology.building.plan import Plan
from cnitest.topology.building.steps import AddAddress


class Owners:
    """The owners of addresses as they were last seen; each is asked again before it is believed."""

    def __init__(self, plan: Plan) -> None:
        self._declared = _declared(plan)
        self._known: dict[tuple[str, str], Place] = {}

    def owner(self, address: str, near: Place, places: Sequence[Place]) -> Place | None:
        """The place of ``places`` that has an address; where several have it, the one nearest to ``near``. A loopback
        address is that of ``near`` alone, whether it has that now or not."""
        from cnitest.lab.snapshot import state as states

        if address.startswith("127.") or address == "::1":
            return near
        key = (address, near.full_name)
        known = self._known.get(key)
        if known and states.has_address(known.namespace, address):
            return known
        for place in self._by_nearness(address, near, places):
            if states.has_address(place.namespace, address):
                self._known[key] = place
                return place
        self._known.pop(key, None)
        return None

    def is_known(self, address: str, near: Place) -> bool:
        """Whether some place had an address when it was last asked for; asks nobody."""
        return (address, near.full_name) in self._known

    def forget(self, place: Place) -> None:
        """Forget a place that is gone."""
        self._known = {key: owner for key, owner in self._known.items() if owner is not place}

    def clear(self) -> None:
        """Forget all, since a place has changed its namespace."""
        self._known.clear()

    def _by_nearness(self, address: str, near: Place, places: Sequence[Place]) -> list[Place]:
        """The place itself, then its own host and that one's sandboxes, then the others.

        Of each group those first that were declared to have the address, which mostly saves asking the rest.
        """
        home = near.full_name.partition("/")[0]

        def distance(place: Place) -> tuple[int, bool]:
            declared = place.full_name in self._declared.get(address, ())
            if place is near:
                return 0, True
            return 1 if place.full_name.partition("/")[0] == home else 2, not declared

        return sorted(places, key=distance)


def _declared(plan: Plan) -> Mapping[str, set[str]]:
    """The places that a plan gives each address to."""
    found: dict[str, set[str]] = {}
    for step in plan.steps:
        if isinstance(step, AddAddress):
            found.setdefault(step.address.partition("/")[0], set()).add(step.place)
    return found
