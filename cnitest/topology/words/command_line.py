"""A command as a person writes it on one line: its words, as a shell would have them, and why none can be had."""

from __future__ import annotations

import shlex

#: Words that only a shell understands.
SHELL_WORDS = frozenset({";", "|", "||", "&", "&&", ">", ">>", "<", "2>&1"})


def words_of(command: str) -> tuple[tuple[str, ...], str]:
    """The words of a command, or why it has none; no shell reads it."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        return (), f"{command!r} cannot be split into words: {str(error).lower()}"
    if not words:
        return (), f"{command!r} is empty; write a command"
    if SHELL_WORDS.intersection(words):
        return (), f"{command!r} wants a shell, which does not read it. Did you mean {['sh', '-c', command]}?"
    return tuple(words), ""
