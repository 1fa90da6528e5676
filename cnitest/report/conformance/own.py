"""Which plugins of a run are its author's own, to be reported first."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from cnitest.cni import plugins
from cnitest.conformance.model.subject import Subject


def subjects(found: Sequence[Subject], named: Collection[str]) -> tuple[str, ...]:
    """The names of the subjects that were asked for by name, or lie in the first directory of their search path."""
    return tuple(
        subject.name
        for subject in found
        if {subject.name, subject.plugin} & set(named)
        or (subject.path and plugins.find(subject.plugin, subject.path[:1]))
    )
