"""The paths among pytest's options, as whoever called pytest meant them."""

from __future__ import annotations

import pytest

from cnitest.report import options


def plugin_path(config: pytest.Config) -> tuple[str, ...]:
    """The search path for plugins."""
    from cnitest.cni.calls.invoke import search_path

    return tuple(config.getoption("--cni-path")) or search_path([], base=config.invocation_params.dir)


def resolve_paths(config: pytest.Config) -> None:
    """Make the paths among our options absolute, from where pytest was called: tests, and workers, may be elsewhere."""
    from cnitest import paths
    from cnitest.errors import ConfigError

    given, here = config.option, config.invocation_params.dir
    try:
        if given.cni_path:
            given.cni_path = list(paths.directories("--cni-path", given.cni_path, here, there=False))
        given.cni_conf = [paths.absolute(file, here) for file in given.cni_conf]
        if "/" in given.cni_topology or given.cni_topology.endswith((".yaml", ".yml")):
            given.cni_topology = paths.absolute(given.cni_topology, here)
        options.resolve(given, here)
    except ConfigError as error:
        raise pytest.UsageError(str(error)) from None
