"""How far a run of the conformance suite is: one line on a terminal that is written over, elsewhere one every ten
seconds."""

from __future__ import annotations

import shutil
import sys
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from cnitest.plural import count

_EVERY, _LIVELY = 10.0, 0.1


class Progress:
    """A pytest plugin that counts verdicts as they come, in place of pytest's dots and xdist's lines.

    ``letters`` are those of the verdicts with what each means.
    """

    def __init__(self, letters: Mapping[str, tuple[str, str]], workers: int) -> None:
        self._letters = letters
        self._workers = workers
        self._total = 0
        self._counts: Counter[str] = Counter()
        self._began = self._told = time.monotonic()
        self._is_terminal = sys.stdout.isatty()
        self._is_live = False

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Keep xdist from telling how its workers are brought up."""
        reporter = session.config.pluginmanager.get_plugin("terminaldistreporter")
        for name in ("ensure_show_status", "rewrite"):
            if hasattr(reporter, name):
                setattr(reporter, name, _silent)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Without workers the cases are known here."""
        if session.items:
            self._begin(len(session.items))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """All workers have the same cases."""
        self._begin(len(ids))

    def _begin(self, cases: int) -> None:
        if self._total or not cases:
            return
        self._total = cases
        _write(f"{count(cases, 'case')}, {count(self._workers, 'worker')}\n")
        _write(f"legend: {', '.join(f'{letter} {words}' for letter, words in self._letters.values())}\n")

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: Any) -> None:
        """Count a verdict, and show where that leads when it is time."""
        row = getattr(report, "cnitest", None)
        if row is None:
            return
        self._counts[row["verdict"]] += 1
        now = time.monotonic()
        if now - self._told >= (_LIVELY if self._is_terminal else _EVERY):
            self._told = now
            self._show()

    def _show(self) -> None:
        if not self._is_terminal:
            _write(f"{self.line}\n")
            return
        self._is_live = True
        width = shutil.get_terminal_size().columns - 1
        _write(f"\r\x1b[K{self.line[:width]}")

    @property
    def line(self) -> str:
        """How far it is, in one line."""
        done = sum(self._counts.values())
        part = f"{100 * done // self._total}%" if self._total else ""
        counts = "  ".join(
            f"{self._counts[name]} {self._letters[name][0]}" for name in self._letters if self._counts[name]
        )
        return f"{part:>4}  {done} of {self._total} cases, {time.monotonic() - self._began:.0f} s   {counts}"

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Make room for what is printed at the end."""
        if self._is_live:
            _write("\r\x1b[K")


def _silent(*_: object, **__: object) -> None:
    """Says nothing."""


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
