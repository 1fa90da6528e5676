"""Where one plugin is tried: a fresh lab, containers on demand, calls as a runtime makes them, every step kept.

A call is made exactly as a test wants it, wrong on purpose included, which a runtime would refuse to do.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from cnitest.cni import spec
from cnitest.cni.calls.invoke import Call
from cnitest.cni.chain import Lenient, PluginChain
from cnitest.cni.spec import Document
from cnitest.conformance.bench import provision, request
from cnitest.conformance.bench.calls import PluginCalls
from cnitest.conformance.bench.leftovers import Leftover, leftovers
from cnitest.conformance.bench.record import BenchRecord
from cnitest.conformance.bench.steps import CommandRun, DaemonEnd, DaemonStart, FileWritten, ProbeSent
from cnitest.conformance.bench.target import AddResult, AttachmentTarget
from cnitest.conformance.host.daemon import Daemon
from cnitest.conformance.host.set_up import open_lab, set_up
from cnitest.conformance.model import protocol
from cnitest.conformance.model.capacity import capacity
from cnitest.conformance.model.finding import Finding, NotApplicable, Undecided
from cnitest.conformance.model.subject import Trial
from cnitest.errors import CommandError
from cnitest.kernel import sysctl
from cnitest.lab.hosts import Sandbox
from cnitest.lab.lab import Lab
from cnitest.lab.place import Place
from cnitest.lab.snapshot.state import State

__all__ = ["NO_EFFECT", "AddResult", "AttachmentTarget", "Bench", "Document", "Picture", "open_bench"]

#: Why a requirement about what ADD made does not apply.
NO_EFFECT = "ADD made nothing to delete: host and container were as before"

Picture = Mapping[str, State]


class Bench(PluginCalls):
    """One trial's lab and its record. Use `open_bench`.

    The record collects what does not hold, too; `conclude` makes a finding of it.
    """

    def __init__(self, trial: Trial, lab: Lab, record: BenchRecord | None = None) -> None:
        super().__init__(trial, lab, record or BenchRecord())
        self.daemon: Daemon | None = None
        # Where a profile's commands for containers have run, by container and interface.
        self._set_up: set[tuple[str, str]] = set()
        self._chained: dict[AttachmentTarget, Document | None] = {}
        self._runtime = provision.Provision(self.setting, self.subject.network)

    # --- verdicts

    def complain(self, *details: str | Leftover, prefix: str = "", witness: str = "") -> None:
        """Note what does not hold, with ``prefix`` before the words of each; the test goes on. ``witness`` is a
        condition in shell that holds while it is so."""
        self.record.complain(details, witness, prefix)

    def demand(self, holds: object, detail: str, *, witness: str = "") -> None:
        """Note ``detail`` unless something holds."""
        if not holds:
            self.record.complain((detail,), witness)

    def conclude(self) -> None:
        """Raise a Finding when anything does not hold, else Undecided when something could not be found out."""
        if self.record.complaints:
            raise Finding(self.record.violation)
        if self.record.doubts:
            raise Undecided(self.record.doubts[0])
        if self.record.not_applicable:
            raise NotApplicable(self.record.not_applicable)

    def not_exercised(self, reason: str) -> None:
        """Note that there was nothing to try: unless something does not hold, the requirement does not apply."""
        self.record.not_applicable = self.record.not_applicable or reason

    def require_effect(self) -> None:
        """Note it where ADD of this plugin changes neither host nor container, as its first ADD showed."""
        if not self.subject.effect:
            self.not_exercised(NO_EFFECT)

    def not_applicable(self, reason: str) -> NoReturn:
        """Say that the requirement is not about this plugin."""
        raise NotApplicable(reason)

    def require_room(self, attachments: int) -> None:
        """Go on only when the network has room for so many attachments at a time."""
        most = capacity(self.subject)
        if most < attachments:
            self.not_applicable(f"its configuration has room for {most:.0f} attachments, this takes {attachments}")

    def need(self, call: Call) -> None:
        """Go on only when a call succeeded: what the requirement builds on must work."""
        faults = protocol.success(call)
        if faults:
            raise Undecided(faults[0])
        self.record.needed.append(call)

    # --- containers

    def target(self, container: str = "c1", ifname: str = "", **changes: Any) -> AttachmentTarget:
        """A target for a container's interface; the container is made when it is new here."""
        first = container not in self.node.sandboxes
        name = ifname or self.setting.ifname
        if first:
            self._set_up = {place for place in self._set_up if place[0] != container}
        sandbox = self.node.sandbox(container)
        if first:
            self.record.steps.append(CommandRun("node", ("ip", "netns", "add", container)))
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
        self.record.steps.append(CommandRun("node", ("ip", "netns", "del", container)))
        self.node.lose(container)
        self.demand_gone(path)

    def demand_gone(self, path: str) -> None:
        """Be sure that a path is not there any more."""
        if self.node.inside(lambda: os.path.exists(path)):
            raise Undecided(f"{path} could not be removed")

    # --- the commands, as a runtime calls them

    def chain(self, target: AttachmentTarget) -> Document | None:
        """Run ADD of the plugins before ours, once a target, and return their result. Raises Undecided."""
        if target not in self._chained:
            self._chained[target] = self._prefix(target).add()[1]
        return self._chained[target]

    def add(self, target: AttachmentTarget, **options: Any) -> Call:
        """Call ADD of our plugin, after those before it."""
        return self.raw("ADD", target, previous=self.chain(target), **options)

    def attach(self, target: AttachmentTarget | None = None) -> AddResult:
        """Add, and go on only when that gave a result. Raises Undecided."""
        wanted = target or self.target()
        call = self.add(wanted)
        self.need(call)
        document = protocol.result_document(call)
        if document is None:
            raise Undecided(f"{call.subject}: succeeds without one result document")
        return AddResult(wanted, call, document, self.chain(wanted))

    def final(self, made: AddResult) -> Document | None:
        """The result that DEL and CHECK get in this version."""
        return made.result if spec.has_check(self.version) else None

    def delete(self, made: AddResult, **options: Any) -> Call:
        """Call DEL of our plugin alone."""
        options.setdefault("previous", self.final(made))
        return self.raw("DEL", made.target, **options)

    def check(self, made: AddResult, **options: Any) -> Call:
        """Call CHECK of our plugin alone."""
        options.setdefault("previous", self.final(made))
        return self.raw("CHECK", made.target, **options)

    def unchain(self, target: AttachmentTarget, previous: Document | None = None) -> list[Call]:
        """Call DEL of the plugins before ours, in reverse, and forget them."""
        known = self._chained.pop(target, None)
        if known is None:
            return []
        handed = (previous or known) if spec.has_check(self.version) else None
        return self._prefix(target).delete(handed, stop=False)

    def detach(self, made: AddResult) -> Call:
        """Delete the whole attachment, ours first."""
        call = self.delete(made)
        self.unchain(made.target, made.result)
        return call

    def _prefix(self, target: AttachmentTarget) -> PluginChain:
        """The plugins before ours."""

        def ask(command: str, position: int, previous: Document | None) -> Call:
            conf = target.before[position]
            document = request.of(conf, target.network, self.version, target.capabilities, previous)
            return self.raw(command, target, stdin=document, plugin=str(conf["type"]))

        return PluginChain(len(target.before), ask, _Needed(self))

    # --- the host

    def run(self, *argv: str, at: Place | None = None, check: bool = True) -> str:
        """Run a command on the host, or at another place; its output. It becomes part of the record."""
        place = at or self.node
        self.record.steps.append(CommandRun(place.name if isinstance(place, Sandbox) else "node", argv, check))
        try:
            return place.run(list(argv), check=check).stdout
        except CommandError as error:
            raise Undecided(str(error)) from error

    def owned(self, directory: str) -> None:
        """Note that the host has a directory of its own where it had the machine's."""
        for argv in (("mkdir", "-p", directory), ("mount", "-t", "tmpfs", "tmpfs", directory)):
            self.record.steps.append(CommandRun("node", argv))

    def daemon_started(self, argv: tuple[str, ...], socket: str) -> None:
        """Note that the profile's daemon is about to be started."""
        self.record.steps.append(DaemonStart(argv, socket))

    def daemon_ended(self) -> None:
        """Note that the daemon is about to be killed."""
        self.record.steps.append(DaemonEnd())

    def inside(self, function: Callable[[], Any]) -> Any:
        """Run a short function with the host's filesystem."""
        return self.node.inside(function)

    def program(self, path: Path, text: str) -> None:
        """Write an executable where programs of the host find it."""
        path.write_text(text)
        path.chmod(0o755)
        self.record.steps.append(FileWritten(str(path), text))

    def probed(self, sender: Place, target: str) -> None:
        """Note that a packet was sent, which a neighbour may remember."""
        self.record.steps.append(ProbeSent(sender.full_name, target))

    def look(self, *targets: AttachmentTarget) -> Picture:
        """The state of the host and of some containers, by full name."""
        places: list[Place] = [self.node, *(target.sandbox for target in targets)]
        picture = {place.full_name: place.state(firewall=place is self.node, connections=False) for place in places}
        self.record.look(tuple(target.sandbox.name for target in targets), picture)
        return picture

    def changed(self, before: Picture, *targets: AttachmentTarget, strict: bool = False) -> list[Leftover]:
        """What differs now from a picture and may not (see `leftovers`)."""
        return leftovers(before, self.look(*targets), self.setting.leftover, strict=strict)

    def sysctls(self, place: Place | None = None) -> Mapping[str, str]:
        """Every readable sysctl of networking at a place."""
        return (place or self.node).namespace.run(sysctl.everything)

    def processes(self) -> tuple[int, ...]:
        """The processes that run on this lab's hosts, but for the first."""
        found: Iterator[str] = iter(self.inside(lambda: os.listdir("/proc")))
        return tuple(sorted(int(name) for name in found if name.isdecimal() and name != "1"))


class _Needed(Lenient):
    """Reads answers of plugins that have to succeed for the rest to mean anything. Raises Undecided."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def result(self, position: int, call: Call) -> Document:
        """The result of a call that succeeded."""
        self._bench.need(call)
        document = super().result(position, call)
        if document is None:
            raise Undecided(f"{call.subject}: no result")
        return document


@contextmanager
def open_bench(trial: Trial, record: BenchRecord | None = None) -> Iterator[Bench]:
    """A bench in a fresh lab, set up as the subject wants it; what happens goes into ``record``.

    Raises TopologyError, FeatureMissing, CommandError.
    """
    setting = trial.subject.setting
    with open_lab(setting) as lab:
        bench = Bench(trial, lab, record)
        confs = (*trial.subject.before, trial.subject.conf)
        with set_up(bench.node, setting, lambda: bench.binary(trial.subject.plugin), bench, confs) as bench.daemon:
            yield bench
