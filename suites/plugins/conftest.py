"""What releases of the reference plugins are known to fail is expected to fail."""

from __future__ import annotations

from cnitest.report.marks.known import pytest_runtest_makereport

__all__ = ["pytest_runtest_makereport"]
