"""The kinds of places: hosts with a filesystem, sandboxes inside them, switches."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from cnitest.errors import CommandError, UsageError, is_ours
from cnitest.kernel import files, mounts
from cnitest.kernel.confinement import shown
from cnitest.kernel.file_events import WrittenFiles
from cnitest.kernel.namespaces import MountNamespace, NetworkNamespace, open_own
from cnitest.kernel.processes import process
from cnitest.kernel.processes.supervised import Supervised
from cnitest.kernel.syscalls import CLONE_NEWNS, unshare
from cnitest.lab.arguments import checked
from cnitest.lab.named import Named, unknown
from cnitest.lab.place import Place

if TYPE_CHECKING:
    from cnitest.lab.lab import Lab
    from cnitest.lab.programs.dhcp import DhcpServer
    from cnitest.lab.snapshot.state import State

__tracebackhide__ = is_ours

T = TypeVar("T")


class Host(Place):
    """A machine we play: a network namespace, and a filesystem of its own once something needs one."""

    role = "host"

    def __init__(self, lab: Lab, name: str, namespace: NetworkNamespace) -> None:
        super().__init__(lab, name, namespace)
        self._mounts: MountNamespace | None = None
        self._written: WrittenFiles | None = None
        self._sandboxes: dict[str, Sandbox] = {}
        # Directories that `show` was asked for, the paths that it showed, and those that it made for them.
        self._asked: set[str] = set()
        self._shown: set[str] = set()
        self._made: set[str] = set()
        # Directories outside of the private layers that this host has of its own, too.
        self._own: set[str] = set()

    @property
    def host(self) -> Host:
        """Itself."""
        return self

    @property
    def sandboxes(self) -> Mapping[str, Sandbox]:
        """The sandboxes of this host by name, declared ones first."""
        return Named(f"lab.host({self.name!r}).sandboxes", self._sandboxes.items())

    def sandbox(self, name: str) -> Sandbox:
        """The sandbox of that name: the declared one, or a fresh one."""
        with self._lock:
            if name not in self._sandboxes:
                if not isinstance(name, str) or not name or "/" in name or "\0" in name or name in (".", ".."):
                    raise UsageError(
                        f"{self.full_name}: {name!r} cannot name a sandbox: it becomes a file in /run/netns"
                    )
                self.adopt(Sandbox(self, name, self.lab.fresh_namespace()))
            return self._sandboxes[name]

    def lose(self, name: str) -> None:
        """Remove a sandbox as its end would: its path and our references go, and with the last one the namespace."""
        with self._lock:
            if name not in self._sandboxes:
                raise unknown(self.full_name, "sandbox", name, self._sandboxes)
            sandbox = self._sandboxes.pop(name)
            sandbox.leave()
            sandbox.lost = True
            self.lab.forget(sandbox)

    def forget(self, sandbox: Sandbox) -> None:
        """Drop a sandbox whose path has gone already."""
        with self._lock:
            self._sandboxes.pop(sandbox.name)
            sandbox.lost = True
            self.lab.forget(sandbox)

    def reboot(self) -> None:
        """Reboot: every process, sandbox, link, route, rule, sysctl, firewall rule, tracked connection and file in /run
        is gone, what was written elsewhere stays, and what the topology declares of this host is made again.

        Wires to other places stay plugged in; the far ends keep their addresses. Sandboxes that the topology declares
        are fresh ones afterwards (ask `sandbox` for them again); DEL of an attachment of an older one gets its path,
        which leads nowhere. Raises TopologyError when the kernel refuses a step.
        """
        from cnitest.lab.reboot import reboot

        reboot(self)

    @property
    def mount_inodes(self) -> set[int]:
        """What tells this host's mount namespace from others; nothing before it has one."""
        return {os.fstat(self._mounts.fd).st_ino} if self._mounts else set()

    def empty_run(self) -> None:
        """Make /run and /sys as they are at boot."""
        if self._mounts:
            self._asked.clear()
            self.inside(lambda: mounts.empty_run(self.lab.thread.proc))

    def adopt(self, sandbox: Sandbox) -> None:
        """Make a sandbox known here."""
        self._sandboxes[sandbox.name] = sandbox
        self.lab.know(sandbox)

    @property
    def mounts(self) -> MountNamespace:
        """The filesystem of this host, made when first asked for."""
        with self._lock:
            if self._mounts is None:
                pid_namespace, proc = self.lab.pid_namespace(self.namespace), self.lab.thread.proc
                self._mounts = MountNamespace.make(
                    self.lab.thread, lambda: mounts.furnish(proc), self.namespace, pid_namespace.mounts
                )
            return self._mounts

    def show(self, directories: Iterable[str]) -> None:
        """Show programs of this host the files that the machine has in these directories, where its own hide them: for
        reading, and not what else the machine has around them."""
        with self._lock:
            new = [directory for directory in directories if directory not in self._asked]
            self._asked.update(new)
            if not new:
                return
            machine = self.lab.pid_namespace(self.namespace).mounts
            there = machine.run(lambda: list(shown.wanted(new)), self.namespace)
            if hidden := self.inside(lambda: [each for each in there if each.hidden()]):
                trees = machine.run(lambda: shown.opened(hidden), self.namespace)
                places, made = self.inside(lambda: shown.show(trees))
                self._shown |= places
                self._made |= made

    def own(self, directories: Iterable[str]) -> tuple[str, ...]:
        """Give this host directories of its own, empty ones, where it would share the machine's (/tmp/leases): what
        programs write there stays here, and `files` reports it. Those for which that was done; for one in / it cannot
        be. Raises OSError."""
        new = [each for each in directories if each not in self._own and not mounts.is_own(each)]
        done = tuple(each for each in new if self.inside(partial(mounts.own, each)))
        self._own.update(done)
        return done

    def inside(self, function: Callable[[], T], undo: Callable[[T], None] | None = None) -> T:
        """Run a short function with this host's network and filesystem (see `NamespaceThread`)."""
        return self.mounts.run(function, self.namespace, undo)

    def spawn(self, argv: Sequence[str], environment: Mapping[str, str]) -> process.Started:
        """As at any place; in the working directory that is this host's own, unless somebody has removed it."""

        def started() -> process.Started:
            with contextlib.suppress(OSError):
                os.chdir(mounts.WORKING_DIRECTORY)
            return process.start(argv, environment)

        return self.inside(started, process.abandon)

    @checked
    def dhcp_server(
        self, link: str, first: str | None = None, last: str | None = None, *, options: Sequence[str] = ()
    ) -> DhcpServer:
        """A DHCP server (dnsmasq) on ``link`` while the ``with`` block runs: it gives out the addresses from ``first``
        to ``last``, all of the link's subnet unless said, and has its ``leases``. ``options`` are those of
        dnsmasq's --dhcp-option (``3,10.0.0.1``).

        Raises FeatureMissing without dnsmasq, UsageError for a link without a subnet and a range outside of it.
        """
        from cnitest.lab.programs.dhcp import DhcpServer

        return DhcpServer(self, link, first, last, tuple(options))

    def start_supervised(
        self, tree: Supervised, argv: Sequence[str], environment: Mapping[str, str]
    ) -> process.Started:
        """Start a program here whose process tree asks before it changes anything. Raises OSError, FeatureMissing."""
        kinds = ("uts", "ipc", "pid_for_children")
        of_lab = self.inside(lambda: [open_own(self.lab.thread, kind) for kind in kinds])
        try:
            return tree.start(argv, environment, (self.mounts.fd, self.namespace.fd, *of_lab))
        finally:
            for namespace in of_lab:
                os.close(namespace)

    def _files(self) -> tuple[files.File, ...]:
        return self.files()

    def written_elsewhere(self) -> tuple[files.File, ...]:
        """What programs here wrote into directories of the machine's since `record_writing`, and is still there."""
        if self._mounts is None or self._written is None:
            return ()
        written, device = self._written.paths, os.fstat(self.namespace.fd).st_dev
        return self.inside(lambda: files.elsewhere(written, device))

    def files(self) -> tuple[files.File, ...]:
        """The files in this host's private layers, less the paths of its sandboxes; none while it has no filesystem of
        its own."""
        if self._mounts is None:
            return ()
        device = os.fstat(self.namespace.fd).st_dev
        own = frozenset({*self._shown, *(f"/run/netns/{name}" for name in list(self._sandboxes))})
        found = self.inside(lambda: files.watched(device, own, self._made, self._own))
        return found + self.written_elsewhere()

    def record_writing(self) -> None:
        """From now on have `files` and `state` report, too, what programs here write outside of the private layers: in
        the machine's /tmp and home directories. Below a user namespace the kernel does not tell that."""
        if self._written is None:
            with contextlib.suppress(PermissionError):
                self._written = self.inside(lambda: WrittenFiles(files.MACHINES))

    def close(self) -> None:
        """Drop the filesystem."""
        if self._written:
            self._written.close()
        if self._mounts:
            self._mounts.close()


