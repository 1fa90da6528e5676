"""The causes of a run as a person reads them: one entry each, on two screens with the table."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from cnitest import paths, text
from cnitest.conformance.model.requirement import registry
from cnitest.conformance.model.verdict import CaseVerdict
from cnitest.report.conformance.causes import FindingCause
from cnitest.report.conformance.summary import SHORT

CommandOf = Callable[[FindingCause], str]
_WIDTH = 118
_INDENT = " " * 9
#: The lines that entries may take together before the less important ones are shortened.
_MOST_LINES = 60
# What every failed call has in common.
_ABOUT = re.compile(r" \((?:container|ifname)[^()]*\)|(?<=fails: )exit code 1: (?:code 999: )?")


class _Detail(NamedTuple):
    """How much of an entry is printed: lines of evidence (none: behind the headline), and whether the sentence of the
    requirement, what else shows, and the command."""

    lines: int
    says: bool = False
    also: bool = False
    how: bool = False


_FULL = _Detail(2, says=True, also=True, how=True)
_SHORT, _SHORTER, _LINE = _Detail(2, says=True, how=True), _Detail(1, how=True), _Detail(0)
#: For what fails when not even a line of each of the rest fits.
_CROWDED = (_Detail(1, says=True, how=True), _SHORTER, _LINE)
#: For what fails, and for the rest, the more of them the less.
_LADDER = ((_FULL, _FULL), (_FULL, _SHORTER), (_FULL, _Detail(1)), (_FULL, _LINE), (_SHORT, _LINE), (_SHORTER, _LINE))


def entries(found: Sequence[FindingCause], command: CommandOf, json: str, *, whole: bool = False) -> list[str]:
    """Lines of all causes. ``command`` gives the one that shows a cause, ``json`` is the option that writes all;
    ``whole`` leaves out nothing."""
    for weighty, others in _LADDER:
        lines = [line for one in found for line in _entry(one, command, weighty if _fails(one) else others)]
        if whole or len(lines) <= _MOST_LINES:
            return lines
    return _cut_to_fit(found, command, json)


def _cut_to_fit(found: Sequence[FindingCause], command: CommandOf, json: str) -> list[str]:
    """All that fails, in short, and as much of the rest as there is room for."""
    heavy = [cause for cause in found if _fails(cause)]
    lines: list[str] = []
    for detail in _CROWDED:
        lines = [line for cause in heavy for line in _entry(cause, command, detail)]
        if len(lines) <= _MOST_LINES:
            break
    rest = [line for cause in found if not _fails(cause) for line in _entry(cause, command, _LINE)]
    room = max(0, _MOST_LINES - len(lines))
    more = f"… and {len(rest) - room} causes more, none of which fails the run"
    left = [f"{more}: -v shows all, and {json} has them"]
    return [*lines, *rest[:room], *(left if len(rest) > room else [])]


def _fails(cause: FindingCause) -> bool:
    return cause.verdict in (CaseVerdict.BROKEN, CaseVerdict.FAILED)


def _entry(cause: FindingCause, command: CommandOf, detail: _Detail) -> Iterator[str]:
    evidence = _evidence(cause)
    if not detail.lines:
        yield _cut(f"{_headline(cause)}: {evidence}")
        return
    yield _cut(_headline(cause))
    if cause.verdict in (CaseVerdict.INHERITED, CaseVerdict.UNDECIDED):
        yield from _wrapped(evidence, detail.lines)
        return
    if detail.says:
        yield _cut(f"{_INDENT}{registry()[cause.requirements[0]].says}")
    yield from _wrapped(evidence, detail.lines)
    if detail.also and cause.also:
        more = f"and {len(cause.also)} more: {_ABOUT.sub('', cause.also[0])}"
        yield _cut(f"{_INDENT}{text.line(' '.join(more.split()))}")
    script = cause.shown_by.script
    if script:
        yield f"{_INDENT}$ bash {shlex.quote(paths.near(script))}"
    elif detail.how:
        yield f"{_INDENT}$ {command(cause)}"


def _headline(cause: FindingCause) -> str:
    first, *others = cause.requirements
    more = f", also {' '.join(others)}" if others else ""
    level, versions = registry()[first].level.value, _span(cause.versions)
    return f"{SHORT[cause.verdict]:8} {cause.subject}: {first} {level}{more} ({versions})"


def _evidence(cause: FindingCause) -> str:
    if cause.verdict is CaseVerdict.INHERITED:
        reason = cause.shown_by.reason or "a limitation of the CNI library that the plugin is built with"
        return f"{text.line(reason)}; -v shows each"
    words = _ABOUT.sub("", text.line(" ".join(cause.evidence.split())))
    return f"blocked by: {words}" if cause.verdict is CaseVerdict.UNDECIDED else words


def _span(versions: Sequence[str]) -> str:
    return versions[0] if len(versions) == 1 else f"{len(versions)} versions, {versions[0]} to {versions[-1]}"


def _wrapped(words: str, most: int) -> Iterator[str]:
    lines = textwrap.wrap(words, _WIDTH - len(_INDENT), break_on_hyphens=False)
    for number, line in enumerate(lines[:most]):
        last = number == most - 1 and len(lines) > most
        yield _INDENT + (line[: _WIDTH - len(_INDENT) - 2] + " …" if last else line)


def _cut(line: str) -> str:
    return line if len(line) <= _WIDTH else line[: _WIDTH - 2] + " …"
