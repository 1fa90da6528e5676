"""The paths among pytest's options, as whoever called pytest meant them."""

from __future__ import annotations

import json

import pytest

from cnitest.report import options

#: Where a worker on another machine finds the values of our options, as JSON.
SENT = "cnitest_options"
#: What a path begins with that is meant from a worker's own directory.
HERE = "./"


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
