"""What was done on a bench, step by step, so that it can be done again by hand."""

from __future__ import annotations

from typing import NamedTuple

from cnitest.cni.invoke import Call


class Command(NamedTuple):
    """A command that was run at ``place``: ``node``, or a container's name."""

    place: str
    argv: tuple[str, ...]


class Look(NamedTuple):
    """The state of the host and of some containers was taken."""

    name: str
    containers: tuple[str, ...]


Step = Call | Command | Look
