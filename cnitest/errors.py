"""The errors a caller can react to, one class a reaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnitest.text import lines, with_short_words

#: The most characters of a note.
_NOTE = 8000


class CnitestError(Exception):
    """The root of everything that cnitest raises on purpose. Its message may hold words of plugins and programs, which
    are shown and never obeyed (see `cnitest.text`)."""

    def __init__(self, message: str = "") -> None:
        super().__init__(lines(with_short_words(str(message))))

    def add_note(self, note: str) -> None:
        """Add a note, which is as harmless."""
        super().add_note(lines(note, _NOTE))


def is_ours(failure: Any) -> bool:
    """Whether pytest's view of a failure (its ``excinfo``) is of an error of ours.

    Modules that users call set ``__tracebackhide__`` to this: how we came to raise it helps nobody who reads a report.
    """
    return isinstance(failure.value, CnitestError)


class UsageError(CnitestError, ValueError, TypeError):
    """A call asks for what cannot be; the message says what is expected and, where a word was typed, which is meant."""


class UnknownName(CnitestError, KeyError):
    """Nothing has that name; the message lists what there is."""

    __str__ = Exception.__str__


class TopologyError(CnitestError):
    """A topology that cannot be built as declared; the message lists every fault, one a line."""


class FeatureMissing(CnitestError):
    """This machine lacks something; the message is one line, fit for a skip reason.

    ``lacking`` has the kernel's features among it, by name: another kernel may have them.
    """

    def __init__(self, message: str = "", lacking: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.lacking = tuple(lacking)


class GuestError(CnitestError):
    """A guest kernel cannot be booted, or ended without its command's exit status; the message is one line."""


class KernelError(CnitestError):
    """The kernel refused a request.

    ``errno`` is the kernel's number (0 when it gave none).
    """

    def __init__(self, message: str, errno: int = 0) -> None:
        super().__init__(message)
        self.errno = errno


class CommandError(CnitestError):
    """A command inside a host or sandbox failed; the message holds its argv, exit code and output."""


class DeadlineExceeded(CnitestError):
    """A wait ended without what it waited for; the message says what that was."""


class ProbeUnproven(CnitestError):
    """A probe can neither be called delivered nor dropped: the instrument itself is in doubt."""


class ConfigError(CnitestError):
    """A network configuration that no runtime would accept; the message says file, place and remedy."""


class PluginError(CnitestError):
    """A plugin failed or broke the protocol; the message names plugin, command, exit code and its text.

    ``code`` is the error code of the plugin's own error document (CNI spec, section 5), or None.
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code
