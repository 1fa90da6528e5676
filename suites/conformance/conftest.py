"""What the tests of this suite ask for: its fixtures are nobody else's."""

from __future__ import annotations

from cnitest.fixtures.conformance import (
    bench,
    idle,
    pytest_generate_tests,
    pytest_pyfunc_call,
    shared_lab,
    standing,
    trial,
)

__all__ = ["bench", "idle", "pytest_generate_tests", "pytest_pyfunc_call", "shared_lab", "standing", "trial"]
