"""Which plugins of a run are its author's own, to be told of first."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

from cnitest.conformance.model.subject import Subject


def subjects(found: Sequence[Subject], named: Collection[str]) -> tuple[str, ...]:
    """The names of the subjects that were asked for by name, or lie in the first directory of their search path."""
    return tuple(
        subject.name
        for subject in found
        if {subject.name, subject.plugin} & set(named)
        or (subject.path and os.path.isfile(os.path.join(subject.path[0], subject.plugin)))
    )
