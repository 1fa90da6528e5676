"""Where and with what a run was made, as words by name: for JUnit, the job's summary and the index of artifacts."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator

import pytest

from cnitest.report import options

_MOST_PLUGINS = 64


def facts(config: pytest.Config) -> dict[str, str]:
    """The facts of a run: what is not known, or was not asked for, is left out."""
    return {name: words for name, words in (*_machine(), *_asked(config), *_plugins(config)) if words}


def _machine() -> Iterator[tuple[str, str]]:
    kernel = os.uname()
    yield "cnitest", _release()
    yield "kernel", f"{kernel.release} {kernel.machine}"
    yield "python", platform.python_version()
    yield "pytest", pytest.__version__
    yield "user", _user()


def _user() -> str:
    """Who runs it: root, or the ordinary user whose user namespace this is."""
    try:
        with open("/proc/self/uid_map", encoding="ascii") as file:
            inner, outer, _ = file.readline().split()
    except (OSError, ValueError):
        inner = outer = "0"
    if inner != outer:
        return f"uid {outer} in a user namespace"
    return f"uid {os.getuid()}" if os.getuid() else "root"


def _release() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("cnitest")
    except PackageNotFoundError:
        return "not installed"


def _asked(config: pytest.Config) -> Iterator[tuple[str, str]]:
    given = config.option
    yield "topology", given.cni_topology
    yield "profile", given.cni_profile
    yield "shard", given.cni_shard or ""
    yield "guest", os.environ.get("CNITEST_VM", "")
    for name in ("hypothesis_seed", "randomly_seed"):
        if (seed := getattr(given, name, None)) not in (None, "default"):
            yield name.replace("_", "-"), str(seed)
    yield "options", " ".join(options.as_pytest(given))


def _plugins(config: pytest.Config) -> Iterator[tuple[str, str]]:
    """What is tried, else each program of the search path, with the release where it names one."""
    from cnitest.cni import plugins
    from cnitest.report.conformance.tried import tried_of
    from cnitest.report.given import plugin_path

    tried = tried_of(config)
    for subject in tried:
        yield f"plugin.{subject.name}", _build(plugins.find(subject.plugin, subject.path), subject.banner)
    if tried:
        return
    path = plugin_path(config)
    for name in sorted({name for directory in path for name in _names(directory)})[:_MOST_PLUGINS]:
        if (file := plugins.find(name, path)) and os.access(file, os.X_OK):
            yield f"plugin.{name}", _build(file, "")


def _names(directory: str) -> list[str]:
    """The names in a directory of the search path; none of one that is not there, or may not be read."""
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _build(file: str, banner: str) -> str:
    from cnitest.cni import releases
    from cnitest.report.conformance import release

    named = (releases.reference(file) if file else "") or release.release(file, banner) or "release unknown"
    return f"{named}, sha256 {release.digest(file)}"
