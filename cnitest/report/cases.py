"""From how a test ended to its verdict, and to what a person reads about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import replace
from typing import Any

import pytest

from cnitest import text
from cnitest.conformance.bench import leftovers
from cnitest.conformance.bench.bench import Bench
from cnitest.conformance.model import deviation
from cnitest.conformance.model.finding import Detail, Finding, NotApplicable, Undecided
from cnitest.conformance.model.protocol import failed
from cnitest.conformance.model.requirement import Requirement, find
from cnitest.conformance.model.subject import Subject, Trial
from cnitest.conformance.model.verdict import LACKING, Case, CaseVerdict, RunProfile, classify
from cnitest.conformance.repro import reproducer
from cnitest.errors import CnitestError, FeatureMissing
from cnitest.kernel.processes.process import spent
from cnitest.report.baseline import hooks
from cnitest.report.baseline.cases import accepted
from cnitest.report.fingerprint import fingerprint

_SHOWN_CALLS = 3


def case_report(
    item: pytest.Item, call: pytest.CallInfo[None], identifier: str, setup_seconds: float
) -> pytest.TestReport:
    """The report of a test with its verdict, which it says; where a test broke it shows where, as pytest does."""
    trial: Trial = item.callspec.params["trial"]  # type: ignore[attr-defined]
    requirement, bench = find(identifier), bench_of(item)
    case = _case(item, call, requirement, trial, bench, setup_seconds)
    if (baseline := hooks.accepted(item.config)) is not None:
        case = accepted(case, baseline)
    shown = call if case.verdict is CaseVerdict.BROKEN else _without_exception(call)
    report = pytest.TestReport.from_item_and_call(item, shown)
    if case.verdict is CaseVerdict.FAILED:
        report.outcome, report.longrepr = "failed", text.lines(_story(case, requirement))
        report.sections = []
    elif case.verdict is not CaseVerdict.PASSED and case.verdict is not CaseVerdict.BROKEN:
        path, line, _ = item.location
        report.outcome = "skipped"
        why = text.line(f"{case.verdict.value}: {case.reason or next(iter(case.accepted or case.details))}")
        report.longrepr = (path, line or 0, why)
        report.sections = []
    report.cnitest = case.to_data()  # type: ignore[attr-defined]
    return report


def _without_exception(call: pytest.CallInfo[None]) -> pytest.CallInfo[None]:
    calm = copy(call)
    calm.excinfo = None
    return calm


def _case(
    item: pytest.Item,
    call: pytest.CallInfo[None],
    requirement: Requirement,
    trial: Trial,
    bench: Bench | None,
    setup_seconds: float,
) -> Case:
    config = item.config
    verdict, details, reason, known = _classified(call, requirement, trial, config)
    calls = bench.record.calls if bench else []
    in_processes = sum(call.seconds for call in calls)
    error = call.excinfo.value if call.excinfo else None
    finding = isinstance(error, Finding)
    case = Case(
        requirement=requirement.id,
        subject=trial.subject.name,
        version=trial.version,
        test=_test_name(item),
        verdict=verdict,
        details=details,
        reason=reason,
        known=known,
        seconds=setup_seconds + call.duration,
        plugin_seconds=bench.record.seconds if bench else 0.0,
        tool_seconds=max(0.0, spent.take() - in_processes),
        calls=len(calls),
        effect=bench is not None and _has_effect(bench),
        evidence=tuple(step.story() for step in calls[-_SHOWN_CALLS:]) if finding else (),
        fingerprints=tuple(_fingerprints(error, details, bench, requirement)),
        machine=_on_machine(bench),
    )
    scripted = config.getoption("--cni-repro") or (
        config.getoption("--cni-artifacts") and verdict is CaseVerdict.FAILED
    )
    if finding and bench and scripted:  # which of them are written is decided at the end
        file = reproducer.name(requirement.id, trial.subject.name, trial.version, _test_name(item))
        script = reproducer.script(requirement, trial, bench.lab.plan, bench.record, details, file)
        return replace(case, script=script)
    return case


def _on_machine(bench: Bench | None) -> tuple[str, ...]:
    """What was left in directories of the machine's in the lab of a test; nothing where its host cannot be asked."""
    with suppress(CnitestError, OSError):
        return leftovers.of_machine(bench.node) if bench else ()
    return ()


