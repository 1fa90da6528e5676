"""Findings of fuzzing and a baseline: which causes do not count, and a baseline with those that were found."""

from __future__ import annotations

from collections.abc import Iterable

from cnitest import paths
from cnitest.conformance.model.subject import Subject
from cnitest.fuzz.model.violation import Violation
from cnitest.plural import count
from cnitest.report.baseline import files
from cnitest.report.baseline.model import EMPTY, Baseline, Entry, Scope, updated


def causes(baseline: Baseline) -> frozenset[str]:
    """The causes of fuzzing that a baseline has, as `Violation.cause` says them."""
    return frozenset(f"{one.rule} {one.plugin}: {one.cause}" for one in baseline.findings if one.rule)


def read(file: str, subject: Subject) -> Baseline:
    """The baseline of a file, for one plugin. Raises ConfigError for one of other plugins."""
    found = files.read(file)
    chain = [str(conf["type"]) for conf in subject.before]
    names = filter(None, (subject.name, subject.plugin, *chain, subject.ipam))
    files.check_plugins(found, file, dict.fromkeys(names))
    return found


def write(file: str, before: Baseline | None, found: Iterable[Violation], subject: Subject) -> str:
    """Write what was found beside what the file has, or what was there ``before``; what was done, in words."""
    old = files.read_or(file, before or EMPTY)
    new = updated(old, map(_entry, found), (), [Scope(subject.name)])
    files.write(new, file)
    more = len(new.findings) - len(old.findings)
    why = "; say in its comments why" if more else ""
    return f"{paths.near(file)}: written, {count(len(new.findings), 'cause')} ({more} new){why}"


def _entry(violation: Violation) -> Entry:
    cause = violation.cause.removeprefix(f"{violation.rule} {violation.plugin}: ")
    return Entry(cause, plugin=violation.plugin, rule=violation.rule)
