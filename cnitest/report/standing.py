"""The lab of a test while it stands, kept with the test for its report."""

from __future__ import annotations

from typing import Any

import pytest

#: The lab of a test, and what its end had to report.
LAB = pytest.StashKey[Any]()
LAST_STORY = pytest.StashKey[Any]()
