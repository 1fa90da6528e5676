"""One scenario again, on a host of its own: for the tests that findings become."""

from __future__ import annotations

from collections.abc import Sequence

from cnitest.cni.calls.invoke import search_path
from cnitest.fuzz.execute.executor import alone
from cnitest.fuzz.model.scenario import loads
from cnitest.fuzz.model.subjects import subject_of, trial_of
from cnitest.fuzz.model.violation import Violation


def replay(subject: str, scenario: str, path: Sequence[str] = (), next_path: Sequence[str] = ()) -> list[Violation]:
    """What does not hold in a scenario, as `Scenario.dumps` wrote it, with the plugins of a search path; ``next_path``
    has those that it upgrades to.

    ``subject`` is a configuration's path or a plugin's name. Raises ConfigError, and ValueError for no scenario.
    """
    return alone(trial_of(subject_of(subject, search_path(path))), loads(scenario), tuple(next_path))
