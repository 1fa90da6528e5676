"""CON-06: when a call that takes long has waited for a lock, on machines of any speed."""

from __future__ import annotations

import pytest

from cnitest.conformance.checks.attachments.concurrency import waits


@pytest.mark.parametrize(
    ("seconds", "elsewhere", "expected"),
    [
        pytest.param(8.3, 0.3, True, id="a plugin that waits for 8 s, on a quiet machine"),
        pytest.param(9.0, 1.1, True, id="and on a busy one"),
        pytest.param(6.0, 2.5, False, id="a machine on which every ADD takes long now"),
        pytest.param(4.0, 0.1, False, id="a delay that any machine can have"),
    ],
)
def test_waiting_is_told_from_a_busy_machine(seconds: float, elsewhere: float, expected: bool) -> None:
    """A wait shows by what ADD takes elsewhere at that time, not by what it once took."""
    assert waits(seconds, lambda: elsewhere) is expected


def test_nothing_is_measured_for_a_call_that_took_no_time() -> None:
    """What ADD takes elsewhere costs calls, which are made only where one took long."""
    assert not waits(0.2, lambda: pytest.fail("measured"))
