"""The scripts of a run's findings: one for each cause, or one for each case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cnitest import paths
from cnitest.conformance.model.verdict import Case
from cnitest.conformance.repro import reproducer


def written(cases: Sequence[Case], directory: str, chosen: Sequence[Case]) -> tuple[list[Case], str]:
    """The cases, with the path of a script in place of its text where one was written, of those ``chosen``; and which
    could not be written, and why, or nothing. After one that could not, no other is tried."""
    keys, kept, unwritten = {_file(case) for case in chosen}, [], ""
    for case in cases:
        path = Path(directory) / _file(case)
        if case.script and not unwritten and _file(case) in keys:
            unwritten = _write(path, case.script)
            kept.append(replace(case, script="" if unwritten else str(path)))
        else:
            kept.append(replace(case, script=""))
    return kept, unwritten


def _write(path: Path, script: str) -> str:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        paths.write(path, script)
        path.chmod(0o755)
    except OSError as error:  # there was space when the run began
        return f"{path} could not be written: {error.strerror or error}"
    return ""


def _file(case: Case) -> str:
    return reproducer.name(case.requirement, case.subject, case.version, case.test)
