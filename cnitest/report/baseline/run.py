"""What a run makes of a baseline: looks up what was found, knows what has gone, and writes a new one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from cnitest import paths
from cnitest.conformance.model.subject import Subject
from cnitest.conformance.model.verdict import Case, CaseVerdict
from cnitest.errors import ConfigError
from cnitest.plural import count
from cnitest.report.baseline import cases, failures, files
from cnitest.report.baseline.model import EMPTY, Baseline, Entry, Scope, updated

_MOST = 20


class Run:
    """One run. ``given`` is the baseline that its findings are looked up in, of the file ``source``; ``file`` is what
    is written at the end. Both may be empty; ``names`` are the options that name them. ``left_out`` are plugins and
    requirements of which tests did not run, ``subjects`` what is held to the specification, which whoever chose it
    says."""

    def __init__(self, given: Baseline | None, source: str, file: str, names: tuple[str, str] = ("", "")) -> None:
        self.given, self.source, self.file = given, source, file
        self._reads, self._writes = names
        self.subjects: Sequence[Subject] = ()
        self.left_out: set[tuple[str, str]] = set()
        #: The entries of the baseline that were tried and did not show.
        self.gone: tuple[Entry, ...] = ()
        #: How many failures of the run are in what is written.
        self.written_failures = 0
        #: Why nothing could be written; empty where it was.
        self.problem = ""
        self._cases: list[Case] = []
        self._found: dict[Entry, None] = {}
        self._tests: set[str] = set()
        self._errors = self._lost = self._accepted = 0
        self._is_whole = False
        self._before = self._after = EMPTY

    @classmethod
    def begin(cls, source: str, file: str, names: tuple[str, str]) -> Run:
        """Read what there is. Raises ConfigError for a file that is no baseline."""
        run = cls(files.read(source, names[1]) if source else None, source, file, names)
        run._before = files.read_or(file, run.given or EMPTY) if file else EMPTY
        return run

    @classmethod
    def of_worker(cls, text: str) -> Run:
        """The run of a worker, which gathers nothing."""
        data = json.loads(text)
        given = data["given"]
        return cls(files.from_data(given) if given else None, data["source"], data["file"])

    def for_worker(self) -> str:
        """What a worker needs."""
        return json.dumps(
            {"given": asdict(self.given) if self.given else None, "source": self.source, "file": self.file}
        )

    def look_up(self, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
        """Note with a report of a test without a requirement what it shows; what is accepted is no failure."""
        if not report.failed and (report.when != "call" or not report.passed):
            return
        cause = failures.cause_of(item, call, report) if report.failed else ""
        if report.failed and not cause:
            return
        test = failures.test_of(item, Path(self.source or self.file).parent)
        entry = (self.given or EMPTY).find(Entry(cause, test=test)) if cause else None
        report.baseline = {"test": test, "cause": cause, "known": entry is not None}  # type: ignore[attr-defined]
        if entry:
            _accept(report, f"in the baseline: {entry.comment or cause}", item)

    def add(self, report: Any) -> None:
        """Gather a report, from wherever its test ran."""
        row, noted = getattr(report, "cnitest", None), getattr(report, "baseline", None)
        found: list[Entry] = []
        if row is not None:
            case = Case.from_data(row)
            self._cases.append(case)
            self._errors += case.verdict is CaseVerdict.BROKEN
            self._accepted += case.verdict is CaseVerdict.BASELINE
            found = [*cases.entries(case)]
        elif noted is not None:
            self._tests |= {noted["test"]} if report.when == "call" else set()
            self._accepted += noted["known"]
            found = [Entry(noted["cause"], test=noted["test"])] if noted["cause"] else []
        elif report.failed:  # a worker's end, perhaps
            self._errors += 1
            self._lost += 1
        self.written_failures += bool(report.failed and found)
        self._found |= dict.fromkeys(found)

    def finish(self) -> None:
        """Compare with the baselines, and write the new one: once a run came to its end."""
        self._is_whole = True
        self.gone = tuple(self._gone(self.given or EMPTY))
        if self.file:
            tested = [Scope(each.name, each.versions) for each in self.subjects]
            gone = [*self._gone(self._before)]
            self._after = updated(self._before, self._found, gone, tested)
            try:
                files.write(self._after, self.file, self._writes)
            except ConfigError as error:
                self.problem = str(error)

    def _gone(self, baseline: Baseline) -> Iterator[Entry]:
        """What was tried and did not show; of a test that ran, and of a requirement of which no test was left out."""
        decided = () if self._lost else cases.decided(self._cases, self.subjects, baseline)
        tried = {*decided} - self.left_out
        yield from cases.gone(baseline, self._found, tried)
        seen = {entry.identity for entry in self._found}
        yield from (one for one in baseline.findings if one.test in self._tests and one.identity not in seen)

    def as_data(self) -> dict[str, Any]:
        """What the JSON of a run says of its baseline."""
        gone = [files.entry_data(entry) for entry in self.gone]
        return {"file": self.source, "accepted": self._accepted, "disappeared": gone}

    def lines(self) -> Iterator[str]:
        """What a person reads of it at the end."""
        if self.given is not None:
            shown = {entry.identity for entry in self._found}
            met = sum(entry.identity in shown for entry in self.given.findings)
            yield f"{paths.near(self.source)}: {count(met, 'cause')} of it found, in {count(self._accepted, 'test')}"
            for entry in self.gone[:_MOST]:
                yield f"no longer found: {entry.words}; remove it from {paths.near(self.source)}"
            if len(self.gone) > _MOST:
                yield f"no longer found: {len(self.gone) - _MOST} more"
        if not self._is_whole:
            yield "the run did not come to its end: nothing is said of what is no longer found, and nothing written"
        elif self.file:
            yield from [self.problem] if self.problem else self._written()

    def _written(self) -> Iterator[str]:
        old, new = ({entry.identity for entry in each.findings} for each in (self._before, self._after))
        name = paths.near(self.file)
        yield f"{name}: written, {count(len(new), 'cause')} ({len(new - old)} new, {len(old - new)} no longer found)"
        if self._errors:
            yield f"not written: {count(self._errors, 'error')} of the tests or the machine, which no baseline accepts"
        if new - old:
            yield f"say in its comments why, and run with {self._reads} {name}"


def _accept(report: pytest.TestReport, why: str, item: pytest.Item) -> None:
    """Make a failure a known one: no news, with the reason."""
    path, line, _ = item.location
    report.outcome, report.longrepr, report.sections = "skipped", (path, line or 0, why), []
    if hasattr(report, "regression"):
        report.regression[-2:] = [True, why]
