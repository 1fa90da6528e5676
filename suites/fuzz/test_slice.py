"""Generated configurations, calls by hand and sequences of operations of a few plugins, the same ones each time."""

from __future__ import annotations

from functools import cache

import pytest

from cnitest.cni.calls.invoke import search_path
from cnitest.conformance.model.subject import Subject
from cnitest.fuzz.execute.executor import ReusingExecutor
from cnitest.fuzz.model.subjects import subject_of, trial_of
from cnitest.fuzz.search import survey
from cnitest.fuzz.search.workers import FuzzSettings

PLUGINS = ("bridge", "host-local", "portmap", "tuning")
EXAMPLES = {"valid": 10, "boundary": 12, "invalid": 12, "by-hand": 24, "sequences": 5, "chains": 4}
CHAINED = ("bridge", "portmap", "tuning")
SEED = 1
RELEASE = "1.1.1"
#: The kinds whose cases keep the names that they had.
FORMER = {"sequences": "histories"}

pytestmark = pytest.mark.requires(plugin=PLUGINS)


@cache
def subject(plugin: str, path: tuple[str, ...]) -> Subject:
    """What a plugin of a search path is, looked at once."""
    return subject_of(plugin, path)


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: FORMER.get(kind, kind))
@pytest.mark.parametrize("plugin", PLUGINS)
def test_what_shows_is_known(plugin: str, kind: str, pytestconfig: pytest.Config) -> None:
    """Nothing shows in a fixed number of scenarios from a fixed seed but what is known of the plugin."""
    if kind == "chains" and plugin not in CHAINED:
        pytest.skip(f"{plugin} is never chained")
    found = subject(plugin, tuple(search_path(pytestconfig.getoption("--cni-path"))))
    settings = FuzzSettings(found, (), SEED, 0.0, release=RELEASE)

    with ReusingExecutor(trial_of(found)) as executor:
        shown = survey.survey(executor, survey.KINDS[kind](settings), EXAMPLES[kind], SEED)

    unknown = survey.unknown(shown)
    assert not unknown, "\n\n".join(one.story for one in unknown)