def _fingerprints(
    error: BaseException | None, details: Sequence[str], bench: Bench | None, requirement: Requirement
) -> Iterator[str]:
    """Of each detail, or of what blocked the test, the fingerprint."""
    known = {one.detail: (one.about, one.fault) for one in (bench.record.complaints if bench else ())}
    if isinstance(error, Undecided):
        details = error.args[:1]
        known = {one: (one.about, one.fault) for one in details if isinstance(one, Detail)}
    for detail in details:
        yield fingerprint(*known.get(detail, (None, "")), requirement.id)


def _has_effect(bench: Bench) -> bool:
    """Whether an ADD of the plugin changed anything: as it was seen, else as its first ADD did."""
    subject, seen = bench.subject, bench.record.effect
    own = (call for call in bench.record.calls if call.command == "ADD" and call.plugin == subject.plugin)
    added = any(not failed(call) for call in own)
    return added and (subject.effect if seen is None else seen)


def bench_of(item: pytest.Item) -> Bench | None:
    """The bench that a test used: a fixture of its own, or that of a shared attachment."""
    arguments: dict[str, Any] = getattr(item, "funcargs", {})
    if "shared_attachment" in arguments:
        found: Bench = arguments["shared_attachment"].bench
        return found
    return arguments.get("bench") or arguments.get("shared_bench")


def _test_name(item: pytest.Item) -> str:
    """The test's name and those of its parameters that are not the trial."""
    trial = str(item.callspec.params["trial"])  # type: ignore[attr-defined]
    inside = item.name.partition("[")[2].rstrip("]").replace(trial, "").strip("-")
    name = getattr(item, "originalname", item.name)
    return f"{name}[{inside}]" if inside else name


def _classified(
    call: pytest.CallInfo[None], requirement: Requirement, trial: Trial, config: pytest.Config
) -> tuple[CaseVerdict, tuple[str, ...], str, tuple[int, ...]]:
    if call.excinfo is None:
        return CaseVerdict.PASSED, (), "", ()
    error = call.excinfo.value
    if isinstance(error, NotApplicable):
        return CaseVerdict.NOT_APPLICABLE, (), str(error), ()
    if isinstance(error, FeatureMissing):
        return CaseVerdict.NOT_APPLICABLE, (), f"{LACKING}{error}", ()
    if isinstance(error, pytest.skip.Exception):
        return CaseVerdict.NOT_APPLICABLE, (), str(error.msg), ()
    if isinstance(error, Undecided):
        return CaseVerdict.UNDECIDED, (), str(error), ()
    if isinstance(error, Finding):
        profile = RunProfile(config.getoption("--cni-profile"))
        strict = config.getoption("--cni-strict")
        found = classify(requirement, trial.subject, trial.version, error.details, profile, strict=strict)
        return _explained(trial.subject, *found)
    return CaseVerdict.BROKEN, (f"{type(error).__name__}: {error}",), "", ()


def _explained(
    subject: Subject, verdict: CaseVerdict, details: tuple[str, ...], known: tuple[int, ...]
) -> tuple[CaseVerdict, tuple[str, ...], str, tuple[int, ...]]:
    """A verdict with its reason: what a plugin inherits, and whether another library fixes it."""
    reason = deviation.inheritance(subject, known) if verdict is CaseVerdict.INHERITED else ""
    return verdict, details, reason, known


def _story(case: Case, requirement: Requirement) -> str:
    """What a person reads about a finding."""
    lines = [
        f"{requirement.id} ({requirement.level.value}, SPEC section {requirement.section}): {requirement.says}",
        f"{case.subject} in version {case.version} does not hold it:",
        *(f"  {detail}" for detail in case.details),
        *(f"  in the baseline: {cause}" for cause in case.accepted),
    ]
    if case.evidence:
        lines += ["", f"the last {len(case.evidence)} of {case.calls} calls:", *case.evidence]
    return "\n".join(lines)
