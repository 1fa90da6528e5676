"""The DHCP server of the plugins' tests: what is no DHCP is nothing to it."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins import short_leases
from cnitest.suites.plugins.short_leases import FIXED, MAGIC

HEAD = b"\1\1\6\0".ljust(FIXED, b"\0")
DISCOVER = bytes([53, 1, short_leases.DISCOVER])


@pytest.mark.parametrize("before", [b"", b"\0\0", bytes([12, 2, 53, 53]), bytes([50, 4, 10, 0, 0, 1])])
def test_the_type_is_found_wherever_it_stands(before) -> None:
    """Padding and other options, with whatever they hold, may stand before it."""
    assert short_leases.kind_of(HEAD + MAGIC + before + DISCOVER + b"\xff") == short_leases.DISCOVER


@pytest.mark.parametrize(
    "message",
    [
        b"",
        HEAD,
        HEAD + DISCOVER,
        HEAD + MAGIC,
        HEAD + MAGIC + b"\xff" + DISCOVER,
        HEAD + MAGIC + bytes([12, 2, 53, 1]),
        HEAD + MAGIC + bytes([12]),
        HEAD + MAGIC + bytes([12, 200, 53]),
        HEAD + MAGIC + bytes([53, 1]),
        b"\1" + MAGIC + DISCOVER,
    ],
)
def test_what_has_no_type_is_not_answered(message) -> None:
    """Without the cookie in its place, without a type, or cut off: no kind, no answer, and no end of the server."""
    assert short_leases.kind_of(message) == 0
    assert short_leases.answer(message, {}, ["ack"]) == b""
