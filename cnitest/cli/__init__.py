"""The command ``cnitest``: run suites, fuzz plugins, look at the machine, draw and check topologies."""

from __future__ import annotations

TYPE_CHECKING = False  # of typing: importing more than nothing here is time in which Ctrl-C would be a traceback
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 4 for wrong usage, 2 after Ctrl-C, 143 after SIGTERM, 129 after
    SIGHUP, else 0 or 1; ``run``: pytest's. After the first of these signals, those that follow soon change nothing."""
    as_before = _end_at_once() if argv is None else None
    from cnitest import interrupts, outputs

    if argv is None:
        outputs.open_closed()
    from cnitest.cli import commands

    if as_before is None:
        return interrupts.ended(lambda: commands.main(argv))
    as_before()
    return interrupts.ended(lambda: commands.main(argv), last=True)


def _end_at_once() -> Callable[[], None]:
    """Have signals end this process in one line while what sees to them is imported; returns what undoes it."""
    import os
    from _signal import (  # type: ignore[import-not-found]  # `signal` takes longer
        SIG_DFL,
        SIGHUP,
        SIGINT,
        SIGTERM,
        default_int_handler,
        getsignal,
        signal,
    )

    ends = {SIGINT: (2, b"interrupted"), SIGTERM: (143, b"ended by SIGTERM"), SIGHUP: (129, b"ended by SIGHUP")}

    def end(number: int, _: object) -> None:
        code, words = ends[number]
        try:
            os.write(2, b"cnitest: %b\n" % words)
        finally:
            os._exit(code)

    def as_before() -> None:
        for number, handler in before.items():
            signal(number, handler)

    before = {number: getsignal(number) for number in ends if getsignal(number) in (SIG_DFL, default_int_handler)}
    for number in before:
        signal(number, end)
    return as_before
