"""What is reported at the end of a conformance run, in its parts: findings by cause, requirements, totals."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from cnitest.conformance.model.requirement import Level
from cnitest.conformance.model.verdict import Case, CaseVerdict
from cnitest.plural import count
from cnitest.report.conformance import listing, table
from cnitest.report.conformance.causes import FindingCause
from cnitest.report.conformance.summary import WORST_FIRST, RunSummary, shares

_WIDTH = 118
_MOST_FILES = 5


def sections(
    ended: RunSummary,
    skipped: Sequence[str],
    *,
    command: Callable[[FindingCause], str],
    json: str,
    verbose: bool = False,
) -> Iterator[tuple[str, list[str]]]:
    """The parts of what is reported at the end, each with its headline. ``command`` gives that which shows a cause,
    ``json`` is the option that writes all of them."""
    found = listing.entries(ended.causes, command, json, whole=verbose)
    if found:
        yield f"findings by cause: {len(ended.causes)}" + ("" if verbose else " (-v shows each case)"), found
    yield "requirements", list(table.whole(ended) if verbose else table.brief(ended))
    if ended.disappeared:
        yield (
            _gone_headline(ended),
            [
                f"{name}: {entry.requirement}: {entry.reason} ({entry.link})".replace(" ()", "")
                for name, entry in ended.disappeared
            ],
        )
    if left := list(_on_machine(ended, whole=verbose)):
        yield "left on this machine", left
    if skipped:
        yield "plugins that were not tried", list(skipped)
    yield "conformance", list(_totals(ended))


def _on_machine(ended: RunSummary, *, whole: bool) -> Iterator[str]:
    """The files that are left in the machine's own directories, each with the first case that left it: what lies there
    every later case sees, too, and the next run."""
    first: dict[str, Case] = {}
    for case in ended.cases:
        for path in case.machine:
            first.setdefault(path, case)
    if not first:
        return
    yield "The hosts of labs share /tmp and home directories of this machine: every later case sees what is left there."
    for path, case in list(first.items())[: None if whole else _MOST_FILES]:
        yield f"{path}: {case.subject}, {case.requirement} {case.test} ({case.version})"
    if len(first) > _MOST_FILES and not whole:
        yield f"and {len(first) - _MOST_FILES} more (-v shows all)"


def _gone_headline(ended: RunSummary) -> str:
    who = "did" if ended.shipped else "these configurations did"
    return f"known deviations that {who} not show"


def _totals(ended: RunSummary) -> Iterator[str]:
    counts: dict[Level, Counter[CaseVerdict]] = {level: Counter() for level in Level}
    effects: Counter[Level] = Counter()
    for requirement, _, verdict, cases in ended.rows:
        counts[requirement.level][verdict] += 1
        effects[requirement.level] += verdict is CaseVerdict.PASSED and any(case.effect for case in cases)
    for level, found in counts.items():
        words = {verdict: f"{found[verdict]} {verdict.value}" for verdict in WORST_FIRST if found[verdict]}
        if CaseVerdict.PASSED in words:
            words[CaseVerdict.PASSED] += f" ({effects[level]} with an effect)"
        yield f"{level.value:7} {', '.join(words.values())}"
    yield from _open(ended)
    times = shares(ended.cases)
    tried = count(len(ended.cases), "case")
    yield (
        f"{tried}, {times['calls']:.0f} calls of plugins; of {times['seconds']:.1f} s of work "
        f"{times['plugins']:.0%} were spent in plugins, {times['tools']:.0%} in other programs, "
        f"{times['own']:.0%} in cnitest"
    )


def _open(ended: RunSummary) -> Iterator[str]:
    """What a plugin must do and was not shown to do, nor not to do: the run does not fail for it, so it is named."""
    blocked: dict[str, list[str]] = {}
    for requirement, subject, verdict, _ in ended.rows:
        if requirement.level is Level.MUST and verdict is CaseVerdict.UNDECIDED:
            blocked.setdefault(subject.name, []).append(requirement.id)
    if blocked:
        number = sum(map(len, blocked.values()))
        named = "; ".join(f"{name} {table.ids(each)}" for name, each in blocked.items())
        words = f"MUST    {number} undecided, for which the run does not fail: {named} ('blocked by', above, says why)"
        yield from textwrap.wrap(words, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)
