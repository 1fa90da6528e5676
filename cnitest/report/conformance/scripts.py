"""The scripts of a run's findings: one for each cause, or one for each case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cnitest.conformance.model.verdict import Case
from cnitest.conformance.repro import reproducer


def written(cases: Sequence[Case], directory: str, chosen: Sequence[Case]) -> list[Case]:
    """The cases, with the path of a script in place of its text where one was written: of those ``chosen``."""
    keys = {_file(case) for case in chosen}
    return [_kept(case, Path(directory)) if _file(case) in keys else replace(case, script="") for case in cases]


def _kept(case: Case, directory: Path) -> Case:
    if not case.script:
        return case
    path = directory / _file(case)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(case.script, encoding="utf-8", errors="surrogateescape")
    path.chmod(0o755)
    return replace(case, script=str(path))


def _file(case: Case) -> str:
    return reproducer.name(case.requirement, case.subject, case.version, case.test)
