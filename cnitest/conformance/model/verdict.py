"""What is said of one case: a requirement, a subject, a version, and how its test ended."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cnitest.conformance.model import deviation
from cnitest.conformance.model.requirement import Level, Requirement
from cnitest.conformance.model.subject import Subject

#: How the reason of a case begins that says what this machine lacks.
LACKING = "this machine: "


class CaseVerdict(enum.Enum):
    """How a case ended. Only `FAILED` and `BROKEN` (our own test did not work) fail a run."""

    PASSED = "passed"
    FAILED = "failed"
    WARNING = "warning"
    INHERITED = "inherited"
    BASELINE = "in the baseline"
    DEVIATION = "known deviation"
    NOT_APPLICABLE = "not applicable"
    UNDECIDED = "undecided"
    BROKEN = "broken"
    NOT_RUN = "not run"


class RunProfile(enum.Enum):
    """What is expected: the specification, or what the reference plugins are known to do."""

    SPEC = "spec"
    REFERENCE = "reference"


@dataclass(frozen=True)
class Case:
    """One case and what was found. ``known`` are the numbers of the deviations that explain it.

    ``seconds`` is the test's time, ``plugin_seconds`` what of it was spent in plugins, ``calls`` their number, and
    ``tool_seconds`` what other programs took (iptables, ip, nft). ``effect`` says whether an ADD of the plugin changed
    anything on host or in container in it. ``fingerprints`` tell the causes of the details, or of the reason, from
    others (see `cnitest.report.fingerprint`); empty where there are only words. ``accepted`` are those of its causes
    that a baseline has; its details are then those that are left, if any. ``machine`` are the files that were left in
    directories of the machine's.
    """

    requirement: str
    subject: str
    version: str
    test: str
    verdict: CaseVerdict
    details: tuple[str, ...] = ()
    reason: str = ""
    known: tuple[int, ...] = ()
    seconds: float = 0.0
    plugin_seconds: float = 0.0
    tool_seconds: float = 0.0
    calls: int = 0
    effect: bool = False
    script: str = ""
    evidence: tuple[str, ...] = field(default=())
    fingerprints: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
    machine: tuple[str, ...] = ()

    def to_data(self) -> dict[str, Any]:
        """The case as JSON can carry it."""
        return {**self.__dict__, "verdict": self.verdict.value}

    @classmethod
    def from_data(cls, row: dict[str, Any]) -> Case:
        """The case that `to_data` was made of."""
        texts = ("details", "known", "evidence", "fingerprints", "accepted", "machine")
        lists: dict[str, Any] = {key: tuple(row[key]) for key in texts if key in row}
        return cls(**{**row, **lists, "verdict": CaseVerdict(row["verdict"])})


def classify(
    requirement: Requirement,
    subject: Subject,
    version: str,
    details: Sequence[str],
    profile: RunProfile,
    *,
    strict: bool,
) -> tuple[CaseVerdict, tuple[str, ...], tuple[int, ...]]:
    """The verdict on a finding, the details that count, and the numbers of the deviations that were met."""
    entries = deviation.concerning(requirement.id, subject, version)
    known = [entry for entry in entries if profile is RunProfile.REFERENCE or entry.inherited]
    met = tuple(entry.number for entry in known if any(entry.covers(detail) for detail in details))
    left = deviation.unexplained(details, known)
    if not left:
        if profile is RunProfile.REFERENCE:
            return CaseVerdict.DEVIATION, tuple(details), met
        return (CaseVerdict.FAILED if strict else CaseVerdict.INHERITED), tuple(details), met
    if profile is RunProfile.REFERENCE or strict or requirement.level is Level.MUST:
        return CaseVerdict.FAILED, tuple(left), met
    return CaseVerdict.WARNING, tuple(left), met
