"""A pytest plugin that writes down by which of our functions data came to a few moments of a run.

``-p cnitest.suites.selftest.walking``; the variable CNITEST_WALK is the file to write: a line of JSON for each way to a
moment, from the outermost function to the innermost, each as a pair of its module and its name. CNITEST_MOMENTS are
further moments, as JSON; of these only the first call is written down.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

#: Where the data of `cnitest run` gets its next form, as module and function: a network, the subjects, a call, a
#: finding, its verdict.
OF_A_RUN = frozenset(
    (
        ("cnitest.cni.conf", "_network"),
        ("cnitest.conformance.discover.examine", "examine"),
        ("cnitest.cni.calls.invoke", "call"),
        ("cnitest.conformance.model.finding", "Finding.__init__"),
        ("cnitest.report.cases", "case_report"),
    )
)
#: The same of `cnitest fuzz`: what generates, a scenario that is run, a call, an oracle, a finding, its smallest
#: scenario, its files.
OF_AN_EXAMPLE = frozenset(
    (
        ("cnitest.fuzz.search.networks", "drawn"),
        ("cnitest.fuzz.execute.executor", "ReusingExecutor.run"),
        ("cnitest.cni.calls.invoke", "call"),
        ("cnitest.fuzz.oracles.attached", "crashes"),
        ("cnitest.fuzz.search.rounds", "Round.finding"),
        ("cnitest.fuzz.search.reduce", "reduced"),
        ("cnitest.fuzz.search.finding_files", "write"),
    )
)
MOMENTS = OF_A_RUN | OF_AN_EXAMPLE
_once = {(module, name) for module, name in json.loads(os.environ.get("CNITEST_MOMENTS", "[]"))}
_seen: set[str] = set()


def start() -> None:
    """Watch the calls of this thread, and of those that are started, from now on."""
    threading.setprofile(_note)
    sys.setprofile(_note)


def _note(frame: FrameType, event: str, _: Any) -> None:
    if event == "call" and (_name(frame) in MOMENTS or _name(frame) in _once):
        _once.discard(_name(frame))
        line = json.dumps(_way(frame))
        if line not in _seen:
            _seen.add(line)
            with Path(os.environ["CNITEST_WALK"]).open("a") as file:
                file.write(f"{line}\n")


def _name(frame: FrameType) -> tuple[str, str]:
    return str(frame.f_globals.get("__name__", "")), frame.f_code.co_qualname


def _way(frame: FrameType | None) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    while frame is not None:
        name = _name(frame)
        if name[0].startswith("cnitest.") and not frame.f_code.co_name.startswith("<"):
            found.insert(0, name)
        frame = frame.f_back
    return found


if "pytest" in sys.modules and "CNITEST_WALK" in os.environ:
    start()
