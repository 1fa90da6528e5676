"""The command ``cnitest``: run suites, fuzz plugins, look at the machine, draw and check topologies."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cnitest.interrupts import INTERRUPTED

__all__ = ["INTERRUPTED", "main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 4 for wrong usage, 2 after Ctrl-C, else 0 or 1; ``run``: pytest's."""
    try:
        from cnitest.cli import commands

        return commands.main(argv)
    except KeyboardInterrupt:
        print("cnitest: interrupted", file=sys.stderr)  # noqa: T201
        return INTERRUPTED
