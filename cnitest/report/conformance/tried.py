"""What a run of the conformance suite tries: found once, where the run is led, and handed to its workers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from cnitest.conformance.model.subject import Subject
    from cnitest.report.conformance.choice import Chosen

_SUBJECTS = pytest.StashKey[Any]()
_CHOSEN = pytest.StashKey[Any]()
_HANDED = "cnitest_subjects"


def is_asked_for(config: pytest.Config) -> bool:
    """Whether the conformance suite was asked for by name, with what to try."""
    if not (config.getoption("--cni-conf") or config.getoption("--cni-plugin")):
        return False  # nothing is looked for when pytest starts
    from cnitest.report import suite

    return suite.is_named(config.args, config.invocation_params.dir, modules=config.getoption("pyargs"))


def wanted(config: pytest.Config) -> frozenset[str]:
    """The requirements that were asked for by their IDs; none for all."""
    if not config.getoption("--cni-requirement"):
        return frozenset()  # nothing is read when pytest starts
    from cnitest.conformance.model.requirement import find
    from cnitest.errors import CnitestError

    try:
        return frozenset(find(identifier).id for identifier in config.getoption("--cni-requirement"))
    except CnitestError as error:
        raise pytest.UsageError(str(error)) from None


def subjects_of(config: pytest.Config) -> tuple[Subject, ...]:
    """The subjects of a run: of --cni-conf, of --cni-plugin, else of the fast slice. Found once."""
    if _SUBJECTS not in config.stash:
        given = getattr(config, "workerinput", {}).get(_HANDED)
        if given is not None:
            from cnitest.conformance.model.subject import from_data

            config.stash[_SUBJECTS] = from_data(json.loads(given))
        else:
            config.stash[_SUBJECTS] = chosen_of(config).subjects
    found: tuple[Subject, ...] = config.stash[_SUBJECTS]
    return found


def chosen_of(config: pytest.Config) -> Chosen:
    """What was chosen, and what cannot be. Found once, where the run is led."""
    if _CHOSEN not in config.stash:
        from cnitest.errors import CnitestError
        from cnitest.report.conformance.choice import asked, chosen
        from cnitest.report.given import plugin_path

        choice = asked(config.option, plugin_path(config), otherwise=_slice)
        choice = choice if is_asked_for(config) else choice._replace(keep_going=True)
        try:
            config.stash[_CHOSEN] = chosen(choice)
        except CnitestError as error:
            raise pytest.UsageError(str(error)) from None
    found: Chosen = config.stash[_CHOSEN]
    return found


def _slice() -> tuple[str, ...]:
    """The plugins to try where nobody said which."""
    from cnitest.plugins import files

    return tuple(plugin.name for plugin in files.every() if plugin.in_slice)


def tried_of(config: pytest.Config) -> tuple[Subject, ...]:
    """The subjects of a run of the conformance suite; none of any other run."""
    return chosen_of(config).subjects if _CHOSEN in config.stash else ()


def skipped_of(config: pytest.Config) -> tuple[str, ...]:
    """Why some of the subjects that were asked for are not among those of the run."""
    return chosen_of(config).skipped if _CHOSEN in config.stash else ()


def hand_over(config: pytest.Config, workerinput: dict[str, Any]) -> None:
    """Give a worker of pytest-xdist the subjects of the run."""
    from cnitest.conformance.model.subject import to_data

    workerinput[_HANDED] = json.dumps(to_data(subjects_of(config)))
