"""The lab of a test from its start to its report, kept with the test."""

from __future__ import annotations

from typing import Any

import pytest

#: The lab of a test, and what its end had to report.
LAB = pytest.StashKey[Any]()
LAST_STORY = pytest.StashKey[Any]()
