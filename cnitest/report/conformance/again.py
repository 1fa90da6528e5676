"""The command that tries one requirement of one plugin again, as the person who ran us would type it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from cnitest import paths
from cnitest.report.conformance.causes import FindingCause


class Asked(NamedTuple):
    """How a run was called: the configurations given, the search path and the topology where one was named, further
    options, and what shipped profiles call their subjects."""

    confs: Sequence[str]
    path: Sequence[str] = ()
    topology: str = ""
    options: Sequence[str] = ()
    sources: Mapping[str, str] = {}


def command(asked: Asked) -> Callable[[FindingCause], str]:
    """A function from a cause to the command that writes the script which shows it."""

    def of(cause: FindingCause) -> str:
        words = ["cnitest", "run", *_what(asked, cause)]
        words += ["--cni-path", ":".join(map(paths.near, asked.path))] if asked.path else []
        topology = paths.near(asked.topology) if "/" in asked.topology else asked.topology
        words += ["--topology", topology] if topology else []
        words += [*asked.options, "--requirement", cause.requirements[0], "--repro", "DIR"]
        return shlex.join(words)

    return of


def _what(asked: Asked, cause: FindingCause) -> list[str]:
    """The configuration and the member of its list; without one the shipped profile."""
    if not asked.confs:
        return ["--plugin", cause.subject]
    given = [conf for conf in asked.confs if conf == asked.sources.get(cause.subject)] or list(asked.confs)
    return [*map(paths.near, given), "--plugin", cause.plugin]