class Sandbox(Place):
    """A container's network namespace inside a host."""

    role = "sandbox"

    def __init__(self, host: Host, name: str, namespace: NetworkNamespace) -> None:
        super().__init__(host.lab, f"{host.full_name}/{name}", namespace)
        self._host = host
        self._bound = False
        #: Whether it is no more, and its path leads nowhere.
        self.lost = False

    @property
    def host(self) -> Host:
        """The host it runs on."""
        return self._host

    @property
    def path(self) -> str:
        """Where the namespace can be found inside its host: what plugins get as CNI_NETNS."""
        path = f"/run/netns/{self.name}"
        with self._lock:
            if not self._bound and not self.lost:
                self.host.inside(lambda: mounts.bind_namespace(self.lab.thread.proc, self.namespace.fd, path))
                self._bound = True
        return path

    def leave(self) -> None:
        """Take the path away from the namespace."""
        with self._lock:
            if self._bound:
                self.host.inside(lambda: mounts.unbind_namespace(f"/run/netns/{self.name}"))
                self._bound = False

    def spawn(self, argv: Sequence[str], environment: Mapping[str, str]) -> process.Started:
        """As at any place, with the links of this sandbox under /sys."""

        def call() -> process.Started:
            unshare(CLONE_NEWNS)
            mounts.fresh_sys()
            return process.start(argv, environment)

        return self.host.mounts.run(call, self.namespace, process.abandon)


class Switch(Place):
    """A switch: a bridge called ``br0`` in a namespace that nothing else lives in."""

    role = "switch"

    @property
    def host(self) -> Host:
        """A switch has no filesystem: it runs no programs."""
        raise CommandError(f"{self.full_name} is a switch: it runs no programs")

    def spawn(self, argv: Sequence[str], environment: Mapping[str, str]) -> process.Started:  # noqa: ARG002
        """A switch runs no programs: raises CommandError."""
        raise CommandError(f"{self.full_name} is a switch: it runs no programs ({argv[0]})")

    def state(self, *, firewall: bool = False, connections: bool = False, counters: bool = False) -> State:  # noqa: ARG002
        """As of any place; a switch has no firewall."""
        return super().state(firewall=False)
