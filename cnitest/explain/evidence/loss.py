"""One lost packet: where it was last seen, and all that can be asked about it and the places on its way."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, TypeVar

from cnitest.errors import KernelError
from cnitest.explain.evidence.ip import fib, marks, translated
from cnitest.explain.evidence.ip.counters import NONE, Counts
from cnitest.explain.evidence.ip.kernel_routes import IN_VAIN, NoRoute, by_unanswered, route_of
from cnitest.explain.evidence.rows import LastSeen, MetRule, answer_to, is_group, sent_tos
from cnitest.explain.evidence.stages import BRIDGED, INSIDE, OUTSIDE, SENDING, Stage
from cnitest.explain.evidence.wiring import Wiring
from cnitest.kernel.netfilter.conntrack import Flow
from cnitest.kernel.netfilter.ruleset import Ruleset
from cnitest.kernel.rows import sockets
from cnitest.kernel.rows.records import Address, Link, Port, Route
from cnitest.kernel.rows.sockets import Socket
from cnitest.kernel.rows.traffic_control import Dropper
from cnitest.lab.place import Place
from cnitest.lab.probe import wire
from cnitest.lab.probe.base import Attempt, Probe
from cnitest.lab.reach import UNTOLD, Freed, Reach, Seen
from cnitest.lab.snapshot import state as states
from cnitest.lab.snapshot.state import State

__all__ = ["QUESTIONS", "Loss", "NoRoute", "Stage"]

T = TypeVar("T")

#: The transports of probes that are ARP or neighbour discovery.
QUESTIONS = ("arp", "nd")


@dataclass(frozen=True)
class Loss:
    """A packet that was lost while all evidence was gathered.

    ``freed`` is what the kernel's trace says of it (none without one), ``steps`` the rules that it met, in order.
    """

    reach: Reach
    probe: Probe
    attempt: Attempt
    seen: Seen
    spot: LastSeen
    freed: tuple[Freed, ...] = ()
    steps: tuple[MetRule, ...] = ()
    #: What places have counted meanwhile, by full name.
    counts: Mapping[str, Counts] = field(default_factory=dict)
    #: The rules of the places that have some, by full name.
    rulesets: Mapping[str, Ruleset] = field(default_factory=dict, compare=False, repr=False)
    #: Of an answer that was never seen, the packet that it answers; see `answer`.
    asked: wire.Headers | None = None
    #: Sends another probe, such as an ARP request, with all evidence gathered.
    again: Callable[[Probe], Loss] | None = None
    #: The rules that ended messages to the sender that its packets are too big.
    ended_messages: Callable[[], tuple[MetRule, ...]] = tuple
    #: What could not be looked at, and why.
    unseen: tuple[str, ...] = ()
    # What was read of the places so far.
    _states: dict[str, State] = field(default_factory=dict, compare=False, repr=False)
    _full_states: dict[str, State] = field(default_factory=dict, compare=False, repr=False)
    _wiring: dict[str, Wiring] = field(default_factory=dict, compare=False, repr=False)
    # What was found in it so far, by the function that did.
    _found: dict[Callable[[Loss], Any], Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    @property
    def place(self) -> Place:
        """The place where it was last seen."""
        return self.spot.place

    @property
    def link(self) -> str:
        """The link where it was last seen; empty of one that never left its sender."""
        return self.spot.link

    @property
    def returning(self) -> bool:
        """Whether it is the answer that was lost."""
        return self.spot.returning

    @cached_property
    def packet(self) -> wire.Headers:
        """Its headers as they were last seen; of one that was never seen what the probe says of it."""
        if self.spot.frame:
            return wire.read(self.spot.frame.data)
        if self.asked:
            return answer_to(self.asked)
        bare = self.reach.destination.partition("%")[0]
        return wire.Headers(
            wire.ETH_IPV6 if ":" in bare else wire.ETH_IPV4,
            self.probe.source or self.chosen_source,
            bare,
            wire.protocol_of(self.reach.transport, six=":" in bare),
            destination_port=self.reach.port,
        )

    @cached_property
    def chosen_source(self) -> str:
        """The address that the sender's kernel would choose, empty when it has no route."""
        return found.source if isinstance(found := self.route(self.reach.destination.partition("%")[0]), Route) else ""

    @property
    def mac(self) -> str:
        """The MAC that its frame is addressed to, empty of one that was never seen."""
        return self.spot.frame.data[:6].hex(":") if self.spot.frame else ""

    @property
    def source_mac(self) -> str:
        """The MAC that its frame comes from, empty of one that was never seen."""
        return self.spot.frame.data[6:12].hex(":") if self.spot.frame else ""

    @property
    def six(self) -> bool:
        """Whether it is an IPv6 packet."""
        return ":" in self.packet.destination

    @property
    def is_question(self) -> bool:
        """Whether the probe itself is ARP or neighbour discovery: the question for a MAC, or its answer."""
        return self.probe.transport in QUESTIONS

    @property
    def family(self) -> str:
        """``ipv4`` or ``ipv6``, as sysctls are called."""
        return "ipv6" if self.six else "ipv4"

    @cached_property
    def port(self) -> Port | None:
        """The bridge port that it came in by, None of any other link."""
        ports = {port.name: port for port in self.state().ports}
        return ports.get(self.link)

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """Where it can have ended, in the order in which it comes there."""
        if not self.link:
            return SENDING
        if self.spot.out:
            return OUTSIDE
        return BRIDGED if self.bridged else INSIDE

    @cached_property
    def bridged(self) -> bool:
        """Whether it is the bridge that hands it on: it came in by a port, for a MAC that is none of the place's."""
        if self.port is None or not self.mac or is_group(self.mac):
            return False
        return self.mac not in {link.mac for link in self.state().links}

    @cached_property
    def reasons(self) -> frozenset[str]:
        """Why the kernel freed it, in the names of its trace (``NETFILTER_DROP``); empty where nothing is known."""
        reasons = frozenset(freed.reason for freed in self.freed if freed.returning == self.returning)
        return reasons - {UNTOLD}

    @cached_property
    def answer(self) -> Loss | None:
        """The same for the answer to it, which may have ended before it left: of a packet that was last seen where it
        was for, None of all others."""
        if self.returning or not self.received or not self.owns(self.destination):
            return None
        asked = self.packet._replace(destination=self.destination)
        return replace(self, spot=LastSeen(self.place, returning=True), asked=asked)

    @cached_property
    def routed(self) -> Route | NoRoute:
        """What the place's kernel says of the packet's way on: as one of its own, or as one that came in."""
        packet, iif = self.packet, self.incoming if self.link else ""
        ports = (packet.protocol, packet.source_port, packet.destination_port)
        if packet.kind:  # the kernel keeps an ICMP message's type and code where others have their destination port
            ports = (packet.protocol, 0, packet.kind << 8)
        by, tos = ports if packet.protocol in wire.ROUTED else None, self.question.tos
        found = self.route(self.destination, source=packet.source, iif=iif, mark=self.mark, ports=by, tos=tos)
        hops = self.decision.route.hops if self.decision and self.decision.route else ()
        return by_unanswered(found, hops, self.place.neighbours) if hops and isinstance(found, Route) else found

    @cached_property
    def question(self) -> fib.RouteLookup:
        """The packet as the rules of its place look at it."""
        tos = wire.tos(self.spot.frame.data) if self.spot.frame else sent_tos(self.probe, returning=self.returning)
        skips = self.sysctl(f"{self.family}/conf/all/ignore_routes_with_linkdown") == "1"
        packet = self.packet._replace(destination=self.destination)
        return fib.RouteLookup(packet, self.incoming, self.mark, tos, carriers=skips)

    @cached_property
    def decision(self) -> fib.Decision | None:
        """The rule and the route that decide on the packet where it was last seen, None when there is no route."""
        return fib.decide(self.state(), self.question)

    @cached_property
    def destination(self) -> str:
        """Its destination as the routing decision sees it: where a rule or its connection has translated it, that."""
        here = [step for step in self.steps if step.place == self.place.full_name and step.returning == self.returning]
        found = translated.by_rule(here) or translated.by_connection(self.packet, self.flows)
        asked = (row.ip for row in self.place.neighbours if row.state in IN_VAIN) if here and not found else ()
        return found or translated.by_range(here, asked) or self.packet.destination

    @cached_property
    def flows(self) -> tuple[Flow, ...]:
        """The connections that the place tracks; none where it does not show them."""
        try:
            return states.flows(self.place.namespace)
        except (KernelError, OSError):
            return ()

    @property
    def mark(self) -> int:
        """Its fwmark where it was last seen: what rules there gave it, else what its sender did."""
        return self.mark_at(self.place, sent=not self.link)

    def mark_at(self, place: Place, *, sent: bool) -> int:
        """The same at any place on its way, which got or ``sent`` it; a mark is gone where a packet leaves."""
        met, name, hooks = self.steps, place.full_name, ("OUTPUT",) if sent else ("PREROUTING",)
        found = marks.by_rules(met, name, returning=self.returning, hooks=hooks)
        if found or not (sent and self.returning and any(rule.mask for rule in self.state(place).rules)):
            return found or (self.probe.options.mark if sent and not self.returning else 0)
        asked = marks.by_rules(met, name, returning=False, hooks=("PREROUTING", "INPUT"))
        reads = partial(self.sockets, place=place), partial(self.number, place=place)
        return marks.of_answer(self.packet, asked, *reads)

    def state(self, place: Place | None = None) -> State:
        """A place, read once, without its firewall; default: the one where the packet was last seen."""
        where = place or self.place
        if where.full_name not in self._states:
            self._states[where.full_name] = where.state(firewall=False)
        return self._states[where.full_name]

    def full_state(self, place: Place | None = None) -> State:
        """The same with its firewall rules and connections, which takes longer."""
        where = place or self.place
        if where.full_name not in self._full_states:
            self._full_states[where.full_name] = where.state()
        return self._full_states[where.full_name]

    @property
    def wiring(self) -> Wiring:
        """How the links of the lab hang together."""
        return self._wiring.setdefault("", Wiring(self.place.lab.places))

    def once(self, function: Callable[[Loss], T]) -> T:
        """What a function finds in this loss, which is asked once: ``loss.once(leg.travelled)``."""
        if function not in self._found:
            self._found[function] = function(self)
        found: T = self._found[function]
        return found

    def links(self, place: Place | None = None) -> Mapping[str, Link]:
        """The links of a place by name."""
        return {link.name: link for link in self.state(place).links}

    def sysctl(self, name: str, place: Place | None = None) -> str:
        """A sysctl of a place (below ``net.``, links' names with slashes: ``ipv4/conf/eth0/rp_filter``), else empty."""
        value = (place or self.place).sysctl(f"net/{name}" if "/" in name else f"net.{name}")
        return "" if value is None else str(value)

    def number(self, name: str, place: Place | None = None) -> int:
        """A sysctl as a number; 0 when there is none."""
        value = self.sysctl(name, place)
        return int(value) if value.lstrip("-").isdigit() else 0

    def counted(self, *names: str, place: Place | None = None) -> int:
        """How often one of some errors (``TcpExtListenDrops``) was counted at a place while the packet was sent."""
        errors = self.counts.get((place or self.place).full_name, NONE).errors
        return sum(errors.get(name, 0) for name in names)

    def dropped(self, *links: str, place: Place | None = None) -> dict[Dropper, int]:
        """What disciplines and filters on some links of a place (default: its own; none named: all) dropped while it
        was sent."""
        drops = self.counts.get((place or self.place).full_name, NONE).drops
        return {who: count for who, count in drops.items() if not links or who.link in links}

    def sockets(self, protocol: str, place: Place | None = None) -> tuple[Socket, ...]:
        """The sockets of ``tcp`` or ``udp`` that take what comes to a place; none where the kernel shows none."""
        try:
            return sockets.listening((place or self.place).namespace, protocol)
        except (KernelError, OSError):
            return ()

    def owns(self, address: str, place: Place | None = None) -> bool:
        """Whether a place has an address."""
        return any(row.ip == address for row in self.state(place).addresses)

    def addresses(self, place: Place, link: str | None = None) -> tuple[Address, ...]:
        """The global addresses of a place in the packet's family, of one link or of all."""
        rows = (row for row in self.state(place).addresses if link in (None, row.link))
        return tuple(row for row in rows if row.scope == "global" and (":" in row.ip) == self.six)

    def owner(self, address: str) -> Place | None:
        """The place of the lab that has an address."""
        return self.place.lab.owner(address, self.place)

    def route(
        self,
        destination: str,
        *,
        source: str = "",
        iif: str = "",
        place: Place | None = None,
        mark: int = 0,
        tos: int = 0,
        ports: tuple[int, int, int] | None = None,
    ) -> Route | NoRoute:
        """The route that a place takes to an address, as its kernel says: of a packet of its own, or of one from
        ``source`` that comes in by ``iif``; of one with a protocol and ``ports`` where rules ask for them."""
        where = place or self.place
        return route_of(where, self.links(where), destination, source=source, iif=iif, mark=mark, tos=tos, ports=ports)

    @cached_property
    def incoming(self) -> str:
        """The link by which IP receives it: the bridge of a bridge port, else the link itself."""
        return self.port.bridge if self.port else self.link

    @cached_property
    def received(self) -> bool:
        """Whether the place's IP got it: it came in by a link that is no bridge port, addressed to that link's MAC, or
        by a bridge, to that of one of its ports."""
        if not self.link or self.spot.out or self.port:
            return False
        return self.link == "lo" or any(
            link.mac == self.mac and (link.name == self.link or (link.master == self.link and link.name in self._ports))
            for link in self.state().links
        )

    @cached_property
    def _ports(self) -> frozenset[str]:
        return frozenset(port.name for port in self.state().ports)

    @cached_property
    def forwarded(self) -> bool:
        """Whether the place is to hand it on: it was received, and its destination is none of the place's own."""
        return self.received and not self.owns(self.destination)

    def in_network(self, address: str, place: Place, link: str) -> bool:
        """Whether an address is in a subnet of a link."""
        wanted = ipaddress.ip_address(address)
        return any(
            wanted in ipaddress.ip_interface(row.address).network
            for row in self.state(place).addresses
            if row.link == link
        )
