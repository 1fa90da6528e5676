"""What is checked against the requirements: one plugin, how it is called, and where."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cnitest.conformance.model.requirement import Kind, Requirement
from cnitest.plugins import files
from cnitest.plugins.knowledge import Plugin

_TOPOLOGY = "node-with-uplink"
Argv = tuple[str, ...]


@dataclass(frozen=True)
class Expectation:
    """What packets are expected to do; None means that it is read off the result and the topology."""

    gateway: bool | None = None
    peer: bool | None = None
    internet: bool | None = None
    inbound: bool | None = None
    neighbours: bool | None = None


@dataclass(frozen=True)
class Setting:
    """All that a plugin is called with besides the protocol itself; a profile file says it, defaults stand in.

    ``host_setup`` and ``container_setup`` are commands to run on the host before anything, and there for each
    container before its first ADD; {container}, {netns} and {ifname} are replaced in them, and in the configuration.
    ``capabilities`` are what the runtime provides; where ``defaults``, more is for what else is declared (`provision`).
    ``schema`` is a JSON Schema of the plugin's configurations, for fuzzing, ``knowledge`` the file of what is known of
    it.
    ``daemon`` is started first and killed last; ``socket`` is the path that shows it is ready. ``leftover`` are
    patterns of what may stay after DEL besides what we allow everybody. ``second`` is a configuration of another
    network for the same plugin.
    """

    topology: str = _TOPOLOGY
    host: str = "node"
    ifname: str = "eth0"
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    defaults: bool = True
    args: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    host_setup: tuple[Argv, ...] = ()
    container_setup: tuple[Argv, ...] = ()
    daemon: Argv = ()
    socket: str = ""
    leftover: tuple[str, ...] = ()
    second: Mapping[str, Any] | None = None
    expect: Expectation = field(default_factory=Expectation)
    skip: Mapping[str, str] = field(default_factory=dict)
    schema: Mapping[str, Any] = field(default_factory=dict)
    knowledge: str = ""


@dataclass(frozen=True)
class Subject:
    """One plugin under test. ``name`` tells it from others in a run.

    ``before`` are the plugins before it in its list, ``conf`` its own configuration, ``versions`` those to test it in,
    ``advertised`` what it answered to VERSION, ``banner`` what it says of itself when called without a command,
    ``result`` what its first ADD answered (in the highest version), ``faults`` what was wrong with that.
    ``seconds`` is how long that ADD took, ``effect`` whether it changed anything on host or in container. ``skel`` says
    whether it is built on CNI's own Go library, ``library`` on which release (see `cnitest.cni.library`), empty when
    the binary does not have it; ``release`` is that of the reference plugins, empty for anybody else's.
    """

    name: str
    plugin: str
    kind: Kind
    network: str
    conf: Mapping[str, Any]
    before: tuple[Mapping[str, Any], ...]
    path: tuple[str, ...]
    versions: tuple[str, ...]
    advertised: tuple[str, ...]
    source: str
    banner: str = ""
    skel: bool = False
    library: str = ""
    release: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    effect: bool = True
    setting: Setting = field(default_factory=Setting)

    @property
    def ipam(self) -> str:
        """The IPAM plugin that it delegates to; empty without one, and for an IPAM plugin itself."""
        section = self.conf.get("ipam")
        found = section.get("type") if isinstance(section, Mapping) and self.kind is Kind.INTERFACE else None
        return found if isinstance(found, str) else ""

    def known(self, plugin: str) -> Plugin:
        """What is known of a plugin of its network, from the file that its profile hands in or a shipped one."""
        return files.known(plugin, self.setting.knowledge)

    @property
    def highest(self) -> str:
        """The newest version it is tested in."""
        return self.versions[-1]

    def only_newest(self) -> Subject:
        """The same subject, to be tested in its newest version alone."""
        return dataclasses.replace(self, versions=self.versions[-1:])

    def gap(self, requirement: Requirement, version: str) -> str:
        """Why a requirement does not apply to it in a version; empty when it does."""
        skipped = self.setting.skip.get(requirement.id)
        if skipped:
            return f"{self.source} skips it: {skipped}"
        return requirement.gap(self.kind, version)


@dataclass(frozen=True)
class Trial:
    """A subject in one version: what most tests are about."""

    subject: Subject
    version: str

    def __str__(self) -> str:
        return f"{self.subject.name}-{self.version}"


def to_data(subjects: Sequence[Subject]) -> list[dict[str, Any]]:
    """Subjects as what JSON can carry to another process."""
    return [{**dataclasses.asdict(subject), "kind": subject.kind.value} for subject in subjects]


def from_data(rows: Sequence[Mapping[str, Any]]) -> tuple[Subject, ...]:
    """The subjects that `to_data` was given."""
    return tuple(_subject(row) for row in rows)


def _subject(row: Mapping[str, Any]) -> Subject:
    lists = {key: tuple(row[key]) for key in ("before", "path", "versions", "advertised")}
    return Subject(**{**row, **lists, "kind": Kind(row["kind"]), "setting": _setting(row["setting"])})


def _setting(row: Mapping[str, Any]) -> Setting:
    commands = {key: tuple(tuple(argv) for argv in row[key]) for key in ("host_setup", "container_setup")}
    plain = {key: tuple(row[key]) for key in ("daemon", "leftover")}
    return Setting(**{**row, **commands, **plain, "expect": Expectation(**row["expect"])})
