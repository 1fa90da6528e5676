"""Where one plugin is tried: a fresh lab, containers on demand, calls as a runtime makes them, every step kept.

A call is made exactly as a test wants it, wrong on purpose included, which a runtime would refuse to do.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, NoReturn

from cnitest.cni import spec
from cnitest.cni.calls import invoke
from cnitest.cni.calls.invoke import Call, HostExec
from cnitest.conformance.bench import provision, request
from cnitest.conformance.bench.daemon import start_daemon
from cnitest.conformance.bench.leftovers import residue
from cnitest.conformance.bench.record import Record
from cnitest.conformance.bench.steps import Command, DaemonEnd, DaemonStart, File, Probe, Release, SearchPath
from cnitest.conformance.bench.timeouts import Patience
from cnitest.conformance.model import judge
from cnitest.conformance.model.capacity import room
from cnitest.conformance.model.finding import Finding, NotApplicable, Undecided
from cnitest.conformance.model.subject import Setting, Trial
from cnitest.errors import CommandError, PluginError
from cnitest.kernel import sysctl
from cnitest.lab.hosts import Host, Sandbox
from cnitest.lab.lab import Lab
from cnitest.lab.place import Place
from cnitest.lab.snapshot.state import State
from cnitest.topology import find, load
from cnitest.topology.building.plan import Plan, plan

_PATIENCE = Patience()
Document = Mapping[str, Any]
#: Why a requirement about what ADD made does not apply.
NO_EFFECT = "ADD made nothing to delete: host and container were as before"


@dataclass(frozen=True)
class AttachmentTarget:
    """A place for an attachment: which container, which interface, which network, and how it is asked for.

    ``netns`` is CNI_NETNS, also when the container is lost.
    """

    sandbox: Sandbox
    netns: str
    container_id: str
    ifname: str
    network: str
    conf: Document
    before: tuple[Document, ...] = ()
    args: str = ""
    capabilities: Document = field(default_factory=dict)


@dataclass(frozen=True)
class AddResult:
    """What ADD made: the slot, the plugin's own call, its result, and what it was given as the previous one."""

    slot: AttachmentTarget
    call: Call
    result: Document
    previous: Document | None


Picture = Mapping[str, State]


