"""An attachment that stands, for requirements that are only looked at."""

from __future__ import annotations

from cnitest.conformance.bench.bench import AddResult, Bench, Picture


class SharedAttachment:
    """A bench with an attachment on it, what was there before, and what there is since."""

    def __init__(self, bench: Bench, made: AddResult, before: Picture, after: Picture) -> None:
        self.bench = bench
        self.made = made
        self.before = before
        self.after = after
        self._second: AddResult | None = None

    def second(self) -> AddResult:
        """Another container's attachment to the same network, made when first asked for."""
        if self._second is None:
            self.bench.require_room(2)
            self._second = self.bench.attach(self.bench.target("c2"))
        return self._second


def attach_shared(bench: Bench) -> SharedAttachment:
    """An attachment that stands on a bench. Raises Undecided."""
    target = bench.target()
    bench.chain(target)
    before = bench.look(target)
    made = bench.attach(target)
    return SharedAttachment(bench, made, before, bench.look(target))
