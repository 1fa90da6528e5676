"""Reads and writes baselines: YAML, in an order of its own, so that two versions of one compare line by line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cnitest import paths
from cnitest.cni import spec
from cnitest.conformance.model import requirement
from cnitest.errors import CnitestError, ConfigError
from cnitest.fuzz.model.violation import RULES
from cnitest.report.baseline.model import FORMAT, Baseline, Entry, Scope
from cnitest.topology import documents
from cnitest.topology.problem import Problem
from cnitest.typos import did_you_mean

_EMPTY = f"a baseline begins with 'format: {FORMAT}'; {{}} writes one"
_READ_BY, _WRITTEN_BY = "--baseline", "--write-baseline"
_HEAD = """\
# Findings of cnitest that are accepted for now, by cause: with --baseline FILE they fail no run, and all others do.
# Say in `comment` why, with a link. --write-baseline FILE keeps comments, adds what is new, and removes what is no
# longer found.
"""


def read(file: str, option: str = _WRITTEN_BY) -> Baseline:
    """The baseline of a file; ``option`` is what writes one. Raises ConfigError with every fault, one a line."""
    empty = _EMPTY.format(option)
    found, decoder = documents.read_file(Path(file), Baseline, empty)
    name = paths.near(file)
    if other := _of_another_form(found, name, f"{option} {name}", "spec" in decoder.where):
        raise ConfigError(other)
    again: Baseline = documents.table(Path(file), Baseline, empty, _problems)
    return again


def read_or(file: str, otherwise: Baseline) -> Baseline:
    """The baseline of a file, or another one where there is none yet. Raises ConfigError."""
    return read(file) if Path(file).exists() else otherwise


def check(option: str, file: str) -> None:
    """Raise ConfigError where the file that an option names is no baseline; one to be written may not be there yet."""
    if option.endswith("write-baseline") and not Path(file).exists():
        return
    writes = option if option.endswith("write-baseline") else option.replace("baseline", "write-baseline")
    try:
        read(file, writes)
    except ConfigError as error:
        raise ConfigError(f"{option}: {error}") from None


def _of_another_form(found: Baseline, name: str, writes: str, says_spec: bool) -> str:
    again = f"remove it, and write it again with {writes}"
    if found.format not in ("", FORMAT):
        return f"{name}: is of the form {found.format!r}, and this release reads {FORMAT!r}: {again}"
    if says_spec and found.spec != spec.VERSIONS[-1]:
        return (
            f"{name}: names requirements of version {found.spec} of the CNI specification, and this release checks "
            f"those of {spec.VERSIONS[-1]}: {again}"
        )
    return ""


def _problems(found: Baseline) -> Iterator[Problem]:
    for at, each in enumerate(found.plugins):
        for version in each.versions:
            if not spec.is_version(version):
                yield Problem(f"plugins[{at}].versions", f"there is no version {version!r}: {', '.join(spec.VERSIONS)}")
    for at, entry in enumerate(found.findings):
        yield from (Problem(f"findings[{at}]{key}", words) for key, words in _faults(entry))


def _faults(entry: Entry) -> Iterator[tuple[str, str]]:
    """What is wrong with an entry: the key, and the words."""
    whose = [key for key in ("requirement", "rule", "test") if getattr(entry, key)]
    if len(whose) != 1:
        yield "", f"names {' and '.join(whose) or 'nothing'}; it wants one of requirement, rule and test"
    if not entry.cause:
        yield "", "has no cause"
    if entry.requirement:
        yield from () if entry.plugin else [("", "names no plugin")]
        try:
            requirement.find(entry.requirement)
        except CnitestError as error:
            yield ".requirement", str(error)
    if entry.rule and entry.rule not in RULES:
        yield ".rule", f"fuzzing has no rule {entry.rule!r}{did_you_mean(entry.rule, RULES)}"


def check_plugins(found: Baseline, file: str, subjects: Iterable[str], option: str = _READ_BY) -> None:
    """Raise ConfigError where a baseline is of other plugins than the ``subjects`` of a run alone; ``option`` is what
    named it."""
    known, tried = [each.name for each in found.plugins], list(subjects)
    if known and tried and not set(known) & set(tried):
        raise ConfigError(
            f"{option} {paths.near(file)}: is of {', '.join(known)}, and this run tests {', '.join(tried)}"
            f"{did_you_mean(tried[0], known)}"
        )


def write(found: Baseline, file: str, option: str = _WRITTEN_BY) -> None:
    """Write a baseline. Raises ConfigError where the file cannot be written; ``option`` is what named it."""
    text = _HEAD + documents.written(as_data(found))
    try:
        paths.write(file, text)
    except OSError as error:
        raise ConfigError(f"{option} {paths.near(file)}: cannot be written: {error.strerror}") from error


def as_data(found: Baseline) -> dict[str, Any]:
    """A baseline as YAML has it."""
    return {
        "format": found.format,
        "spec": found.spec,
        "plugins": [{"name": each.name, "versions": list(each.versions)} for each in found.plugins],
        "findings": [entry_data(entry) for entry in found.findings],
    }


def from_data(data: Mapping[str, Any]) -> Baseline:
    """The baseline of which ``dataclasses.asdict`` made the data."""
    return Baseline(
        data["format"],
        data["spec"],
        tuple(Scope(each["name"], tuple(each["versions"])) for each in data["plugins"]),
        tuple(Entry(**each) for each in data["findings"]),
    )


def entry_data(entry: Entry) -> dict[str, str]:
    """An entry as YAML and JSON have it: what it is not of is left out."""
    whose = {key: value for key in ("plugin", "requirement", "rule", "test") if (value := getattr(entry, key))}
    return {**whose, "cause": entry.cause, "comment": entry.comment}
