"""Whether packets flow, by probes with a timeout: what a container needs at once, and what it may wait for."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

from cnitest.conformance.bench.steps import NoAnswer, NoArrival
from cnitest.conformance.model import space
from cnitest.conformance.model.finding import Detail, Doubt
from cnitest.conformance.model.subject import Subject
from cnitest.deadline import Deadline
from cnitest.errors import CnitestError, DeadlineExceeded
from cnitest.lab.lab import Lab
from cnitest.lab.place import Place
from cnitest.lab.programs.running import listened
from cnitest.lab.reach import Reach, Verdict

#: IPv6 addresses take up to two seconds to be usable (RFC 4862, one probe and its delay).
TIMEOUT = 3.0
#: For packets that may be answered or not: as long as IPv6 needs.
READY = 2.0
#: For packets that were answered before.
AGAIN = 1.0
_STEP = 0.1
_PORT = 4789
# What a header before the payload takes: ICMP and IPv4, ICMP and IPv6.
_HEADERS = {4: 28, 6: 48}


class TrafficProbe(NamedTuple):
    """One probe from a place to an address, and its words; ``protocol`` and ``port`` of one to a host's port."""

    words: str
    probe: Callable[[], Reach]
    sender: Place
    target: str
    protocol: str = ""
    port: int = 0


def echo(sender: Place, target: str) -> TrafficProbe:
    """An ICMP echo of the usual size."""
    return TrafficProbe(f"{sender.full_name} -> {target} icmp", lambda: sender.ping(target), sender, target)


def free_port(subject: Subject, *places: Place) -> int:
    """A port for probes: no document of the subject names it, and nobody listens on it at one of the places."""
    busy = {number for place in places for number in listened(place)}
    wanted = space.port(subject, _PORT)
    while wanted in busy:
        wanted = space.port(subject, wanted + 1)
    return wanted


def both_ways(one: Place, ip: str, other: Place, ip_other: str, *, port: int, mtu: int = 0) -> Iterator[TrafficProbe]:
    """ICMP, and UDP and TCP to ``port``, from one place to another and back; with ``mtu`` also packets of that size."""
    for sender, target, receiver in ((one, ip_other, other), (other, ip, one)):
        yield echo(sender, target)
        yield from streams(sender, target, receiver, port)
        if mtu:
            yield full_size(sender, target, mtu)


def streams(sender: Place, target: str, receiver: Place, port: int) -> list[TrafficProbe]:
    """UDP and TCP from one place to a port of another."""
    name = f"{sender.full_name} -> {target}"
    return [
        TrafficProbe(f"{name} udp", lambda: sender.udp(target, port, listener=receiver), sender, target),
        TrafficProbe(f"{name} tcp", lambda: sender.tcp(target, port, listener=receiver), sender, target),
    ]


def outside(lab: Lab, node: Place) -> dict[int, tuple[Place, str]]:
    """By family a place beside a node, and the node's address in the network of both; without those there are not."""
    found: dict[int, tuple[Place, str]] = {}
    for other in lab.hosts.values():
        theirs = [ipaddress.ip_interface(each.address).network for each in other.addresses if each.scope == "global"]
        for address in node.addresses if other is not node else ():
            if address.scope == "global" and any(ipaddress.ip_address(address.ip) in net for net in theirs):
                found.setdefault(6 if ":" in address.ip else 4, (other, address.ip))
    return found


def through_port(sender: Place, target: str, protocol: str, port: int, receiver: Place, its_port: int) -> TrafficProbe:
    """TCP or UDP to a host's port that leads to a port of a receiver."""
    probe = sender.tcp if protocol == "tcp" else sender.udp
    words = f"{sender.full_name} -> {target} {protocol} {port}"
    return TrafficProbe(
        words, lambda: probe(target, port, listener=receiver, listener_port=its_port), sender, target, protocol, port
    )


def source_seen(sender: Place, target: str, receiver: Place, port: int) -> str | None:
    """The source address that a receiver sees of a datagram; None when none arrives."""
    try:
        return sender.udp(target, port, listener=receiver).source_seen
    except (CnitestError, OSError):
        return None


def full_size(sender: Place, target: str, mtu: int) -> TrafficProbe:
    """An echo that fills a packet of that MTU and must not be split."""
    size = mtu - _HEADERS[6 if ":" in target else 4]
    words = f"{sender.full_name} -> {target} icmp of {mtu} bytes"
    return TrafficProbe(words, lambda: sender.ping(target, size=size, df=True), sender, target)


def lost(flow: TrafficProbe, timeout: float = TIMEOUT, *, explain: bool = False) -> str:
    """Why a probe gets no answer, tried until ``timeout`` seconds have passed; empty when it got one, and a Doubt
    when it is not known what became of it. With ``explain`` it says what the packet was lost to."""
    why, reach = "", None

    def answered() -> bool:
        nonlocal why, reach
        why, reach = _once(flow)
        return not why

    with suppress(DeadlineExceeded):
        Deadline.after(timeout, flow.words).poll(answered, _STEP)
    return _detail(flow, why, reach if explain else None) if why else ""


