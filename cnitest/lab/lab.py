"""A built topology: makes the namespaces, takes the plan's steps, lends the places out and takes everything back."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from cnitest.errors import CnitestError, CommandError, FeatureMissing, TopologyError, UnknownName, UsageError, is_ours
from cnitest.events import Journal
from cnitest.kernel import features, packet_socket, stamps
from cnitest.kernel.namespace_thread import NamespaceThread
from cnitest.kernel.namespaces import Kept, NetworkNamespace, open_all
from cnitest.kernel.packet_socket import PacketSocket
from cnitest.kernel.processes.pid_namespace import PidNamespace
from cnitest.lab import readiness
from cnitest.lab.build import Namespaces, build
from cnitest.lab.hosts import Host, Sandbox, Switch
from cnitest.lab.named import Named, unknown
from cnitest.lab.owners import Owners
from cnitest.lab.place import Place
from cnitest.lab.reachability.measuring import Measuring
from cnitest.topology.building.plan import Plan, plan
from cnitest.topology.building.steps import Firewall, Late
from cnitest.topology.link_kinds import KINDS
from cnitest.topology.model import Topology

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from cnitest.lab.explanation import Explanation
    from cnitest.lab.probe.base import Probe
    from cnitest.lab.programs.running import Running
    from cnitest.lab.reach import Reach
    from cnitest.lab.snapshot.state import State

    #: Finds out why a probe was not delivered, as its reach says.
    Explain = Callable[[Probe, Reach], Explanation]

__tracebackhide__ = is_ours

_EVERYWHERE = frozenset(kind for kind, row in KINDS.items() if row.everywhere)
# What the links of so few places announce is read sooner than it is left out.
_FEW = 16


class Lab(Measuring):
    """``with Lab(topology) as lab:`` builds it on the way in and leaves nothing behind on the way out.

    Raises TopologyError for a topology that cannot be built, FeatureMissing for what this machine lacks.
    ``blind`` makes every probe see nothing, to prove that no verdict stands without evidence. ``explain`` finds out why
    a probe was not delivered; ``cnitest.Lab`` has one.
    """

    def __init__(self, topology: Topology | Plan, *, blind: bool = False, explain: Explain | None = None) -> None:
        self.plan = topology if isinstance(topology, Plan) else plan(_topology(topology))
        self.topology = self.plan.topology
        self.blind = blind
        self.explain = explain
        self.journal = Journal()
        self.thread: NamespaceThread
        #: What `remember` found each place to be like, by full name.
        self.remembered: dict[str, State] = {}
        self._remembering = False
        self._entered = False
        self._pid_namespace: PidNamespace | None = None
        self._no_pid_namespace: Exception | None = None
        self._closing: ThreadPoolExecutor | None = None
        #: Programs that were started to stay; what of them still runs is ended with the lab.
        self.staying: list[Running] = []
        self._places: dict[str, Place] = {}
        self._sniffers: dict[str, PacketSocket] = {}
        self._owners = Owners(self.plan)
        self._lock = threading.RLock()
        #: Held by a probe: two at once would read each other's frames.
        self.probing = threading.RLock()

    def __enter__(self) -> Self:
        if self._entered:
            raise RuntimeError(f"{self!r} has been used; make a new one")
        self._entered = True
        self._require_features()
        stamps.switch_on()
        self.thread = NamespaceThread()
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Lab {self.topology.name}: {', '.join(self._places)}>"

    def _require_features(self) -> None:
        asked = map(features.link_kind, sorted(self.plan.kinds - _EVERYWHERE))
        missing = [feature for feature in asked if not feature.present]
        if missing:
            reasons = "; ".join(feature.why for feature in missing)
            raise FeatureMissing(f"topology {self.topology.name}: {reasons}", [feature.name for feature in missing])

    def _build(self) -> None:
        coming = Namespaces({name: NetworkNamespace.begin(self.thread) for name in self.plan.places})
        try:
            build(self.plan, coming)
        except PermissionError as error:
            raise FeatureMissing(features.privilege().why or str(error)) from error
        finally:
            for name, namespace in coming.made():
                self._lend(name, namespace)
        namespaces = {name: place.namespace for name, place in self._places.items()}
        if not features.flush_makes_ready() or readiness.has_stp(self.topology):
            readiness.await_ports(self.plan, namespaces)
        readiness.await_addresses(self.plan, namespaces)
        self.take_late(step for step in self.plan.steps if isinstance(step, Late))

    def take_late(self, steps: Iterable[Late]) -> None:
        """Take the steps of programs. Raises TopologyError that names the one that failed."""
        for step in steps:
            self._take(step)

    def _take(self, step: Late) -> None:
        place = self._places[step.place]
        try:
            if isinstance(step, Firewall):
                place.load_rules(step.program, *step.lines)
            else:
                place.run(step.argv)
        except CommandError as error:
            where = self.topology.where(step.path)
            raise TopologyError(f"topology {self.topology.name}: {where}: {error}") from error

    def _lend(self, name: str, namespace: NetworkNamespace) -> None:
        host, slash, inner = name.partition("/")
        if slash:
            self.host(host).adopt(Sandbox(self.host(host), inner, namespace))
        elif name in self.topology.switches:
            self.know(Switch(self, name, namespace))
        else:
            self.know(Host(self, name, namespace))

    def close(self) -> None:
        """Kill what still runs in the lab and drop every reference; the kernel does the rest behind us.

        Closing twice is closing once. What is asked of a closed lab's places fails, with an error that says why.
        """
        with self._lock:
            places, self._places = list(self._places.values()), {}
            pid_namespace, self._pid_namespace = self._pid_namespace, None
            closing, self._closing = self._closing, None
        slow: list[socket.socket] = []
        with contextlib.ExitStack() as undo:
            undo.callback(self.thread.end, lambda: _close_all(slow))
            undo.callback(_drop, places, slow)
            if pid_namespace:
                undo.callback(pid_namespace.close)
            if closing:
                undo.callback(closing.shutdown, wait=False)
            # A PID namespace only ends when each process of it that is a child of ours has been waited for.
            for running in self.staying:
                undo.callback(running.stop)

    def know(self, place: Place) -> None:
        """Make a place known under its full name."""
        with self._lock:
            self._places[place.full_name] = place
            if self._remembering:
                self.remembered[place.full_name] = place.state(firewall=False)

    def forget(self, place: Place) -> None:
        """Drop a place for good, with every socket that looks into it."""
        with self._lock:
            self._places.pop(place.full_name, None)
            self._sniffers.pop(place.full_name, None)
            self._owners.forget(place)
            slow = place.namespace.close()
            if slow:
                self._closer().submit(_close_all, slow)

    def change_namespace(self, place: Place, namespace: NetworkNamespace) -> None:
        """Give a place another network namespace; the old one is dropped with every socket that looks into it."""
        with self._lock:
            self._sniffers.pop(place.full_name, None)
            self._owners.clear()
            old, place.namespace = place.namespace, namespace
            slow = old.close()
            if slow:
                self._closer().submit(_close_all, slow)

    @property
    def keeper_pids(self) -> set[int]:
        """The process that keeps the others, once there is one."""
        return {self._pid_namespace.pid} if self._pid_namespace else set()

    def _closer(self) -> ThreadPoolExecutor:
        """A thread that closes sockets one after the other: the kernel takes its time over some."""
        if self._closing is None:
            from concurrent.futures import ThreadPoolExecutor

            self._closing = ThreadPoolExecutor(1, "cnitest-closer")
        return self._closing

    def remember(self) -> None:
        """Keep the state of every place, of those made later too, to tell afterwards what has changed."""
        declared = {step.place for step in self.plan.steps if isinstance(step, Late)}
        for place in self.places:
            self.remembered[place.full_name] = place.state(firewall=place.full_name in declared)
        self._remembering = True

    def fresh_namespace(self) -> NetworkNamespace:
        """A new, empty network namespace."""
        return NetworkNamespace.make(self.thread)

    def pid_namespace(self, network: NetworkNamespace) -> PidNamespace:
        """What keeps this lab's processes, started in a host's ``network`` when the first is needed."""
        with self._lock:
            if self._no_pid_namespace:
                raise self._no_pid_namespace
            if self._pid_namespace is None:
                try:
                    self._pid_namespace = PidNamespace(self.thread, network)
                except (CnitestError, OSError) as error:
                    self._no_pid_namespace = error  # a second try would fail for another, misleading reason
                    raise
            return self._pid_namespace

    @property
    def places(self) -> tuple[Place, ...]:
        """All hosts, sandboxes and switches."""
        with self._lock:
            return tuple(self._places.values())

    @property
    def hosts(self) -> Mapping[str, Host]:
        """The hosts by name."""
        hosts = (place for place in self.places if isinstance(place, Host))
        return Named("lab.hosts", ((host.name, host) for host in hosts))

    def host(self, name: str) -> Host:
        """A host by name. Raises LookupError that lists those there are."""
        place = self._places.get(name)
        if not isinstance(place, Host):
            raise self._unknown("host", name, self.hosts)
        return place

    def _unknown(self, what: str, name: object, known: Iterable[str], has: str = "; it has ") -> Exception:
        """The error for a place that is not there, be it for want of a lab."""
        if not self._entered:
            return UsageError(f"the lab {self.topology.name} is not built: write 'with Lab(topology) as lab:'")
        if not self._places:
            return UsageError(f"the lab {self.topology.name} has ended: its places are gone with its 'with' block")
        return unknown(self.topology.name, what, name, known, has)

    def sandbox(self, name: str) -> Sandbox:
        """A sandbox by its name, or by ``host/name`` when several hosts have one of that name."""
        sandboxes = [place for place in self.places if isinstance(place, Sandbox)]
        found = [place for place in sandboxes if name in (place.name, place.full_name)]
        if len(found) == 1:
            return found[0]
        if not found:
            raise self._unknown("sandbox", name, [place.full_name for place in sandboxes], ": ")
        raise UnknownName(
            f"{self.topology.name} has several sandboxes {name!r}: write one of "
            f"{', '.join(repr(place.full_name) for place in found)}"
        )

    def place(self, name: str) -> Place:
        """A host, switch or sandbox by its full name."""
        if name not in self._places:
            raise self._unknown("place", name, self._places)
        return self._places[name]

    def sniffer(self, place: Place) -> PacketSocket:
        """The sniffers on a place, opened when first needed and kept."""
        return self.sniffers([place])[0]

    def sniffers(self, places: Sequence[Place], also: Sequence[Kept] = ()) -> list[PacketSocket]:
        """The sniffers on several places; these, and other sockets one needs, are opened in one call of the thread."""
        stamps.await_on()
        with self._lock:
            new = [place for place in places if place.full_name not in self._sniffers]
            if new or also:
                open_all([*(packet_socket.kept(place.namespace) for place in new), *also])
            return [self._sniffer(place) for place in places]

    def _sniffer(self, place: Place) -> PacketSocket:
        known = self._sniffers.get(place.full_name)
        if known is None:
            known = self._sniffers[place.full_name] = PacketSocket(place.namespace, blind=self.blind)
            if len(self._places) > _FEW:
                known.leave_out_announcements()
        return known

    def own_file_reader(self, namespace: NetworkNamespace) -> Callable[..., str]:
        """Reads files of /proc/net as a namespace sees them."""
        from cnitest.lab.snapshot import state as states

        return states.own_file_reader(namespace, self.thread.proc)

    def owner(self, address: str, near: Place) -> Place | None:
        """The place that has an address; where several have it, the one nearest to ``near``."""
        return self._owners.owner(address, near, self.places)

    def has_owner(self, address: str, near: Place) -> bool:
        """Whether some place had an address when it was last asked for; asks nobody."""
        return self._owners.is_known(address, near)

    def settle(self, *, six: bool = False) -> None:
        """Let the kernel catch up with the carriers and bridge ports of all links, with ``six`` also with the groups of
        IPv6 addresses."""
        readiness.settle(self.places)
        for place in self.places if six else ():
            readiness.await_groups(place)


def _topology(given: object) -> Topology:
    """A topology. Raises UsageError for what names one."""
    if isinstance(given, Topology):
        return given
    write = f": write Lab(load(find({str(given)!r})))" if isinstance(given, str | os.PathLike) else ""
    raise UsageError(f"a lab is made of a topology, not of {given!r}{write}")


def _drop(places: list[Place], slow: list[socket.socket]) -> None:
    """Close what places have, the rest of them, too, where one fails; sockets that are slow to close come to a list."""
    try:
        while places:
            place = places.pop()
            if isinstance(place, Host):
                place.close()
            slow.extend(place.namespace.close())
    finally:
        if places:
            _drop(places, slow)


def _close_all(slow: list[socket.socket]) -> None:
    """Close packet sockets, which waits for the kernel; done where nobody waits for us."""
    for one in slow:
        one.close()
