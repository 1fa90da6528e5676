"""How a test of a requirement can end other than well: a finding, nothing to decide, or no way to decide it."""

from __future__ import annotations

from collections.abc import Sequence

from cnitest import text

#: The most characters of a detail.
MOST = 4000


class Detail(str):
    """One thing that differs, with a condition in shell about the kernel that holds while it does, beside what the
    plugin answers; for the script that reproduces it."""

    __slots__ = ("kernel",)
    kernel: str

    def __new__(cls, words: str, kernel: str) -> Detail:
        """The words, and the condition."""
        made = super().__new__(cls, words)
        made.kernel = kernel
        return made


def visible(detail: str) -> str:
    """A detail without anything that steers a terminal: a plugin may have written parts of it."""
    shown = text.lines(detail, MOST)
    return Detail(shown, detail.kernel) if isinstance(detail, Detail) else shown


class Doubt(str):
    """Why something could not be found out, where a complaint would stand: it never counts against a plugin."""

    __slots__ = ()

    def after(self, words: str) -> Doubt:
        """The same with words before it."""
        return Doubt(f"{words}{self}")


class Finding(AssertionError):
    """A requirement that does not hold. ``details`` is what differs from it, a line each."""

    def __init__(self, details: Sequence[str]) -> None:
        super().__init__("\n".join(details))
        self.details = tuple(details)


class NotApplicable(Exception):
    """The requirement says nothing about this plugin; the message says why."""


class Undecided(Exception):
    """What the requirement builds on does not work, which another requirement reports; the message says what."""
