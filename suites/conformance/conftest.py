"""What the tests of this suite ask for: its fixtures are nobody else's."""

from __future__ import annotations

from cnitest.fixtures.conformance import (
    bench,
    pytest_generate_tests,
    pytest_pyfunc_call,
    shared_attachment,
    shared_bench,
    shared_lab,
    trial,
)

__all__ = [
    "bench",
    "pytest_generate_tests",
    "pytest_pyfunc_call",
    "shared_attachment",
    "shared_bench",
    "shared_lab",
    "trial",
]