class Bench:
    """One trial's lab and its record. Use `open_bench`.

    The record collects what does not hold, too; `conclude` makes a finding of it.
    """

    def __init__(self, trial: Trial, lab: Lab, record: Record | None = None) -> None:
        self.trial = trial
        self.subject = trial.subject
        self.version = trial.version
        self.setting: Setting = trial.subject.setting
        self.lab = lab
        self.node: Host = lab.host(self.setting.host)
        self.path = self.subject.path
        self.record = record or Record()
        self.daemon: Any = None
        self._executor = HostExec(self.node)
        self._binaries: dict[str, str] = {}
        # Where a profile's commands for containers have run, by container and interface.
        self._set_up: set[tuple[str, str]] = set()
        self._chained: dict[AttachmentTarget, Document | None] = {}
        self._runtime = provision.Runtime(self.setting, self.subject.network)

    # --- verdicts

    def complain(self, *details: str, witness: str = "") -> None:
        """Note what does not hold; the test goes on. ``witness`` is a condition in shell that holds while it is so."""
        self.record.complain(details, witness)

    def demand(self, holds: object, detail: str, *, witness: str = "") -> None:
        """Note ``detail`` unless something holds."""
        if not holds:
            self.complain(detail, witness=witness)

    def conclude(self) -> None:
        """Raise a Finding when anything does not hold, else Undecided when something could not be found out."""
        if self.record.complaints:
            raise Finding(self.record.violation)
        if self.record.doubts:
            raise Undecided(self.record.doubts[0])
        if self.record.idle:
            raise NotApplicable(self.record.idle)

    def not_exercised(self, reason: str) -> None:
        """Note that there was nothing to try: unless something does not hold, the requirement does not apply."""
        self.record.idle = self.record.idle or reason

    def require_effect(self) -> None:
        """Note it where ADD of this plugin changes neither host nor container, as its first ADD showed."""
        if not self.subject.effect:
            self.not_exercised(NO_EFFECT)

    def not_applicable(self, reason: str) -> NoReturn:
        """Say that the requirement is not about this plugin."""
        raise NotApplicable(reason)

    def require_room(self, attachments: int) -> None:
        """Go on only when the network has room for so many attachments at a time."""
        most = room(self.subject)
        if most < attachments:
            self.not_applicable(f"its configuration has room for {most:.0f} attachments, this takes {attachments}")

    def need(self, call: Call, silent: bool = False) -> None:
        """Go on only when a call succeeded: what the requirement builds on must work."""
        faults = judge.success(call, silent=silent)
        if faults:
            raise Undecided(faults[0])
        self.record.needed.append(call)

    # --- containers

    def slot(self, container: str = "c1", ifname: str = "", **changes: Any) -> AttachmentTarget:
        """A slot for a container's interface; the container is made when it is new here."""
        first = container not in self.node.sandboxes
        name = ifname or self.setting.ifname
        if first:
            self._set_up = {place for place in self._set_up if place[0] != container}
        sandbox = self.node.sandbox(container)
        if first:
            self.record.steps.append(Command("node", ("ip", "netns", "add", container)))
        made = AttachmentTarget(
            sandbox,
            netns=sandbox.path,
            container_id=f"cnitest-{container}",
            ifname=name,
            network=self.subject.network,
            conf=self.subject.conf,
            before=self.subject.before,
            args=";".join(f"{key}={value}" for key, value in self.setting.args.items()),
        )
        made = replace(made, **changes)
        if "capabilities" not in changes:
            place = (container, name, made.network)
            made = replace(made, capabilities=self._runtime.provides((*made.before, made.conf), *place))
        made = request.filled(made, container)
        if (container, name) not in self._set_up and (first or name != self.setting.ifname):
            self._set_up.add((container, name))
            for argv in self.setting.container_setup:
                self.run(*request.placed(argv, container, sandbox.path, name))
        return made

    def lose(self, container: str) -> None:
        """Remove a container's namespace, as a runtime does after a crash: by its path and its last reference."""
        sandbox = self.node.sandboxes[container]
        path = sandbox.path
        self.record.steps.append(Command("node", ("ip", "netns", "del", container)))
        self.node.lose(container)
        self.demand_gone(path)

    def demand_gone(self, path: str) -> None:
        """Be sure that a path is not there any more."""
        if self.node.inside(lambda: os.path.exists(path)):
            raise Undecided(f"{path} could not be removed")

    # --- calls

    def raw(
        self,
        verb: str,
        slot: AttachmentTarget | None = None,
        *,
        previous: Document | None = None,
        changes: Mapping[str, str] | None = None,
        without: Sequence[str] = (),
        stdin: bytes | Document | None = None,
        plugin: str = "",
        environment: Mapping[str, str] | None = None,
        argv: Sequence[str] = (),
        timeout: float | None = None,
    ) -> Call:
        """Call the plugin (or ``plugin``) once, whatever comes of it.

        ``changes`` replaces variables, ``without`` removes some, ``stdin`` replaces the configuration, ``environment``
        what is there besides the CNI_* variables, ``argv`` is put before the binary's path.
        """
        name = plugin or self.subject.plugin
        binary = self.binary(name)
        variables = self._variables(verb, slot, environment)
        variables.update(changes or {})
        variables = {key: value for key, value in variables.items() if key not in without}
        data = self._stdin(verb, slot, previous, stdin)
        return self._run(name, binary, verb, variables, data, argv, timeout)

    def binary(self, name: str) -> str:
        """The path of a plugin's binary."""
        if name not in self._binaries:
            self._binaries[name] = self._executor.find(name, self.path)
        return self._binaries[name]

    def use_path(self, *directories: str) -> None:
        """Search plugins first from now on in directories that a test makes and fills."""
        self._search(*directories)
        self.record.steps.append(SearchPath(directories))

    def upgrade(self, *directories: str) -> None:
        """Search plugins first from now on in the directories of another release."""
        self._search(*directories)
        self.record.steps.append(Release(directories))

    def _search(self, *directories: str) -> None:
        self.path = (*directories, *self.subject.path)
        self._binaries = {}

    def _variables(
        self, verb: str, slot: AttachmentTarget | None, environment: Mapping[str, str] | None
    ) -> dict[str, str]:
        base = invoke.environment(
            verb,
            container_id=slot.container_id if slot else "",
            netns=slot.netns if slot else "",
            ifname=slot.ifname if slot else "",
            args=slot.args if slot else "",
            path=self.path,
        )
        if environment is not None:
            base = {key: value for key, value in base.items() if key.startswith("CNI_")} | dict(environment)
        else:
            base.update(self.setting.environment)
        return base

    def _stdin(
        self, verb: str, slot: AttachmentTarget | None, previous: Document | None, stdin: bytes | Document | None
    ) -> bytes:
        if isinstance(stdin, bytes):
            return stdin
        if stdin is not None:
            return json.dumps(stdin).encode()
        if verb == "VERSION":
            return json.dumps({"cniVersion": self.version}).encode()
        return json.dumps(self.request(slot, previous)).encode()

    def request(self, slot: AttachmentTarget | None = None, previous: Document | None = None) -> dict[str, Any]:
        """What the plugin gets on stdin."""
        if slot is None:
            conf = request.substituted(self.subject.conf, container="c1", ifname=self.setting.ifname)
            return request.of(conf, self.subject.network, self.version, {}, None)
        return request.of(slot.conf, slot.network, self.version, slot.capabilities, previous)

    def _run(
        self,
        plugin: str,
        binary: str,
        verb: str,
        variables: Mapping[str, str],
        stdin: bytes,
        argv: Sequence[str],
        timeout: float | None,
    ) -> Call:
        patience = timeout or _PATIENCE.seconds(self.subject.name, verb, self.subject.seconds)
        with self.record.calling() as note:
            try:
                done = self._executor.run_argv((*argv, binary), variables, stdin, patience)
            except (OSError, ValueError) as error:
                raise PluginError(f"{plugin} {verb}: {binary} cannot be started: {error}") from error
            text = stdin.decode("utf-8", "surrogateescape")
            call = Call.of(plugin, verb, self.node.full_name, variables, text, done)
            note(call, timeout)
        if done.timed_out and timeout is None:
            _PATIENCE.ran_out(self.subject.name, verb)
        self.lab.journal.note(call)
        return call

    # --- the verbs, as a runtime calls them

    def chain(self, slot: AttachmentTarget) -> Document | None:
        """Run ADD of the plugins before ours, once a slot, and return their result. Raises Undecided."""
        if slot not in self._chained:
            previous: Document | None = None
            for conf in slot.before:
                call = self._prefix(conf, slot, "ADD", previous)
                self.need(call)
                previous = judge.result_document(call)
                if previous is None:
                    raise Undecided(f"{call.subject}: no result")
            self._chained[slot] = previous
        return self._chained[slot]

    def add(self, slot: AttachmentTarget, **options: Any) -> Call:
        """Call ADD of our plugin, after those before it."""
        return self.raw("ADD", slot, previous=self.chain(slot), **options)

    def attach(self, slot: AttachmentTarget | None = None) -> AddResult:
        """Add, and go on only when that gave a result. Raises Undecided."""
        wanted = slot or self.slot()
        call = self.add(wanted)
        self.need(call)
        document = judge.result_document(call)
        if document is None:
            raise Undecided(f"{call.subject}: succeeds without one result document")
        return AddResult(wanted, call, document, self.chain(wanted))

    def final(self, made: AddResult) -> Document | None:
        """The result that DEL and CHECK get in this version."""
        return made.result if spec.has_check(self.version) else None

    def delete(self, made: AddResult, **options: Any) -> Call:
        """Call DEL of our plugin alone."""
        options.setdefault("previous", self.final(made))
        return self.raw("DEL", made.slot, **options)

    def check(self, made: AddResult, **options: Any) -> Call:
        """Call CHECK of our plugin alone."""
        options.setdefault("previous", self.final(made))
        return self.raw("CHECK", made.slot, **options)

    def unchain(self, slot: AttachmentTarget, previous: Document | None = None) -> list[Call]:
        """Call DEL of the plugins before ours, in reverse, and forget them."""
        known = self._chained.pop(slot, None)
        if known is None:
            return []
        handed = (previous or known) if spec.has_check(self.version) else None
        return [self._prefix(conf, slot, "DEL", handed) for conf in reversed(slot.before)]

    def detach(self, made: AddResult) -> Call:
        """Delete the whole attachment, ours first."""
        call = self.delete(made)
        self.unchain(made.slot, made.result)
        return call

    def _prefix(self, conf: Document, slot: AttachmentTarget, verb: str, previous: Document | None) -> Call:
        document = request.of(conf, slot.network, self.version, slot.capabilities, previous)
        return self.raw(verb, slot, stdin=document, plugin=str(conf["type"]))

    # --- the host

    def run(self, *argv: str, at: Place | None = None, check: bool = True) -> str:
        """Run a command on the host, or at another place; its output. It becomes part of the record."""
        place = at or self.node
        self.record.steps.append(Command(place.name if isinstance(place, Sandbox) else "node", argv, check))
        try:
            return place.run(list(argv), check=check).stdout
        except CommandError as error:
            raise Undecided(str(error)) from error

    def inside(self, function: Callable[[], Any]) -> Any:
        """Run a short function with the host's filesystem."""
        return self.node.inside(function)

    def program(self, path: Path, text: str) -> None:
        """Write an executable where programs of the host find it."""
        path.write_text(text)
        path.chmod(0o755)
        self.record.steps.append(File(str(path), text))

    def probed(self, sender: Place, target: str) -> None:
        """Note that a packet was sent, which a neighbour may remember."""
        self.record.steps.append(Probe(sender.full_name, target))

    def look(self, *slots: AttachmentTarget) -> Picture:
        """The state of the host and of some containers, by full name."""
        places: list[Place] = [self.node, *(slot.sandbox for slot in slots)]
        picture = {place.full_name: place.state(firewall=place is self.node, connections=False) for place in places}
        self.record.look(tuple(slot.sandbox.name for slot in slots), picture)
        return picture

    def changed(self, before: Picture, *slots: AttachmentTarget, strict: bool = False) -> list[str]:
        """What differs now from a picture and may not (see `residue`)."""
        return residue(before, self.look(*slots), self.setting.leftover, strict=strict)

    def sysctls(self, place: Place | None = None) -> Mapping[str, str]:
        """Every readable sysctl of networking at a place."""
        return (place or self.node).namespace.run(sysctl.everything)

    def processes(self) -> tuple[int, ...]:
        """The processes that run on this lab's hosts, but for the first."""
        found: Iterator[str] = iter(self.inside(lambda: os.listdir("/proc")))
        return tuple(sorted(int(name) for name in found if name.isdecimal() and name != "1"))


@contextmanager
def open_bench(trial: Trial, record: Record | None = None) -> Iterator[Bench]:
    """A bench in a fresh lab, set up as the subject wants it; what happens goes into ``record``.

    Raises TopologyError, FeatureMissing, CommandError.
    """
    setting = trial.subject.setting
    with ExitStack() as undo:
        lab = undo.enter_context(Lab(_planned(setting.topology)))
        bench = Bench(trial, lab, record)
        for command in setting.host_setup:
            bench.run(*command)
        if setting.daemon:
            argv = [bench.binary(trial.subject.plugin) if word == "{plugin}" else word for word in setting.daemon]
            bench.record.steps.append(DaemonStart(tuple(argv), setting.socket))
            note = partial(bench.record.steps.append, DaemonEnd())
            bench.daemon = undo.enter_context(start_daemon(bench.node, argv, setting.socket, note))
        yield bench


@cache
def _planned(topology: str) -> Plan:
    return plan(load(find(topology)))
