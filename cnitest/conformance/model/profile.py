"""A plugin's own profile, ``cnitest.yaml``: how it wants to be called, where, and what to expect of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from cnitest import paths, topology
from cnitest.cni import conf, spec
from cnitest.cni.conf import Network
from cnitest.conformance.model import requirement
from cnitest.conformance.model.requirement import Kind
from cnitest.conformance.model.subject import Argv, Expectation, Setting
from cnitest.errors import CnitestError, ConfigError, TopologyError
from cnitest.kernel import features
from cnitest.kernel.processes import programs
from cnitest.plugins import files
from cnitest.topology import documents
from cnitest.topology.compose import lines_of
from cnitest.topology.decode import Decoder
from cnitest.topology.problem import Problem, child
from cnitest.topology.words import lookalikes
from cnitest.topology.words.command_line import words_of
from cnitest.typos import did_you_mean, meant, nearest

#: What a profile beside a plugin or a configuration is called.
NAME = "cnitest.yaml"
_EMPTY = "a profile needs at least 'conf'"


@dataclass(frozen=True)
class _Daemon:
    """A program that is started first; ``socket`` shows that it is ready."""

    command: tuple[str, ...] = ()
    socket: str = ""


@dataclass(frozen=True)
class _Written:
    """The keys of a profile as they are written (docs/conformance.md)."""

    #: What the plugin is called in reports, and a sentence for people.
    name: str = ""
    about: str = ""
    #: A file, or a configuration, and another one of another network.
    conf: Any = None
    second: Mapping[str, Any] | None = None
    #: Directories with plugins to search before all others, and the plugin that it is about.
    path: str | tuple[str, ...] = ()
    plugin: str = ""
    kind: Literal["interface", "meta", "ipam"] | None = None
    #: Versions to test it in, of those that it speaks.
    versions: tuple[str, ...] = ()
    #: A topology's name or file, the host there that the plugin runs on, the interface name to ask for.
    topology: str = ""
    host: str = ""
    ifname: str = ""
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    args: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    #: Directories of the machine to be seen on the host: PLACE: SOURCE.
    mounts: Mapping[str, str] = field(default_factory=dict)
    #: Commands to run on the host first, and there for each container.
    host_setup: tuple[str | tuple[str, ...], ...] = ()
    container_setup: tuple[str | tuple[str, ...], ...] = ()
    daemon: _Daemon = field(default_factory=_Daemon)
    #: Patterns of what may stay after DEL.
    leftover: tuple[str, ...] = ()
    expect: Expectation = field(default_factory=Expectation)
    #: Features of the kernel and programs that must be there.
    requires: tuple[str, ...] = ()
    #: ID: REASON.
    skip: Mapping[str, str] = field(default_factory=dict)
    #: The file of what is known of the plugin: its keys, what it makes, what it needs.
    knowledge: str = ""
    #: A JSON Schema of its configurations, or the file of one, for fuzzing.
    schema: Any = None


@dataclass(frozen=True)
class Profile:
    """What a profile file says. ``requires`` are features of the kernel and programs, ``path`` places of plugins."""

    source: Path
    network: Network | None
    setting: Setting
    name: str = ""
    plugin: str = ""
    kind: Kind | None = None
    requires: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    about: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


def load(path: Path) -> Profile:
    """Read a profile. Raises ConfigError that names the file, the line and every fault."""
    written, decoder = documents.read_file(path, _Written, _EMPTY)
    reader = _Reader(path, written, decoder)
    profile = reader.profile()
    faults = [*lines_of(str(path), decoder.problems), *reader.of_others]
    if faults and (other := lookalikes.said(paths.read(path).decode(), "profile")):
        raise ConfigError(f"{path}: {other}")
    if faults:
        raise ConfigError("\n".join(faults))
    return profile


class _Reader:
    """Makes a profile of what is written, and reports what is wrong with it."""

    def __init__(self, path: Path, written: _Written, decoder: Decoder) -> None:
        #: The faults of files that the profile names.
        self.of_others: list[str] = []
        self._path = path
        self._written = written
        self._decoder = decoder

    def profile(self) -> Profile:
        written = self._written
        return Profile(
            source=self._path,
            network=self._network(),
            setting=self._setting(),
            name=written.name,
            plugin=written.plugin,
            kind=Kind(written.kind) if written.kind else None,
            requires=self._requires(),
            path=self._directories(),
            versions=self._versions(),
            about=written.about,
        )

    def _versions(self) -> tuple[str, ...]:
        """Those to test; one that the specification does not have would leave itself out without a word."""
        for at, version in enumerate(self._written.versions):
            if not spec.is_version(version):
                longer = f"{version}.0"
                close = longer if spec.is_version(longer) else nearest(version, spec.VERSIONS)
                hint = f"; did you mean {close!r}?" if close else f"; there are {', '.join(spec.VERSIONS)}"
                self._fault(f"versions[{at}]", f"there is no version {version!r} of the specification{hint}")
        return self._written.versions

    def _leftover(self) -> tuple[str, ...]:
        for at, pattern in enumerate(self._written.leftover):
            if why := documents.no_pattern(pattern):
                self._fault(f"leftover[{at}]", f"{pattern!r} {why}")
        return self._written.leftover

    def _requires(self) -> tuple[str, ...]:
        """Features and programs; a name that is a misspelt one would leave the plugin out for good."""
        names = self._written.requires
        for at, name in enumerate(names):
            if name in features.names() or programs.find(name):
                continue
            close = meant(name, features.names()) or programs.misspelt(name)
            if close:
                self._fault(f"requires[{at}]", f"there is no feature or program {name!r}; did you mean {close!r}?")
        return names

    def _setting(self) -> Setting:
        written, plain = self._written, Setting()
        return Setting(
            topology=self._topology() or plain.topology,
            host=written.host or plain.host,
            ifname=written.ifname or plain.ifname,
            capabilities=written.capabilities,
            args=written.args,
            environment=written.environment,
            host_setup=(*self._mounts(), *self._commands("host_setup", written.host_setup)),
            container_setup=self._commands("container_setup", written.container_setup),
            daemon=written.daemon.command,
            socket=written.daemon.socket,
            leftover=self._leftover(),
            second=written.second or None,
            expect=written.expect,
            skip=self._skipped(),
            schema=self._schema(),
            knowledge=self._knowledge(),
        )

    def _knowledge(self) -> str:
        """The file, read once for its faults."""
        given = self._written.knowledge
        file = str(self._beside(given)) if given else ""
        if file:
            try:
                files.load(file)
            except ConfigError as error:
                self.of_others += str(error).splitlines()
        return file

    def _schema(self) -> dict[str, Any]:
        given = self._written.schema
        if not isinstance(given, str):
            return dict(given) if isinstance(given, dict) else self._reject("schema", given)
        try:
            found = json.loads(paths.read(self._beside(given)))
        except (OSError, ValueError) as error:
            self._fault("schema", f"{given}: {error}")
            return {}
        return found if isinstance(found, dict) else {}

    def _reject(self, key: str, given: object) -> dict[str, Any]:
        if given is not None:
            self._fault(key, "expected a file, or a mapping")
        return {}

    def _fault(self, path: str, words: str) -> None:
        self._decoder.problems.append((self._decoder.place(path), Problem(path, words)))

    def _commands(self, key: str, given: tuple[str | tuple[str, ...], ...]) -> tuple[Argv, ...]:
        found = []
        for at, item in enumerate(given):
            words, why = words_of(item) if isinstance(item, str) and item else (tuple(item), "")
            if not words:
                self._fault(f"{key}[{at}]", why or "is no command: a list of words, or words in one text")
            found.append(words)
        return tuple(filter(None, found))

    def _mounts(self) -> tuple[Argv, ...]:
        found: list[Argv] = []
        for place, source in self._written.mounts.items():
            if not place.startswith("/"):
                self._fault(child("mounts", place), f"{place!r} is no place on the host: write an absolute path")
            if not self._beside(str(source)).exists():
                missing = self._beside(str(source))
                self._fault(child("mounts", place), f"{source!r}: there is no {missing}{paths.advice(missing)}")
            found += [("mkdir", "-p", place), ("mount", "--bind", str(self._beside(str(source))), place)]
        return tuple(found)

    def _beside(self, name: str) -> Path:
        """A path of the profile, which counts from its own directory."""
        return Path(paths.absolute(name, self._path.parent))

    def _directories(self) -> tuple[str, ...]:
        """The directories with plugins, given as a list, or as in CNI_PATH."""
        given = self._written.path
        entries = [given] if isinstance(given, str) else list(given)
        try:
            return paths.directories("path", entries, self._path.parent) if entries else ()
        except ConfigError as error:
            self._fault("path", str(error).removeprefix("path "))
            return ()

    def _topology(self) -> str:
        name = self._written.topology
        chosen = str(self._beside(name)) if name and self._beside(name).is_file() else name
        try:
            hosts = topology.load(topology.find(chosen)).hosts if name else {}
        except TopologyError as error:
            self._fault("topology", str(error))
            return ""
        if hosts and self._written.host and self._written.host not in hosts:
            advice = did_you_mean(self._written.host, hosts) or "."
            self._fault("host", f"{name} has no host {self._written.host!r}{advice} It has {', '.join(hosts)}")
        return chosen

    def _network(self) -> Network | None:
        given = self._written.conf
        try:
            if isinstance(given, str):
                return conf.network(self._beside(given))
            if isinstance(given, dict):
                return conf.network(json.loads(json.dumps(given)))
        except CnitestError as error:
            self._fault("conf", str(error).replace("a dictionary: ", ""))
            return None
        if given is not None:
            self._fault("conf", "expected a file, or a configuration")
        return None

    def _skipped(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for identifier, reason in self._written.skip.items():
            try:
                known = requirement.find(identifier).id
            except CnitestError as error:
                self._fault(child("skip", identifier), str(error))
                continue
            if not reason:
                self._fault(child("skip", identifier), "needs a reason")
            found[known] = str(reason)
        return found