def _detail(flow: TrafficProbe, why: str, reach: Reach | None = None, seconds: float = 0) -> str:
    """That a flow gets no answer, and what its packet was lost to; or that this is not known."""
    words = f"{flow.words}: {why}"
    if isinstance(why, Doubt):
        return Doubt(words)
    cause = reach.cause if reach is not None else None
    about = NoAnswer(flow.sender.full_name, flow.target, seconds)
    if cause is None:
        return Detail(words, about=about)
    about = about._replace(cause=cause.id, dropped_by=cause.dropped_by)
    return Detail(f"{words}; {cause.place}: {cause.words}", about=about)


def _once(flow: TrafficProbe) -> tuple[str, Reach | None]:
    """Why a probe got no answer, empty when it got one, and its outcome where it is proved."""
    try:
        reach = flow.probe()
    except (CnitestError, OSError, ValueError, LookupError) as error:
        return _no_way(flow) or Doubt(error), None
    if reach.verdict is Verdict.UNPROVEN:
        return _no_way(flow) or Doubt(f"{reach.verdict.value}: {reach.reason}"), None
    return "" if reach.verdict is Verdict.DELIVERED else f"{reach.verdict.value}: {reach.reason}", reach


def not_arriving(flow: TrafficProbe, place: Place) -> str:
    """Why a probe is not seen at a place, answered or not; empty when it is, a Doubt when that cannot be seen."""
    try:
        reach = flow.probe()
    except (CnitestError, OSError, ValueError) as error:
        return _no_way(flow) or Doubt(f"{flow.words}: {error}")
    if reach.verdict is Verdict.DELIVERED or any(seen.place == place.full_name for seen in reach.sightings):
        return ""
    words, way = f"{flow.words} does not arrive there", _no_way(flow)
    if way:
        return Detail(f"{words}: {way}", about=NoAnswer(flow.sender.full_name, flow.target))
    if reach.verdict is Verdict.UNPROVEN:
        return Doubt(f"{words}: unproven: {reach.reason}")
    about, cause = NoArrival(flow.sender.full_name, flow.target, place.full_name, flow.protocol, flow.port), reach.cause
    if cause is None:
        return Detail(words, about=about)
    return Detail(f"{words}: {cause.place}: {cause.words}", about=about._replace(dropped_by=cause.dropped_by))


def _no_way(flow: TrafficProbe) -> str:
    """What of the sender itself keeps its packets, whatever a probe could prove: no route, no address to send from, or
    a link that is not up; empty where they should leave."""
    try:
        name = leaves_by(flow.sender, flow.target)
        sources = _sources(flow)
        link = next((link for link in flow.sender.links if link.name == name), None)
    except (CnitestError, OSError, ValueError):
        return ""
    if not name:
        return f"{flow.sender.full_name} has no route to {flow.target}"
    if not sources:
        family = 6 if ":" in flow.target else 4
        return f"{flow.sender.full_name} has no IPv{family} address to send to {flow.target} from"
    if link is not None and not (link.up and link.carrier):
        return f"{flow.sender.full_name}:{name}, by which it leaves, is {'without carrier' if link.up else 'down'}"
    return ""


def _sources(flow: TrafficProbe) -> list[str]:
    """The addresses that the sender has for the target: of its family, and of no smaller scope."""
    six, near = ":" in flow.target, flow.target.lower().startswith("fe80:")
    return [
        address.ip
        for address in flow.sender.addresses
        if (":" in address.ip) == six and (near or not six or address.scope != "link")
    ]


def answered_at_once(flow: TrafficProbe, wait: float = 0.9) -> str:
    """Why the very first echo to a flow's target was not answered in ``wait`` seconds; empty when it was, and a Doubt
    when it could not be sent for a reason that is not the sender's own.

    A second after the first one, the kernel asks again for a neighbour: an echo that is answered by then did not get
    through at once. All the time before is for a machine with other work.
    """
    from cnitest.lab.probe.kinds.echo import EchoProbe

    flow.sender.lab.settle()  # that the kernel is behind with a link's carrier is no plugin's doing
    try:
        attempt = EchoProbe(flow.sender, flow.target).attempt(wait)
    except (CnitestError, OSError, ValueError) as error:
        return _detail(flow, _no_way(flow) or Doubt(error))
    if attempt.answered:
        return ""
    why = f"the first packet was not answered: {attempt.refusal or attempt.violation or 'silence'}"
    return _detail(flow, why, seconds=wait)


def internet(lab: Lab) -> tuple[Place | None, tuple[str, ...]]:
    """The place that plays the internet and the addresses that stand for it."""
    for name, host in lab.topology.hosts.items():
        if host.role == "internet":
            return lab.host(name), tuple(str(address).partition("/")[0] for address in host.loopback)
    return None, ()


def has_way_back(place: Place, address: str) -> bool:
    """Whether a place has a route to an address."""
    return leaves_by(place, address) != ""


def leaves_by(place: Place, address: str) -> str:
    """The link by which packets to an address leave a place; empty where there is no route."""
    from cnitest.lab.probe.verdict.controls import next_hop

    route = next_hop(place, address)
    return route.link if route else ""
