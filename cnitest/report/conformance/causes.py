"""What a run found, by cause: cases of one plugin that show the same things, by the data of what they found."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from cnitest.cni import spec
from cnitest.conformance.model.requirement import Level, registry
from cnitest.conformance.model.subject import Subject
from cnitest.conformance.model.verdict import Case, CaseVerdict
from cnitest.fuzz.model.violation import plain
from cnitest.report.fingerprint import ALONE

#: The verdicts that are reported by cause, worst first.
REPORTED = (CaseVerdict.BROKEN, CaseVerdict.FAILED, CaseVerdict.WARNING, CaseVerdict.INHERITED, CaseVerdict.UNDECIDED)
_LEVELS = tuple(Level)
# What a test was doing, before what it found.
_TRYING = re.compile(r"^(?:after|gone with it|'[^']*' is|[\w ]+): ")
# The names of interfaces that tests ask for.
_ASKED_FOR = re.compile(r"\b(?:eth\d+|net7-x\.y|net15-long-name)\b")
#: Two cases share a cause when at least this part of what they show is the same.
_ALIKE = 0.6


@dataclass(frozen=True)
class FindingCause:
    """One thing that is wrong with one plugin, and all that shows it.

    ``verdict`` is the worst of its cases; ``requirements`` are the IDs that fail for it, the worst first;
    ``evidence`` is one detail of the case that shows it best, ``also`` what else the cases show, without repetition.
    """

    subject: str
    plugin: str
    verdict: CaseVerdict
    requirements: tuple[str, ...]
    versions: tuple[str, ...]
    evidence: str
    also: tuple[str, ...]
    cases: tuple[Case, ...]

    @property
    def shown_by(self) -> Case:
        """The case that shows it best: of the worst requirement, in the newest version."""
        return self.cases[0]


def causes(cases: Sequence[Case], subjects: Sequence[Subject], own: Collection[str] = ()) -> tuple[FindingCause, ...]:
    """The causes of all cases that are reported: those of the subjects named in ``own`` first, then plugin by plugin,
    the worst first."""
    found: list[FindingCause] = []
    for subject in sorted(subjects, key=lambda one: one.name not in own):
        mine = sorted(
            (case for case in cases if case.subject == subject.name and case.verdict in REPORTED), key=_weight
        )
        found += sorted((_cause(subject, group) for group in _groups(mine)), key=lambda one: _weight(one.shown_by))
    return tuple(found)


def _weight(case: Case) -> tuple[int, int, int, tuple[int, ...]]:
    """The order of reports: the worst verdict, the most binding requirement, the specification's order, the newest."""
    requirement = registry()[case.requirement]
    order = list(registry()).index(case.requirement)
    newest = tuple(-number for number in spec.order(case.version))
    return REPORTED.index(case.verdict), _LEVELS.index(requirement.level), order, newest


def _groups(cases: Sequence[Case]) -> list[list[Case]]:
    """Cases that belong together; each group is led by its weightiest."""
    groups: list[tuple[frozenset[str], list[Case]]] = []
    for case in cases:
        signs = frozenset(_signs(case))
        for known, group in groups:
            if _is_alike(signs, known):
                group.append(case)
                break
        else:
            groups.append((signs, [case]))
    return [group for _, group in groups]


def _is_alike(one: frozenset[str], other: frozenset[str]) -> bool:
    shared = one & other
    if any(sign.startswith(ALONE) for sign in shared):
        return True
    return len(shared) >= _ALIKE * len(one | other) and bool(shared)


def _signs(case: Case) -> Iterator[str]:
    """What a case shows, without values: its fingerprints, and words where it has none."""
    if case.verdict is CaseVerdict.INHERITED:
        yield f"{ALONE}{case.verdict.value}"
    elif case.verdict is CaseVerdict.UNDECIDED:
        yield f"{ALONE}{case.verdict.value} {next(filter(None, case.fingerprints), '') or plain(case.reason)}"
    else:
        for detail, known in zip_longest(case.details, case.fingerprints[: len(case.details)], fillvalue=""):
            words = _TRYING.sub("", " ".join(detail.split()))
            yield known or plain(_ASKED_FOR.sub("CNI_IFNAME", words))


def _cause(subject: Subject, cases: Sequence[Case]) -> FindingCause:
    first = cases[0]
    texts = [" ".join(detail.split()) for case in cases for detail in (case.details or (case.reason,))]
    lead = next(iter(texts), "")
    also: dict[str, str] = {}
    for text in texts[1:]:
        also.setdefault(plain(text), text)
    also.pop(plain(lead), None)
    versions = sorted({case.version for case in cases}, key=spec.VERSIONS.index)
    requirements = tuple(dict.fromkeys(case.requirement for case in cases))
    return FindingCause(
        first.subject,
        subject.plugin,
        first.verdict,
        requirements,
        tuple(versions),
        lead,
        tuple(also.values()),
        tuple(cases),
    )
