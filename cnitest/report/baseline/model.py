"""A baseline as frozen data: causes of findings, each of one plugin and requirement, of one test, or of fuzzing."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from cnitest.cni import spec

#: The form of the file.
FORMAT = "cnitest-baseline/1"

Identity = tuple[str, str, str, str, str]


@dataclass(frozen=True)
class Entry:
    """One cause. It is of a ``test`` (``FILE::NAME``), or of a ``plugin`` (its name in a run) that a ``requirement``
    (its ID) or a ``rule`` of fuzzing finds at fault. ``cause`` is what all cases of it have in common, without
    addresses, numbers and other values; ``comment`` is its author's, who says why it is accepted."""

    cause: str = ""
    plugin: str = ""
    requirement: str = ""
    rule: str = ""
    test: str = ""
    comment: str = ""

    @property
    def identity(self) -> Identity:
        """What tells it from others; by this the file is sorted."""
        return self.plugin, self.requirement, self.rule, self.test, self.cause

    @property
    def words(self) -> str:
        """Of what it is, in one line."""
        of = " ".join(filter(None, (self.plugin, self.requirement or self.rule, self.test)))
        return f"{of}: {self.cause}"


@dataclass(frozen=True)
class Scope:
    """A plugin that a baseline was written of, by its name in a run, and the versions it was tested in."""

    name: str
    versions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Baseline:
    """What is accepted. ``spec`` is the version of the specification whose requirements it names."""

    format: str
    spec: str
    plugins: tuple[Scope, ...] = ()
    findings: tuple[Entry, ...] = ()

    def find(self, wanted: Entry) -> Entry | None:
        """The entry of the same cause, with its comment."""
        return next((entry for entry in self.findings if entry.identity == wanted.identity), None)

    def versions(self, plugin: str) -> tuple[str, ...]:
        """The versions that a plugin was tested in; none of one that it was not written of."""
        return next((each.versions for each in self.plugins if each.name == plugin), ())


#: A baseline of nothing.
EMPTY = Baseline(FORMAT, spec.VERSIONS[-1])


def updated(old: Baseline, found: Iterable[Entry], gone: Collection[Entry], tested: Iterable[Scope]) -> Baseline:
    """A baseline with what was found and without what is ``gone``; comments stay, and what was not tried."""
    kept = {entry.identity: entry for entry in old.findings if entry not in gone}
    for entry in found:
        kept.setdefault(entry.identity, entry)
    plugins = {each.name: each for each in old.plugins}
    for each in tested:
        before = plugins.get(each.name, each).versions
        together = (version for version in spec.VERSIONS if version in {*before, *each.versions})
        plugins[each.name] = replace(each, versions=tuple(together))
    return replace(
        old,
        plugins=tuple(plugins[name] for name in sorted(plugins)),
        findings=tuple(kept[identity] for identity in sorted(kept)),
    )
