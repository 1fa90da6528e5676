"""Hosts, sandboxes and switches as a test sees them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from cnitest.errors import CommandError, UsageError, is_ours
from cnitest.kernel import sysctl
from cnitest.kernel.namespaces import NetworkNamespace
from cnitest.kernel.netfilter import firewall
from cnitest.kernel.processes.process import Finished
from cnitest.lab.arguments import checked
from cnitest.lab.flows.flows import Flows
from cnitest.lab.named import unknown
from cnitest.lab.probe.probes import Probes
from cnitest.lab.programs.programs import ENVIRONMENT, Output, Programs
from cnitest.lab.reach import Traffic

if TYPE_CHECKING:
    from cnitest.kernel.files import File
    from cnitest.kernel.rows.records import Address, Link, Neighbour, Route, Rule
    from cnitest.lab.frames.capture import Capture
    from cnitest.lab.hosts import Host
    from cnitest.lab.lab import Lab
    from cnitest.lab.snapshot.state import State

__all__ = ["ENVIRONMENT", "Output", "Place"]

__tracebackhide__ = is_ours


class Place(Probes, Flows, Programs):
    """A network namespace of the lab. Its tables (``links``, ``addresses``, …) are read afresh each time."""

    #: ``host``, ``sandbox`` or ``switch``.
    role: ClassVar[str] = ""

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
        from cnitest.lab.snapshot import state as states

        return states.links(self.namespace).links

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses of both families, ``ip address``."""
        from cnitest.lab.snapshot import state as states

        return states.addresses(self.namespace)

    @property
    def routes(self) -> tuple[Route, ...]:
        """The routes of all tables and both families, ``ip route show table all``."""
        from cnitest.lab.snapshot import state as states

        return states.routes(self.namespace)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The policy rules, ``ip rule``."""
        from cnitest.lab.snapshot import state as states

        return states.rules(self.namespace)

    @property
    def neighbours(self) -> tuple[Neighbour, ...]:
        """The ARP and ND tables, ``ip neighbour``."""
        from cnitest.lab.snapshot import state as states

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
        """Read a sysctl of this namespace, or set it first. None when the kernel has none of that name.

        Raises UsageError for setting one that is not below ``net.``: it would be the whole machine's.
        """
        if value is not None and not sysctl.path(name).startswith("net/"):
            raise UsageError(
                f"{self.full_name}: sysctl {name} is the whole machine's: a place has its own only below 'net.'"
            )

        def call() -> str | None:
            if value is not None:
                sysctl.write(name, str(value))
            return sysctl.read(name)

        return self.namespace.run(call)

    @property
    def multicast(self) -> tuple[tuple[str, str], ...]:
        """The multicast memberships as (link, group): MAC, IPv4 and IPv6 groups, ``ip maddress``."""
        from cnitest.kernel.rows import multicast

        return multicast.memberships(self.lab.own_file_reader(self.namespace))

    def state(self, *, firewall: bool = True, connections: bool = True, counters: bool = False) -> State:
        """Everything that can be known of this place, frozen; ``firewall=False`` leaves out rules and connections,
        which cost a program each, ``connections=False`` only those; ``counters`` has what rules have counted. That of a
        host has the files of its private layers."""
        from cnitest.lab.snapshot import state as states

        run = self._run_quietly if firewall else None
        reader = self.lab.own_file_reader(self.namespace) if firewall else None
        files = self._files()
        return states.take(
            self.namespace, run=run, read_own=reader, files=files, connections=connections, counters=counters
        )

    def _files(self) -> tuple[File, ...]:
        """The files in the private layers of a host; other places have none of their own."""
        return ()

    def _run_quietly(self, argv: Sequence[str], stdin: bytes = b"") -> Finished:
        return self.execute(argv, stdin)

    @checked
    def load_rules(self, program: str, *lines: str) -> None:
        """Load firewall rules here: lines for iptables or ip6tables, or a script for nft. Raises CommandError with
        the program's words."""
        try:
            firewall.load(program, lines, self._run_quietly)
        except CommandError as error:
            raise CommandError(f"{self.full_name}: {error}") from None

    @checked
    def capture(self, on: str | None = None) -> Capture:
        """Record the frames of one link (default: all) while the ``with`` block runs."""
        from cnitest.lab.frames.capture import Capture

        self._note("capture")
        return Capture(self, on)

    @checked
    def send(self, packet: Any, on: str | None = None) -> None:
        """Send a scapy packet: a whole frame on link ``on``, or an IP packet for the kernel to route."""
        from cnitest.lab.frames import packets

        self._note("send")
        packets.send(self, packet, on)

    @checked
    def exchange(self, packet: Any, on: str | None = None, *, wait: float = 1.0) -> Any:
        """Send a scapy packet and return the first one that answers it, or None after ``wait`` seconds."""
        from cnitest.lab.frames import packets

        self._note("exchange")
        return packets.exchange(self, packet, on, wait)

    def _note(self, how: str) -> None:
        self.lab.journal.note(Traffic(self.full_name, how))
