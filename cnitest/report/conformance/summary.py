"""The end of a conformance run: requirement by verdict, counts by level, what is known, where the time went."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from cnitest import paths
from cnitest.conformance.model import deviation, shipped
from cnitest.conformance.model.requirement import Requirement, registry
from cnitest.conformance.model.subject import Subject
from cnitest.conformance.model.verdict import Case, CaseVerdict
from cnitest.report.conformance.causes import FindingCause, causes

#: The form of the JSON document; see docs/conformance.md and ``cnitest schema conformance``.
FORMAT = "cnitest-conformance/1"
#: The worst of several cases is a requirement's verdict.
WORST_FIRST = (
    CaseVerdict.BROKEN,
    CaseVerdict.FAILED,
    CaseVerdict.WARNING,
    CaseVerdict.INHERITED,
    CaseVerdict.BASELINE,
    CaseVerdict.DEVIATION,
    CaseVerdict.UNDECIDED,
    CaseVerdict.PASSED,
    CaseVerdict.NOT_APPLICABLE,
    CaseVerdict.NOT_RUN,
)
#: A verdict's word in tables.
SHORT = {
    CaseVerdict.BROKEN: "BROKEN",
    CaseVerdict.FAILED: "FAIL",
    CaseVerdict.WARNING: "warn",
    CaseVerdict.INHERITED: "inherit",
    CaseVerdict.BASELINE: "baseline",
    CaseVerdict.DEVIATION: "known",
    CaseVerdict.UNDECIDED: "?",
    CaseVerdict.PASSED: "ok",
    CaseVerdict.NOT_APPLICABLE: "n/a",
    CaseVerdict.NOT_RUN: "-",
}


class SummaryRow(NamedTuple):
    """One requirement for one subject: the verdict and its cases."""

    requirement: Requirement
    subject: Subject
    verdict: CaseVerdict
    cases: tuple[Case, ...]


@dataclass(frozen=True)
class RunSummary:
    """A run: every requirement for every subject, the known deviations that did not show, whether those must have
    shown (all subjects are of shipped profiles), what it found by cause, and what became of its baseline (see
    `cnitest.report.baseline.run`)."""

    rows: tuple[SummaryRow, ...]
    cases: tuple[Case, ...]
    subjects: tuple[Subject, ...]
    profile: str
    disappeared: tuple[tuple[str, deviation.Deviation], ...]
    shipped: bool
    causes: tuple[FindingCause, ...] = ()
    baseline: Mapping[str, Any] | None = None


def outcome(
    cases: Sequence[Case],
    subjects: Sequence[Subject],
    profile: str,
    *,
    whole: bool,
    own: Collection[str] = (),
    baseline: Mapping[str, Any] | None = None,
) -> RunSummary:
    """What a run came to. ``whole`` when no test was left out by name; ``own`` are the subjects to report first."""
    gone = tuple(_disappeared(cases, subjects)) if profile == "reference" and whole else ()
    known = all(shipped.is_profile(subject.source) for subject in subjects)
    found = causes(cases, subjects, own)
    rows = tuple(_rows(cases, subjects))
    return RunSummary(rows, tuple(cases), tuple(subjects), profile, gone, known, found, baseline)


def _rows(cases: Sequence[Case], subjects: Sequence[Subject]) -> Iterator[SummaryRow]:
    table: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        table.setdefault((case.requirement, case.subject), []).append(case)
    for requirement in registry().values():
        for subject in subjects:
            mine = tuple(table.get((requirement.id, subject.name), ()))
            yield SummaryRow(requirement, subject, _verdict(requirement, subject, mine), mine)


def _verdict(requirement: Requirement, subject: Subject, cases: Sequence[Case]) -> CaseVerdict:
    """The worst of its cases; without any it does not apply, or was left out of the run."""
    found = {case.verdict for case in cases}
    if not found and any(not subject.gap(requirement, version) for version in subject.versions):
        return CaseVerdict.NOT_RUN
    return next((verdict for verdict in WORST_FIRST if verdict in found), CaseVerdict.NOT_APPLICABLE)


def _disappeared(cases: Sequence[Case], subjects: Sequence[Subject]) -> Iterator[tuple[str, deviation.Deviation]]:
    """Known deviations whose requirement was decided for a subject, and which showed in none of the cases."""
    for subject in subjects:
        mine = [case for case in cases if case.subject == subject.name]
        met = {number for case in mine for number in case.known}
        for entry in deviation.table():
            decided = [case for case in mine if _decides(case, entry, subject)]
            if decided and entry.number not in met and not entry.sometimes:
                yield subject.name, entry


def _decides(case: Case, entry: deviation.Deviation, subject: Subject) -> bool:
    return case.verdict in (
        CaseVerdict.PASSED,
        CaseVerdict.FAILED,
        CaseVerdict.BASELINE,
        CaseVerdict.DEVIATION,
    ) and entry.concerns(case.requirement, subject, case.version)


def reason_of(requirement: Requirement, subject: Subject, cases: Sequence[Case]) -> str:
    """Why a requirement does not apply to a subject, or was not decided."""
    gaps = (subject.gap(requirement, version) for version in subject.versions)
    return next((case.reason for case in cases if case.reason), "") or next((gap for gap in gaps if gap), "")


def shares(cases: Sequence[Case]) -> Mapping[str, float]:
    """Where the time of all cases went: seconds, calls, and the shares of plugins, other programs and ourselves."""
    total = sum(case.seconds for case in cases) or 1e-9
    plugins = sum(case.plugin_seconds for case in cases) / total
    tools = sum(case.tool_seconds for case in cases) / total
    own = max(0.0, 1 - plugins - tools)
    return {"seconds": total, "calls": sum(c.calls for c in cases), "plugins": plugins, "tools": tools, "own": own}


def document(ended: RunSummary) -> dict[str, Any]:
    """The run as data; its schema is `conformance_schema`."""
    return {
        "format": FORMAT,
        "profile": ended.profile,
        "subjects": [
            {
                "name": subject.name,
                "plugin": subject.plugin,
                "kind": subject.kind.value,
                "versions": list(subject.versions),
                "advertised": list(subject.advertised),
                "banner": subject.banner,
            }
            for subject in ended.subjects
        ],
        "requirements": [
            {
                "id": requirement.id,
                "level": requirement.level.value,
                "section": requirement.section,
                "says": requirement.says,
                "subject": subject.name,
                "verdict": verdict.value,
                "reason": reason_of(requirement, subject, cases),
                "cases": [case.to_data() for case in cases],
            }
            for requirement, subject, verdict, cases in ended.rows
        ],
        "disappeared": [
            {"subject": name, "requirement": entry.requirement, "reason": entry.reason, "link": entry.link}
            for name, entry in ended.disappeared
        ],
        "causes": [_cause(cause) for cause in ended.causes],
        "baseline": ended.baseline or {"file": "", "accepted": 0, "disappeared": []},
        "shares": dict(shares(ended.cases)),
    }


def _cause(cause: FindingCause) -> dict[str, Any]:
    cases = [{"requirement": one.requirement, "version": one.version, "test": one.test} for one in cause.cases]
    return {
        "subject": cause.subject,
        "plugin": cause.plugin,
        "verdict": cause.verdict.value,
        "requirements": list(cause.requirements),
        "versions": list(cause.versions),
        "evidence": cause.evidence,
        "also": list(cause.also),
        "script": cause.shown_by.script,
        "cases": cases,
    }


def write_json(outcome: RunSummary, file: Path) -> None:
    """Write a run as JSON: the report of ``--json``."""
    paths.write(file, json.dumps(document(outcome), indent=1))
