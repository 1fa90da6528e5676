"""The command ``cnitest``: run suites, fuzz plugins, look at the machine, draw and check topologies."""

from __future__ import annotations

from collections.abc import Sequence

from cnitest import interrupts, outputs
from cnitest.interrupts import INTERRUPTED

__all__ = ["INTERRUPTED", "main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 4 for wrong usage, 2 after Ctrl-C, 143 after SIGTERM, 129 after
    SIGHUP, else 0 or 1; ``run``: pytest's."""
    if argv is None:
        outputs.open_closed()
    try:
        with interrupts.heeded():
            from cnitest.cli import commands

            return commands.main(argv)
    except KeyboardInterrupt as error:
        return interrupts.report(error)
    finally:
        if argv is None:  # this process ends by our exit code: what comes now comes too late to change it
            interrupts.ignore(*interrupts.ENDING)
