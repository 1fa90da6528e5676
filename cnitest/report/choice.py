"""Which plugins a run holds to the specification: those of configurations, and those with a shipped profile."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import NamedTuple

from cnitest.cni import spec
from cnitest.conformance import shipped
from cnitest.conformance.examine import Source, examine, require, source
from cnitest.conformance.subject import Subject
from cnitest.errors import CnitestError, ConfigError, FeatureMissing


class Choice(NamedTuple):
    """What was asked for. ``newest`` tests each in its newest version only."""

    given: tuple[str, ...]
    plugins: tuple[str, ...]
    path: tuple[str, ...]
    versions: tuple[str, ...]
    newest: bool = False


def chosen(choice: Choice) -> tuple[tuple[Subject, ...], tuple[str, ...]]:
    """The subjects, and why some that were asked for are not among them. Raises ConfigError."""
    sources, skipped = _sources(choice)
    unspoken = skipped if "all" in choice.plugins else None
    helpers = shipped.helpers()
    subjects = examine(sources, choice.path, versions=choice.versions, helpers=helpers, skipped=unspoken)
    if not subjects:
        raise ConfigError("; ".join(skipped))
    if choice.newest:
        subjects = tuple(subject.only_newest() for subject in subjects)
    return subjects, tuple(skipped)


def check(choice: Choice) -> None:
    """Raise ConfigError when a choice cannot be run: what is seen without calling any plugin."""
    sources, _ = _sources(choice)
    for each in sources:
        require(each, (*each.path, *choice.path))
    unknown = [version for version in choice.versions if not spec.is_version(version)]
    if unknown:
        raise ConfigError(f"there is no version {', '.join(unknown)} of the specification: {', '.join(spec.VERSIONS)}")


def _sources(choice: Choice) -> tuple[list[Source], list[str]]:
    sources = [source(Path(name), choice.path) for name in choice.given]
    skipped: list[str] = []
    for profile in _profiles(choice.plugins):
        try:
            found = source(profile)
        except FeatureMissing as error:
            skipped.append(str(error))
            continue
        lacking = [name for name in _names(found) if not _there(name, (*found.path, *choice.path))]
        if lacking and "all" in choice.plugins:
            skipped.append(f"{profile.stem}: no plugin {', '.join(map(repr, lacking))} in {':'.join(choice.path)}")
        else:
            sources.append(found)
    if not sources:
        raise ConfigError("; ".join(skipped) or "no plugin was chosen")
    return sources, skipped


def _names(found: Source) -> list[str]:
    return [str(plugin["type"]) for plugin in found.network.plugins]


def _there(name: str, path: tuple[str, ...]) -> bool:
    return any((Path(directory) / name).is_file() for directory in path)


def _profiles(names: tuple[str, ...]) -> list[Path]:
    known = shipped.profiles()
    if "all" in names:
        return list(known.values())
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            advice = f"; did you mean {close[0]!r}?" if close else ""
            raise CnitestError(f"there is no profile for a plugin {name!r}; there are: {', '.join(known)}{advice}")
    return [known[name] for name in names]
