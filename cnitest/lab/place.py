"""Hosts, sandboxes and switches as a test sees them."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnitest.deadline import Deadline
from cnitest.errors import CommandError, UsageError, is_ours
from cnitest.kernel import firewall, sysctl
from cnitest.kernel.namespaces import NetworkNamespace
from cnitest.kernel.processes import process, programs
from cnitest.kernel.processes.process import Finished
from cnitest.kernel.rows import multicast
from cnitest.kernel.rows.records import Address, Link, Neighbour, Route, Rule
from cnitest.lab.arguments import checked
from cnitest.lab.flows.flows import Flows
from cnitest.lab.named import unknown
from cnitest.lab.snapshot import state as states
from cnitest.lab.snapshot.state import State

if TYPE_CHECKING:
    from cnitest.lab.frames.capture import Capture
    from cnitest.lab.hosts import Host
    from cnitest.lab.lab import Lab
    from cnitest.lab.probe.verdict.inquiry import Watch
    from cnitest.lab.programs.running import Ready, Running
    from cnitest.lab.programs.service import Service
    from cnitest.lab.reach import Reach

__tracebackhide__ = is_ours

#: What a program in a host gets to see of our environment: nothing but this.
ENVIRONMENT: Mapping[str, str] = {
    "PATH": programs.PATH,
    "HOME": "/root",
    "LANG": "C.UTF-8",
    # /run is the host's own, so this leads to a bus that was started inside it, or nowhere.
    "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/run/dbus/system_bus_socket",
}


@dataclass(frozen=True)
class Output:
    """What a command said; ``seconds`` is its wall time."""

    argv: tuple[str, ...]
    exit_code: int
    stdout: str
    stderr: str
    seconds: float


class Place(Flows):
    """A network namespace of the lab. Its tables (``links``, ``addresses``, …) are read afresh each time."""

    def __init__(self, lab: Lab, name: str, namespace: NetworkNamespace) -> None:
        self.lab = lab
        #: How the topology calls it: ``node``, or ``node/c1`` for a sandbox.
        self.full_name = name
        self.name = name.rpartition("/")[2]
        self.namespace = namespace
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.full_name}>"

    @property
    def host(self) -> Host:
        """The host whose filesystem programs here see."""
        raise NotImplementedError

    @property
    def links(self) -> tuple[Link, ...]:
        """The links, ``ip link``."""
        return states.links(self.namespace).links

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses of both families, ``ip address``."""
        return states.addresses(self.namespace)

    @property
    def routes(self) -> tuple[Route, ...]:
        """The routes of all tables and both families, ``ip route show table all``."""
        return states.routes(self.namespace)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The policy rules, ``ip rule``."""
        return states.rules(self.namespace)

    @property
    def neighbours(self) -> tuple[Neighbour, ...]:
        """The ARP and ND tables, ``ip neighbour``."""
        return states.neighbours(self.namespace)

    def addresses_on(self, link: str) -> tuple[str, ...]:
        """The global addresses of one link, without their prefixes."""
        return tuple(a.ip for a in self.addresses if a.link == link and a.scope == "global")

    def link(self, name: str) -> Link:
        """One link by name. Raises LookupError that lists those there are."""
        found = {link.name: link for link in self.links}
        if name not in found:
            raise unknown(self.full_name, "link", name, found)
        return found[name]

    @checked
    def sysctl(self, name: str, value: str | int | None = None) -> str | None:
        """Read a sysctl of this namespace, or set it first. None when the kernel has none of that name."""

        def call() -> str | None:
            if value is not None:
                sysctl.write(name, str(value))
            return sysctl.read(name)

        return self.namespace.run(call)

    @property
    def multicast(self) -> tuple[tuple[str, str], ...]:
        """The multicast memberships as (link, group): MAC, IPv4 and IPv6 groups, ``ip maddress``."""
        return multicast.memberships(self.lab.own_file_reader(self.namespace))

    @checked
    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: str = "",
        check: bool = True,
        timeout: float = 30.0,
        environment: Mapping[str, str] | None = None,
    ) -> Output:
        """Run a program here to its end, with a scrubbed environment.

        Raises CommandError with the program's words when it fails (unless ``check`` is false), cannot be started,
        or is not done after ``timeout`` seconds.
        """
        if not isinstance(stdin, str):
            raise UsageError(f"{self.full_name}: run(): stdin is a text, not {stdin!r}; execute() takes bytes")
        finished = self.execute(argv, stdin.encode(), timeout=timeout, environment=environment)
        out, err = (text.decode(errors="replace") for text in (finished.stdout, finished.stderr))
        what = f"{self.full_name}: {' '.join(argv)}"
        if finished.timed_out:
            raise CommandError(f"{what}: not done after {timeout:g} s, killed\n{out}{err}")
        if check and finished.exit_code != 0:
            raise CommandError(f"{what}: exit code {finished.exit_code}\n{out}{err}".rstrip())
        return Output(tuple(argv), finished.exit_code, out, err, finished.seconds)

    @checked
    def execute(
        self,
        argv: Sequence[str],
        stdin: bytes = b"",
        *,
        timeout: float = 30.0,
        environment: Mapping[str, str] | None = None,
    ) -> Finished:
        """Run a program here and return how it ended, whatever that was. Raises CommandError if it cannot start."""
        deadline = Deadline.after(timeout, f"{argv[0]} in {self.full_name}")
        wanted = dict(ENVIRONMENT if environment is None else environment)
        try:
            started = self._started(tuple(argv), wanted, anywhere=environment is None)
        except (OSError, ValueError) as error:
            raise CommandError(f"{self.full_name}: {argv[0]} cannot be started: {error}{_advice(argv[0])}") from error
        return process.finish(started, stdin, deadline)

    @checked
    def start(
        self,
        argv: Sequence[str],
        *,
        ready: Ready | None = None,
        timeout: float = 10.0,
        environment: Mapping[str, str] | None = None,
    ) -> Running:
        """Start a program that stays here while the ``with`` block runs, with a scrubbed environment.

        ``ready`` is what to wait for, ``timeout`` seconds at most: a port that is listened on (TCP or UDP), a regular
        expression (text or compiled) or bytes in its output, a path in the host (text that begins with ``/``, or a
        `Path`), or a function that returns something true. With the block the program and all that it started are
        ended: SIGTERM, and SIGKILL a second later. Its output can be read afterwards, too.

        Raises CommandError, with the output, when it cannot be started, ends before it is ready, or is not in time.
        """
        from cnitest.lab.programs.running import begin

        wanted = dict(ENVIRONMENT if environment is None else environment)
        try:
            started = self._started(tuple(argv), wanted, anywhere=environment is None)
        except (OSError, ValueError) as error:
            raise CommandError(f"{self.full_name}: {argv[0]} cannot be started: {error}{_advice(argv[0])}") from error
        return begin(self, started, ready, timeout)

    @checked
    def service(self, port: int, *protocols: str, reply: bytes | None = None) -> Service:
        """A service on ``port`` while the ``with`` block runs: it echoes, or answers ``reply``, over TCP and UDP (or
        only those ``protocols``), on all addresses of both families, and tells in ``seen`` who came."""
        from cnitest.lab.programs.service import Service

        return Service(self, port, protocols or ("tcp", "udp"), reply)

    def _started(self, argv: tuple[str, ...], environment: Mapping[str, str], *, anywhere: bool) -> process.Started:
        """Start a program, which may be ``anywhere`` in the PATH of who calls us when the host has it nowhere."""
        try:
            return self.spawn(argv, environment)
        except FileNotFoundError:
            path = programs.find(argv[0]) if anywhere and "/" not in argv[0] else ""
            if not path:
                raise
        return self.spawn((path, *argv[1:]), environment)

    def spawn(self, argv: Sequence[str], environment: Mapping[str, str]) -> process.Started:
        """Start a program here, which the caller finishes. Raises OSError, ValueError."""
        raise NotImplementedError

    def state(self, *, firewall: bool = True, connections: bool = True, counters: bool = False) -> State:
        """Everything that can be known of this place, frozen; ``firewall=False`` leaves out rules and connections,
        which cost a program each, ``connections=False`` only those; ``counters`` has what rules have counted."""
        if not firewall:
            return states.take(self.namespace)
        reader = self.lab.own_file_reader(self.namespace)
        return states.take(
            self.namespace, run=self._run_quietly, read_own=reader, connections=connections, counters=counters
        )

    def _run_quietly(self, argv: Sequence[str], stdin: bytes = b"") -> Finished:
        return self.execute(argv, stdin)

    @checked
    def load_rules(self, program: str, *lines: str) -> None:
        """Load firewall rules here: lines for iptables or ip6tables, or a script for nft."""
        firewall.load(program, lines, self._run_quietly)

    @checked
    def ping(
        self,
        address: str,
        *,
        size: int = 56,
        df: bool = False,
        ttl: int | None = None,
        source: str | None = None,
        mark: int | None = None,
        tos: int | str | None = None,
        wait: float | None = None,
        watch: Watch = "ends",
    ) -> Reach:
        """Send an ICMP or ICMPv6 echo request and say what became of it.

        ``size`` is the payload in bytes as ping(8) counts it, ``df`` forbids fragments, ``ttl`` is the hop limit,
        ``mark`` the fwmark, ``tos`` the TOS or traffic class (a byte, or a DSCP class such as ``"EF"``), ``wait`` the
        seconds after which an attempt counts as lost. ``watch="all"`` has every place of the lab watch, so that the
        path of a delivered one is whole; it takes longer. A multicast or broadcast address (``ff02::1%eth0``) is
        answered when anyone else answers; see `Reach.receivers`. Raises UsageError for what no packet can have.
        """
        from cnitest.lab.probe.kinds.echo import EchoProbe
        from cnitest.lab.probe.kinds.group import group_of
        from cnitest.lab.probe.options import options
        from cnitest.lab.probe.verdict.inquiry import prove

        sent = options(address, source=source, mark=mark, tos=tos, ttl=ttl)
        group = group_of(self, address)
        if group is None:
            return prove(EchoProbe(self, address, size=size, df=df, options=sent), wait, watch)
        from cnitest.lab.probe.kinds.group_echo import GroupEcho

        return prove(GroupEcho(group, size=size, df=df, options=sent), wait, watch)

    @checked
    def tcp(
        self,
        address: str,
        port: int,
        *,
        listener: Place | None = None,
        listener_port: int | None = None,
        source: str | None = None,
        source_port: int | None = None,
        mark: int | None = None,
        tos: int | str | None = None,
        ttl: int | None = None,
        size: int | None = None,
        reply_size: int | None = None,
        rate: float | str | None = None,
        hold: float = 0.0,
        wait: float | None = None,
        watch: Watch = "ends",
    ) -> Reach:
        """Connect, send a unique payload and get it back.

        The listener is started where ``address`` lives, or at ``listener`` (port ``listener_port``) when something
        on the way translates the destination. A listener that already is there is used. ``source``, ``source_port``,
        ``mark``, ``tos`` and ``ttl`` are those of the client's packets. Raises UsageError for what no packet can have.

        With ``size`` so many bytes go to the listener, with ``reply_size`` so many come back, each checked, at most
        ``rate`` bits a second (a number, or as tc(8) has it: ``"10mbit"``). The connection then rests for ``hold``
        seconds and has to carry bytes both ways once more. A transfer without a new byte for ``wait`` seconds, at least
        one, is stuck.
        """
        from cnitest.lab.probe.kinds.group import group_of
        from cnitest.lab.probe.kinds.stream import StreamProbe
        from cnitest.lab.probe.options import options
        from cnitest.lab.probe.verdict.inquiry import prove

        sent = options(address, source=source, source_port=source_port, mark=mark, tos=tos, ttl=ttl)
        if group_of(self, address):
            raise UsageError(f"{address} is a group: a TCP connection has one other end; udp() and ping() go to many")
        if size is reply_size is rate is None and not hold:
            return prove(StreamProbe(self, address, port, listener, listener_port or port, sent), wait, watch)
        from cnitest.lab.probe.kinds.bulk import BulkProbe, load

        wanted = load(size, reply_size, rate, hold)
        return prove(BulkProbe(self, address, port, listener, listener_port or port, wanted, sent), wait, watch)

    @checked
    def sctp(
        self,
        address: str,
        port: int,
        *,
        listener: Place | None = None,
        listener_port: int | None = None,
        source: str | None = None,
        mark: int | None = None,
        tos: int | str | None = None,
        wait: float | None = None,
        watch: Watch = "ends",
    ) -> Reach:
        """An SCTP association; as `tcp` otherwise. Raises FeatureMissing where the kernel has none."""
        from cnitest.lab.probe.kinds.sctp import SctpProbe
        from cnitest.lab.probe.options import options
        from cnitest.lab.probe.verdict.inquiry import prove

        sent = options(address, source=source, mark=mark, tos=tos)
        SctpProbe.require()
        return prove(SctpProbe(self, address, port, listener, listener_port or port, sent), wait, watch)

    @checked
    def udp(
        self,
        address: str,
        port: int,
        *,
        listener: Place | Sequence[Place] | None = None,
        listener_port: int | None = None,
        source: str | None = None,
        source_port: int | None = None,
        mark: int | None = None,
        tos: int | str | None = None,
        ttl: int | None = None,
        size: int = 32,
        join: bool = True,
        wait: float | None = None,
        watch: Watch = "ends",
    ) -> Reach:
        """Send a datagram with a unique payload of ``size`` bytes and get it back; as `tcp` otherwise.

        To a multicast or broadcast address there may be several listeners; they join the group unless ``join`` is
        false, and all have to get it. Without any, those listen who are members already, and one is enough.
        """
        from cnitest.lab.probe.kinds.datagram import DatagramProbe
        from cnitest.lab.probe.kinds.group import group_of
        from cnitest.lab.probe.options import options
        from cnitest.lab.probe.verdict.inquiry import prove

        sent = options(address, source=source, source_port=source_port, mark=mark, tos=tos, ttl=ttl)
        group = group_of(self, address)
        listeners = (listener,) if isinstance(listener, Place) else tuple(listener or ())
        if group:
            from cnitest.lab.probe.kinds.group_datagram import GroupDatagram

            probe = GroupDatagram(group, port, listeners, listener_port or port, join=join, size=size, options=sent)
            return prove(probe, wait, watch)
        if len(listeners) > 1:
            raise UsageError(f"{address} is no group: a datagram to it has one listener, not {len(listeners)}")
        far = listeners[0] if listeners else None
        return prove(DatagramProbe(self, address, port, far, listener_port or port, size, sent), wait, watch)

    @checked
    def arp(self, address: str, *, on: str | None = None, wait: float | None = None, watch: Watch = "ends") -> Reach:
        """Ask who has ``address`` (ARP, or a neighbour solicitation for IPv6) on a link and await the answer."""
        from cnitest.lab.probe.verdict.inquiry import prove
        from cnitest.lab.probe.verdict.neighbour import NeighbourProbe

        return prove(NeighbourProbe(self, address, on), wait, watch)

    @checked
    def capture(self, on: str | None = None) -> Capture:
        """Record the frames of one link (default: all) while the ``with`` block runs."""
        from cnitest.lab.frames.capture import Capture

        return Capture(self, on)

    @checked
    def send(self, packet: Any, on: str | None = None) -> None:
        """Send a scapy packet: a whole frame on link ``on``, or an IP packet for the kernel to route."""
        from cnitest.lab.frames import packets

        packets.send(self, packet, on)

    @checked
    def exchange(self, packet: Any, on: str | None = None, *, wait: float = 1.0) -> Any:
        """Send a scapy packet and return the first one that answers it, or None after ``wait`` seconds."""
        from cnitest.lab.frames import packets

        return packets.exchange(self, packet, on, wait)


def _advice(program: str) -> str:
    """A program's right name, for the end of a message."""
    close = None if "/" in program else programs.misspelt(program)
    return f"; did you mean {close!r}?" if close else ""
