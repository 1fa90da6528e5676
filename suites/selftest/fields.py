"""Commands of ip(8), bridge(8) and tc(8) that change one field of a state each, and what a difference says of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pytest

from cnitest import difference
from cnitest.errors import CommandError

# How ip(8), tc(8) and the kernel say that this kernel cannot; anything else is a mistake of the test's.
_LACKING = (
    "not supported",
    "Unknown device type",
    "qdisc kind is unknown",
    "Failed to load",
    "TC classifier not found",
    "not found. Skipped",
    '"proto" is a garbage',
    "open: Permission denied",  # /dev/net/tun, for ordinary users
    "Invalid uid range",  # users that a user namespace does not know
)


class Change(NamedTuple):
    """Commands before, the one that changes a field, and what a difference says of it."""

    prepare: tuple[str, ...]
    command: str
    words: str


def changes(prepare: str, *rows: tuple[str, str]) -> list[Change]:
    """A change a row, a command and its words, each after the same commands."""
    commands = tuple(line.strip() for line in prepare.strip().splitlines())
    return [Change(commands, command, words) for command, words in rows]


def run(node, commands: Sequence[str]) -> None:
    """Run commands; skips where this kernel lacks what they want."""
    for command in commands:
        try:
            node.run(command.split())
        except CommandError as error:
            if any(words in str(error) for words in _LACKING):
                pytest.skip(str(error).replace("\n", " "))
            raise


def differences(node, change: Change) -> list[str]:
    """What a state of a place differs by when a change alone is made."""
    run(node, change.prepare)
    before = node.state(firewall=False)
    run(node, [change.command])
    return [str(item) for item in difference(before, node.state(firewall=False))]
