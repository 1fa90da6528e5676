"""Cases of the conformance suite and a baseline: which causes a case shows, and what of it is accepted."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest

from cnitest.conformance.model.subject import Subject
from cnitest.conformance.model.verdict import LACKING, Case, CaseVerdict
from cnitest.report.baseline import words
from cnitest.report.baseline.model import Baseline, Entry

#: Verdicts that leave open whether a cause is still there.
_OPEN = (CaseVerdict.UNDECIDED, CaseVerdict.BROKEN, CaseVerdict.NOT_RUN)


def accepted(case: Case, baseline: Baseline) -> Case:
    """A case without what a baseline has of it; one that has nothing else is in the baseline."""
    if case.verdict is not CaseVerdict.FAILED:
        return case
    found = [baseline.find(entry) for entry in _entries(case)]
    known = tuple(entry for entry in found if entry)
    if not known:
        return case
    causes = tuple(dict.fromkeys(entry.cause for entry in known))
    if len(known) == len(found):
        comments = dict.fromkeys(entry.comment for entry in known if entry.comment)
        return replace(case, verdict=CaseVerdict.BASELINE, accepted=causes, reason="; ".join(comments))
    pairs = zip_longest(case.details, case.fingerprints[: len(case.details)], fillvalue="")
    left = [pair for pair, entry in zip(pairs, found, strict=True) if not entry]
    details, fingerprints = (tuple(each) for each in zip(*left, strict=True))
    return replace(case, details=details, fingerprints=fingerprints, accepted=causes)


def entries(case: Case) -> Iterator[Entry]:
    """What a case shows that a baseline can accept: nothing of one that ended in an error of ours."""
    yield from _entries(case) if case.verdict is CaseVerdict.FAILED else ()
    yield from (_entry(case, cause) for cause in case.accepted)


def _entries(case: Case) -> list[Entry]:
    return [_entry(case, cause) for cause in words.of_details(case.details, case.fingerprints)]


def _entry(case: Case, cause: str) -> Entry:
    return Entry(cause, plugin=case.subject, requirement=case.requirement)


def decided(cases: Sequence[Case], subjects: Sequence[Subject], baseline: Baseline) -> Iterator[tuple[str, str]]:
    """The plugins and requirements of which it is known what is still there: tried in all versions that the baseline
    was written in, and none of their cases is open."""
    whole = {each.name for each in subjects if set(baseline.versions(each.name)) <= set(each.versions)}
    open_ = {(case.subject, case.requirement) for case in cases if _is_open(case)}
    for pair in dict.fromkeys((case.subject, case.requirement) for case in cases):
        if pair[0] in whole and pair not in open_:
            yield pair


def _is_open(case: Case) -> bool:
    lacks = case.verdict is CaseVerdict.NOT_APPLICABLE and case.reason.startswith(LACKING)
    return lacks or case.verdict in _OPEN


def gone(baseline: Baseline, found: Collection[Entry], tried: Collection[tuple[str, str]]) -> Iterator[Entry]:
    """The entries whose requirement was tried, and which no case shows any more."""
    seen = {entry.identity for entry in found}
    for entry in baseline.findings:
        if (entry.plugin, entry.requirement) in tried and entry.identity not in seen:
            yield entry
