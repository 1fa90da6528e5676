"""What a run found, by cause: cases of one plugin whose evidence is alike once names, addresses and numbers are out."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from cnitest.cni import spec
from cnitest.conformance.model.requirement import Level, registry
from cnitest.conformance.model.subject import Subject
from cnitest.conformance.model.verdict import Case, Verdict
from cnitest.fuzz.model.violation import plain

#: The verdicts that are told by cause, worst first.
TOLD = (Verdict.BROKEN, Verdict.FAILED, Verdict.WARNING, Verdict.INHERITED, Verdict.UNDECIDED)
_LEVELS = tuple(Level)
# A call that failed: who did what, and what it said. The same words are the same cause, whichever verb says them.
_FAILED_CALL = re.compile(
    r"(?:fails|crashes|hangs|dies of signal|floods)\b:? ?(?:exit code -?\d+: )?(?P<words>.*)", re.S
)
_ACCEPTED = re.compile(r"(?P<verb>[A-Z]*) \([^)]*\): succeeds, but should refuse")
_LEFT = re.compile(r"(?P<sign>[+~-]) (?P<words>\S.*)", re.S)
_TRYING = re.compile(r"^(?:after|gone with it|'[^']*' is|[\w ]+): ")
#: Two cases share a cause when at least this part of what they show is the same.
_ALIKE = 0.6
#: The verb whose blindness is one cause however many things it does not see.
_SEES = "CHECK"


@dataclass(frozen=True)
class Cause:
    """One thing that is wrong with one plugin, and all that shows it.

    ``verdict`` is the worst of its cases; ``requirements`` are the IDs that fail for it, the worst first;
    ``evidence`` is one detail of the case that shows it best, ``also`` what else the cases show, without repetition.
    """

    subject: str
    plugin: str
    verdict: Verdict
    requirements: tuple[str, ...]
    versions: tuple[str, ...]
    evidence: str
    also: tuple[str, ...]
    cases: tuple[Case, ...]

    @property
    def shown_by(self) -> Case:
        """The case that shows it best: of the worst requirement, in the newest version."""
        return self.cases[0]


def causes(cases: Sequence[Case], subjects: Sequence[Subject], own: Collection[str] = ()) -> tuple[Cause, ...]:
    """The causes of all cases that are told: those of the subjects named in ``own`` first, then plugin by plugin, the
    worst first."""
    found: list[Cause] = []
    for subject in sorted(subjects, key=lambda one: one.name not in own):
        mine = sorted((case for case in cases if case.subject == subject.name and case.verdict in TOLD), key=_weight)
        found += sorted((_cause(subject, group) for group in _groups(mine)), key=lambda one: _weight(one.shown_by))
    return tuple(found)


def _weight(case: Case) -> tuple[int, int, int, tuple[int, ...]]:
    """What is told first: the worst verdict, the most binding requirement, the specification's order, the newest."""
    requirement = registry()[case.requirement]
    order = list(registry()).index(case.requirement)
    newest = tuple(-number for number in spec.order(case.version))
    return TOLD.index(case.verdict), _LEVELS.index(requirement.level), order, newest


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
    if any(sign.startswith("!") for sign in shared):
        return True
    return len(shared) >= _ALIKE * len(one | other) and bool(shared)


def _signs(case: Case) -> Iterator[str]:
    """What a case shows, without values; ``!`` before what is a cause by itself, one thing alike being enough."""
    if case.verdict in (Verdict.UNDECIDED, Verdict.INHERITED):
        yield f"!{case.verdict.value} {plain(case.reason) if case.verdict is Verdict.UNDECIDED else ''}"
        return
    for detail in case.details:
        yield _sign(case, " ".join(detail.split()))


def _sign(case: Case, detail: str) -> str:
    accepted = _ACCEPTED.search(detail)
    if accepted:
        verb = accepted["verb"]
        return f"!{verb} accepts" if verb == _SEES else f"{verb} accepts {case.requirement} {plain(detail)}"
    failed = _FAILED_CALL.search(detail)
    if failed and failed["words"]:
        return f"!fails {plain(failed['words'])}"
    left = _LEFT.search(detail)
    return f"left {left['sign']} {plain(left['words'])}" if left else plain(_TRYING.sub("", detail))


def _cause(subject: Subject, cases: Sequence[Case]) -> Cause:
    first = cases[0]
    texts = [" ".join(detail.split()) for case in cases for detail in (case.details or (case.reason,))]
    lead = next(iter(texts), "")
    also: dict[str, str] = {}
    for text in texts[1:]:
        also.setdefault(plain(text), text)
    also.pop(plain(lead), None)
    versions = sorted({case.version for case in cases}, key=spec.VERSIONS.index)
    requirements = tuple(dict.fromkeys(case.requirement for case in cases))
    return Cause(
        first.subject,
        subject.plugin,
        first.verdict,
        requirements,
        tuple(versions),
        lead,
        tuple(also.values()),
        tuple(cases),
    )
