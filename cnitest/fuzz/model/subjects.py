"""What is fuzzed: a plugin with a shipped profile, or a configuration of somebody's own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from cnitest import paths
from cnitest.conformance.discover.examine import examine, source
from cnitest.conformance.model.requirement import Kind
from cnitest.conformance.model.shipped import helpers, profiles
from cnitest.conformance.model.subject import Subject, Trial
from cnitest.errors import ConfigError
from cnitest.typos import did_you_mean

_RELEASE = re.compile(r"\bv(\d+\.\d+\.\d+)")
# The release that began to speak 1.1.0, and the one that keys are known since.
_FIRST_OF_1_1_0, _OLDEST = "1.6.0", "1.1.1"


def located(name: str) -> str:
    """What names a subject from any directory: a plugin's name as it is, a file by its absolute path."""
    return name if name in profiles() else paths.absolute(name)


def subject_of(name: str, path: Sequence[str]) -> Subject:
    """The subject of a plugin's name, or of a file or directory: the last plugin of its list.

    Raises ConfigError for a plugin that is not there or of which nothing is known, and FeatureMissing.
    """
    known = profiles()
    if name in known:
        file = known[name]
    elif Path(name).exists() or "/" in name or "." in name:
        file = Path(paths.absolute(name))
    else:
        advice = did_you_mean(name, known, clause=True)
        raise ConfigError(f"there is neither a file nor a shipped profile {name!r} of: {', '.join(known)}{advice}")
    found = examine([source(file, path)], path, helpers=helpers())
    named = [subject for subject in found if name in (subject.name, subject.plugin)]
    chained = [subject for subject in found if subject.kind is not Kind.IPAM]
    return (named or chained or list(found))[-1]


def release_of(subject: Subject) -> str:
    """The release of CNI's plugins that a plugin is of, or is like: what it says of itself, else by what it speaks."""
    found = _RELEASE.search(subject.banner)
    if found:
        return found[1]
    return _FIRST_OF_1_1_0 if "1.1.0" in subject.advertised else _OLDEST


def trial_of(subject: Subject) -> Trial:
    """Where a subject is fuzzed: in its highest version."""
    return Trial(subject, subject.highest)
