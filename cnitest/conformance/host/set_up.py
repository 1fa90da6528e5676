"""Sets up a host as a profile says, for benches, fuzzing and fault injection alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any, Protocol

from cnitest.conformance.host.daemon import Daemon, start_daemon
from cnitest.conformance.host.data import data_directories
from cnitest.conformance.model.subject import Setting
from cnitest.explain.lab import Lab
from cnitest.lab.hosts import Host
from cnitest.topology import find, load
from cnitest.topology.building.plan import Plan, plan


class Notes(Protocol):
    """Who wants to know what is done to a host; `Silent` does not."""

    def run(self, *argv: str) -> object:
        """Run a command of the profile on the host."""
        ...

    def owned(self, directory: str) -> None:
        """The host has got a directory of its own where it had the machine's."""
        ...

    def daemon_started(self, argv: tuple[str, ...], socket: str) -> None:
        """A daemon is about to be started."""
        ...

    def daemon_ended(self) -> None:
        """The daemon is about to be killed."""
        ...


class Silent:
    """Runs the commands, and notes nothing."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def run(self, *argv: str) -> object:
        """Run a command on the host."""
        return self._host.run(argv)

    def owned(self, directory: str) -> None:
        """Nobody wants to know."""

    def daemon_started(self, argv: tuple[str, ...], socket: str) -> None:
        """Nobody wants to know."""

    def daemon_ended(self) -> None:
        """Nobody wants to know."""


@contextmanager
def open_lab(setting: Setting) -> Iterator[Lab]:
    """A fresh lab of the profile's topology. Raises TopologyError, FeatureMissing."""
    with Lab(_planned(setting.topology)) as lab:
        yield lab


@contextmanager
def set_up(
    host: Host, setting: Setting, binary: Callable[[], str], notes: Notes, confs: Sequence[Mapping[str, Any]]
) -> Iterator[Daemon | None]:
    """A host while it is set up: directories of its own for the data of the plugins with these configurations, the
    profile's commands, then its daemon, if it has one; ``binary`` is the path of the plugin whose daemon it is. Raises
    CommandError, PluginError, DeadlineExceeded."""
    with ExitStack() as undo:
        for directory in host.own(data_directories([*confs, setting.second or {}])):
            notes.owned(directory)
        host.show(argv[2] for argv in setting.host_setup if argv[:2] == ("mount", "--bind") and len(argv) > 2)
        for argv in setting.host_setup:
            notes.run(*argv)
        host.record_writing()
        yield undo.enter_context(_daemon(host, setting, binary, notes)) if setting.daemon else None


@contextmanager
def _daemon(host: Host, setting: Setting, binary: Callable[[], str], notes: Notes) -> Iterator[Daemon]:
    argv: Sequence[str] = [binary() if word == "{plugin}" else word for word in setting.daemon]
    notes.daemon_started(tuple(argv), setting.socket)
    with start_daemon(host, argv, setting.socket, notes.daemon_ended) as daemon:
        yield daemon


@cache
def _planned(topology: str) -> Plan:
    return plan(load(find(topology)))
