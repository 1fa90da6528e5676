"""What a run says before anything else: what is tried, where, and what cannot be."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from cnitest import paths
from cnitest.cni import plugins, spec
from cnitest.conformance.model.subject import Subject
from cnitest.report import options
from cnitest.report.conformance import release, unstarted
from cnitest.report.conformance.choice import Chosen
from cnitest.report.given import Names


def lines(subjects: Sequence[Subject], profile: str) -> Iterator[str]:
    """The plugins with their releases and digests, as what they are tried, the topologies and the versions."""
    yield f"cnitest: checked against the CNI specification, as profile {profile!r} expects it"
    rows = [*_subjects(subjects), *_others(subjects)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        yield "  " + "  ".join([*(cell.ljust(wide) for cell, wide in zip(row, widths, strict=False)), row[-1]])
    for place in dict.fromkeys((subject.setting.topology, subject.setting.host) for subject in subjects):
        yield f"  topology {_topology(place[0])}, host {place[1]}"


def violations(found: Chosen, given: bool, named: Names) -> Iterator[str]:
    """Words that nobody reads, a line each, and the networks that cannot start; of those ``given`` the first only."""
    yield from (f"warning: {line}" for line in found.warnings)
    for failure in found.unstarted[:1] if given else found.unstarted:
        yield from unstarted.lines(failure, named, stops=given)


def ends(found: Chosen, given: bool) -> bool:
    """Whether there is no going on: a network that was given cannot start, or none can."""
    return bool(found.unstarted) and (given or not found.subjects)


def unwritten(given: Any) -> Iterator[str]:
    """That what was to be written is not, for nothing was tried: a line, or none. ``given`` are pytest's options."""
    files = [getattr(given, option.dest, None) for option in options.ALL if option.fills]
    missing = [paths.near(str(file)) for file in (*files, given.xmlpath) if file]
    if missing:
        yield f"not written, for nothing was tried: {', '.join(missing)}"


def _subjects(subjects: Sequence[Subject]) -> Iterator[tuple[str, ...]]:
    for subject in subjects:
        kind = {"interface": "makes an interface", "meta": "chained", "ipam": "gives addresses"}[subject.kind.value]
        file = plugins.find(subject.plugin, subject.path)
        yield (subject.name, *_build(file, subject.banner), f"{kind}, {_versions(subject.versions)}", _near(file))


def _others(subjects: Sequence[Subject]) -> Iterator[tuple[str, ...]]:
    """Plugins that are called and not checked: those before one in its list, and those it delegates to."""
    checked = {subject.plugin for subject in subjects}
    for subject in subjects:
        for name in (*(str(conf["type"]) for conf in subject.before), subject.ipam):
            if name and name not in checked:
                checked.add(name)
                file = plugins.find(name, subject.path)
                yield (name, *_build(file, ""), "called, not checked", _near(file))


def _build(file: str, banner: str) -> tuple[str, str]:
    digest = release.digest(file)
    return release.release(file, banner) or "release unknown", f"sha256 {digest}" if digest else ""


def _versions(versions: Sequence[str]) -> str:
    ordered = sorted(versions, key=spec.VERSIONS.index)
    return f"CNI {ordered[0]}" + (f" to {ordered[-1]}" if len(ordered) > 1 else "")


def _near(file: str) -> str:
    return paths.near(file) if file else ""


def _topology(name: str) -> str:
    return paths.near(name) if os.sep in name else name
