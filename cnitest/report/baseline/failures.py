"""Failures of tests without a requirement: which test it is, and what its cause is called in a baseline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cnitest.report import suite
from cnitest.report.baseline.words import general


def test_of(item: pytest.Item, directory: Path) -> str:
    """A test as a baseline in a directory names it: its file from there, its name with parameters.

    Tests of shipped suites are named from ``cnitest/suites``, wherever that is installed.
    """
    name = item.nodeid.partition("::")[2]
    for place, prefix in ((Path(suite.directory()), "cnitest/suites/"), (directory, "")):
        if item.path.is_relative_to(place):
            return f"{prefix}{item.path.relative_to(place).as_posix()}::{name}"
    return item.nodeid


def cause_of(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> str:
    """Why a test failed, without addresses, numbers and other values; empty where that is no cause of its own.

    Of a lost packet that the failure names it is what dropped it; else the exception with its first line.
    """
    at = "" if report.when == "call" else f"at {report.when}: "
    if call.excinfo is None:  # as a strict xfail that passes
        return at + general(_first_line(str(report.longrepr)))
    error = call.excinfo.value
    if isinstance(error, pytest.skip.Exception) or not isinstance(error, Exception | pytest.fail.Exception):
        return ""
    words = _first_line(str(error))
    if lost := _lost(item, words):
        return f"{at}{lost}"
    return at + general(f"{type(error).__name__}: {words}".removesuffix(": "))


def _first_line(words: str) -> str:
    return next((line for line in words.splitlines() if line.strip()), "")


def _lost(item: pytest.Item, words: str) -> str:
    """What dropped the packet of the last probe that got nowhere and that the failure names."""
    lab = getattr(item, "funcargs", {}).get("lab")
    if lab is None:
        return ""
    from cnitest.lab.reach import Reach

    failed = [reach for reach in lab.journal.of(Reach) if reach.verdict.value == "dropped" and reach.probe in words]
    cause: Any = failed[-1].cause if failed else None
    return f"lost: {cause.id}: {general(cause.dropped_by)}" if cause else ""
