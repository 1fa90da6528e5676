"""What to search for, in which subject, for how long."""

from __future__ import annotations

from dataclasses import dataclass

from cnitest.conformance.model.subject import Subject


@dataclass(frozen=True)
class FuzzSettings:
    """What to try: ``kinds`` of scenarios in turn, for ``seconds`` or ``examples`` in all, from a ``seed``.

    ``release`` is the plugins' own, for keys that not all of them have; ``next_path`` directories of another release,
    ``known`` causes that do not count; ``share`` which part of what is known by heart is tried first: its number, of
    how many there are.
    """

    subject: Subject
    kinds: tuple[str, ...]
    seed: int
    seconds: float
    examples: int = 0
    release: str = ""
    next_path: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    share: tuple[int, int] = (0, 1)
