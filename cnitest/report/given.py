"""Our options as whoever began a run meant them: paths from where they stood, names as they typed them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

import pytest

from cnitest.report import options

#: Where a worker on another machine finds the values of our options, as JSON.
SENT = "cnitest_options"
#: What a path begins with that is meant from a worker's own directory.
HERE = "./"
#: The name of an option, as it was typed, by its ``dest``.
Names = Callable[[str], str]


def declare_by_command(group: Any) -> None:
    """Declare `options.BY_COMMAND` to a group of pytest's parser."""
    group.addoption(options.BY_COMMAND, dest="cni_by_command", action="store_true", help=argparse.SUPPRESS)


def of_command(dest: str) -> str:
    """The name that `cnitest run` has for an option; pytest's where the command has none."""
    option = next(option for option in options.ALL if option.dest == dest)
    return option.command or option.pytest


def names(config: pytest.Config) -> Names:
    """How options are called by whoever began a run: by the command's names, or by pytest's."""
    if config.getoption(options.BY_COMMAND):
        return of_command
    return {option.dest: option.pytest for option in options.ALL}.__getitem__


def plugin_path(config: pytest.Config) -> tuple[str, ...]:
    """The search path for plugins."""
    from cnitest.cni.calls.invoke import search_path

    return tuple(config.getoption("--cni-path")) or search_path([], base=config.invocation_params.dir)


def resolve_paths(config: pytest.Config) -> None:
    """Make the paths among our options absolute, from where pytest was called: tests, and workers, may be elsewhere."""
    from cnitest import paths
    from cnitest.errors import ConfigError

    given, here = config.option, config.invocation_params.dir
    if received(config):
        return
    try:
        if given.cni_path:
            given.cni_path = list(paths.directories("--cni-path", given.cni_path, here, there=False))
        given.cni_conf = [paths.absolute(file, here) for file in given.cni_conf]
        if "/" in given.cni_topology or given.cni_topology.endswith((".yaml", ".yml")):
            given.cni_topology = paths.absolute(given.cni_topology, here)
        options.resolve(given, here)
    except ConfigError as error:
        raise pytest.UsageError(str(error)) from None


def received(config: pytest.Config) -> bool:
    """Take the values that this worker was sent by whoever leads the run, already resolved; whether there are any."""
    sent = getattr(config, "workerinput", {}).get(SENT)
    for name, value in json.loads(sent or "{}").items():
        setattr(config.option, name, _from_here(value, str(config.invocation_params.dir)))
    return sent is not None


def _from_here(value: object, directory: str) -> object:
    from cnitest import paths

    if isinstance(value, list):
        return [_from_here(each, directory) for each in value]
    return paths.absolute(value, directory) if isinstance(value, str) and value.startswith(HERE) else value
