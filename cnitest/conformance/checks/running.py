"""Runs a check on a bench that is its alone."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from cnitest.conformance.bench.bench import Bench
from cnitest.conformance.bench.shared_attachment import attach_shared
from cnitest.conformance.checks.registry import Variant


def run(variant: Variant, bench: Bench) -> None:
    """Run a check on a bench; what others would share is made there too.

    Raises Finding for what does not hold, NotApplicable and Undecided.
    """
    with ExitStack() as undo:
        variant.check.function(**provided(variant.check.needs, bench, undo), **variant.given)
        bench.conclude()


def provided(needs: Sequence[str], bench: Bench, undo: ExitStack) -> dict[str, Any]:
    """What a check takes, by name, all of it on one bench."""
    ways: dict[str, Callable[[], Any]] = {
        "bench": lambda: bench,
        "shared_bench": lambda: bench,
        "shared_attachment": lambda: attach_shared(bench),
        "trial": lambda: bench.trial,
        "tmp_path": lambda: Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="cnitest-"))),
    }
    return {name: ways[name]() for name in needs}
