"""A run as a page of Markdown: totals, failures by cause, what was skipped and why, and where it ran."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from html import escape

from cnitest import text
from cnitest.report.ci import failures
from cnitest.report.ci.failures import Failure, RunTally

_ORDER = ("failed", "error", "passed", "skipped")
_MOST_CAUSES, _MOST_TESTS, _MOST_REASONS = 100, 20, 30
_MOST_WORDS = 300
#: What means something between tags: of an underscore one at a word's edge, of parentheses one behind a bracket.
_MARKUP = re.compile(r"[\\`*|~]|(?<!\w)_|_(?!\w)|(?<=\])\(")


def page(tally: RunTally, facts: Mapping[str, str], place: Callable[[Failure], str]) -> str:
    """The page; ``place`` is a failure's file as the repository has it, empty where that has none."""
    lines = [f"### cnitest: {_totals(tally)}", "", *_failures(tally, place), *_skips(tally), *_environment(facts)]
    return "\n".join(lines) + "\n"


def _totals(tally: RunTally) -> str:
    known = [name for name in _ORDER if tally.outcomes[name]]
    others = sorted(name for name in tally.outcomes if name not in _ORDER)
    words = {"error": "errors", "expected failure": "expected failures"}
    return ", ".join(f"{tally.outcomes[name]} {words.get(name, name)}" for name in (*known, *others)) or "no tests ran"


def _failures(tally: RunTally, place: Callable[[Failure], str]) -> Iterator[str]:
    groups = failures.by_cause(tally.failures)
    if not groups:
        return
    yield from ("#### Failures by cause", "", "| tests | cause | where | first seen in |", "|---:|---|---|---|")
    for group in groups[:_MOST_CAUSES]:
        one, file = group[0], place(group[0])
        seen = _code(one.test) + (f" ({_code(f'{file}:{one.line}')})" if file else "")
        yield f"| {len(group)} | {_cell(one.why)} | {_cell(one.hop)} | {seen} |"
    if len(groups) > _MOST_CAUSES:
        yield f"| {sum(map(len, groups[_MOST_CAUSES:]))} | {len(groups) - _MOST_CAUSES} further causes | | |"
    yield ""
    for group in groups[:_MOST_CAUSES]:
        yield from _details(group)


def _details(group: list[Failure]) -> Iterator[str]:
    """A cause with what its first test said, and its tests, folded."""
    one = group[0]
    yield from (f"<details><summary>{_html(one.why)}</summary>", "", _code(one.message), "")
    if "probe" in one.loss:
        yield f"- probe: {_code(one.loss['probe'])}"
    if "remedy" in one.loss:
        yield f"- would pass with: {_code(one.loss['remedy'])}"
    yield from (f"- {_code(each.test)}, in {each.phase}" for each in group[:_MOST_TESTS])
    if len(group) > _MOST_TESTS:
        yield f"- and {len(group) - _MOST_TESTS} more"
    yield from ("", "</details>", "")


def _skips(tally: RunTally) -> Iterator[str]:
    if not tally.skips:
        return
    yield from (f"<details><summary>{tally.outcomes['skipped']} skipped, by reason</summary>", "")
    yield from (f"- {number}: {_cell(reason)}" for reason, number in tally.skips.most_common(_MOST_REASONS))
    if len(tally.skips) > _MOST_REASONS:
        yield f"- and {len(tally.skips) - _MOST_REASONS} other reasons"
    yield from ("", "</details>", "")


def _environment(facts: Mapping[str, str]) -> Iterator[str]:
    yield from ("<details><summary>Environment</summary>", "")
    yield from (f"- {name}: {_cell(words)}" for name, words in facts.items())
    yield from ("", "</details>", "")


def _html(words: str) -> str:
    # Quotes mean nothing outside attributes, and the # of their entity would be escaped once more.
    return escape(text.line(words, _MOST_WORDS), quote=False)


def _cell(words: str) -> str:
    """Words in a cell of a table or a list, where none of their characters means anything."""
    return "".join(f"\\{each}" if each in "\\`*_[]|#" else each for each in _html(words))


def _code(words: str) -> str:
    """Words as code: nothing in them ends it, or a table's cell, or is markup, which is read between HTML's tags too
    (https://github.github.com/gfm/#raw-html)."""
    return f"<code>{_MARKUP.sub(lambda found: f'&#{ord(found[0])};', _html(words))}</code>"
