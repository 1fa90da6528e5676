"""How a test of a requirement can end other than well: a finding, nothing to decide, or no way to decide it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnitest import text

#: The most characters of a detail.
MOST = 4000


class Detail(str):
    """The words of one thing that does not hold, with what they are about, for the script that reproduces it.

    ``kernel`` is a condition in shell about the kernel that holds while it is so, beside what the plugin answers;
    ``about`` the record that the words were made of, which stays in the process where it was made; ``fault`` says what
    is wrong with a call (see `protocol.CallFault`).
    """

    __slots__ = ("about", "fault", "kernel")
    kernel: str
    about: Any
    fault: str

    def __new__(cls, words: object, kernel: str = "", about: Any = None, fault: str = "") -> Detail:
        """The words, the condition, the record, and what is wrong with it."""
        made = super().__new__(cls, words)
        made.kernel, made.about, made.fault = kernel, about, fault
        return made

    def __reduce__(self) -> tuple[type[Detail], tuple[str, str]]:
        return Detail, (str(self), self.kernel)


def visible(detail: str) -> str:
    """A detail without anything that steers a terminal: a plugin may have written parts of it."""
    return text.lines(detail, MOST)


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
