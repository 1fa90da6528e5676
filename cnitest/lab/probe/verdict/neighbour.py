"""ARP and neighbour discovery: who has an address, asked by a frame of our own."""

from __future__ import annotations

import contextlib
import ipaddress
import select
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from cnitest.deadline import Deadline
from cnitest.errors import KernelError
from cnitest.kernel import monitor
from cnitest.kernel.namespaces import Kept
from cnitest.kernel.packet_socket import Frame
from cnitest.kernel.rows.records import Address, Link
from cnitest.kernel.rtnetlink import neighbours, rtnl, tables
from cnitest.kernel.rtnetlink.neighbours import Belief, NeighbourEntry
from cnitest.kernel.rtnetlink.rtnl import mac_bytes
from cnitest.kernel.tracing import backlogs
from cnitest.lab.probe import tunnels, wire
from cnitest.lab.probe.base import Attempt, Probe, canonical, is_ipv6, rounds
from cnitest.lab.probe.options import Options

if TYPE_CHECKING:
    from cnitest.lab.place import Place

_ARP_REPLY, _ADVERTISEMENT = 2, 136
_QUESTIONS = (1, 135)  # an ARP request, a neighbour solicitation
_GROUP, _MOST_ROUNDS = 1, 10
_DUPLICATE_DETECTION = 4.0
_IPV4 = 4


class NeighbourProbe:
    """Asks on a link (default: the one whose subnet holds the address) who has an address; by a frame of one's own, if
    ``words`` are one."""

    def __init__(self, sender: Place, address: str, on: str | None = None, words: bytes = b"") -> None:
        self.sender = sender
        self.destination = canonical(address).partition("%")[0]
        self.link = on or link_towards(sender.addresses, self.destination)
        if self.link is None:
            raise LookupError(
                f"{sender.full_name} has no link with a subnet that holds {self.destination}: name the link with on=…"
            )
        self._words = words
        self.source: str | None = None
        self.options = Options()
        self.transport, self.port = "nd" if is_ipv6(self.destination) else "arp", 0
        self.size = 0
        self.what = f"who has {self.destination}, asked by {sender.full_name} on {self.link}"

    @property
    def far(self) -> Place | None:
        """The place that has the address."""
        return self.sender.lab.owner(self.destination, self.sender)

    @property
    def kept(self) -> tuple[Kept, ...]:
        """None: it speaks through the lab's own sniffers."""
        return ()

    def attempt(self, wait: float) -> Attempt:
        """Ask once and await the answer."""
        assert self.link is not None, "the constructor saw to it"
        return ask(self.sender, self.link, self.destination, wait, words=self._words)

    def source_in(self, frame: Frame) -> str | None:
        """The sender's address as the far end received it."""
        headers = wire.read(frame.data)
        return headers.source if headers.kind in (1, 135) else None


class NeighbourRequest(NamedTuple):
    """A request for an address, as a frame for a link; ``matches`` knows frames about it, ``mac`` is the asker's."""

    link: str
    data: bytes
    matches: Callable[[Frame], bool]
    address: str
    mac: str

    def answered_by(self, frame: Frame) -> str:
        """The MAC in a frame that answers it, empty for all other frames, and where it comes in by another link alone:
        what a macvlan's parent gets need not be handed on."""
        if frame.link != self.link or not self.matches(frame):
            return ""
        headers, six = wire.read(frame.data), is_ipv6(self.address)
        answer = headers.kind == (_ADVERTISEMENT if six else _ARP_REPLY)
        taken = not self.mac or frame.data[0] & _GROUP or frame.data[:6] == mac_bytes(self.mac)  # the kernel's choice
        if answer and taken and not frame.out and (six or headers.source == self.address):
            return headers.mac or frame.data[6:12].hex(":")
        return ""


def question(link: Link, addresses: tuple[Address, ...], address: str) -> NeighbourRequest:
    """The request for ``address`` that a place with these addresses would put on a link."""
    mac, six = link.mac, is_ipv6(address)
    source = source_on(addresses, link.name, address)
    pack = wire.neighbour_solicitation if six else wire.arp_request

    packed = ipaddress.ip_address(address.partition("%")[0]).packed

    def matches(frame: Frame) -> bool:
        if packed not in frame.data:  # most of a flood is not read
            return False
        headers = tunnels.inner(wire.read(frame.data))
        if six:
            return headers.kind in (135, _ADVERTISEMENT)
        return headers.ethertype == wire.ETH_ARP and address in (headers.source, headers.destination)

    return NeighbourRequest(link.name, pack(mac_bytes(mac), source, address), matches, address, mac)


def ask(
    sender: Place, link: str, address: str, wait: float, gone: Callable[[], bool] | None = None, words: bytes = b""
) -> Attempt:
    """Put one request for ``address`` on ``link`` and await the answer; ``answered_by`` is the MAC.

    ``gone``, when given, is asked now and then whether no answer can come any more; ``words`` are the frame to ask by.
    """
    asked = question(sender.link(link), sender.addresses, address)
    sniffer = sender.lab.sniffer(sender)
    looked, heard, began = sniffer.count, "", time.perf_counter()

    def answer() -> str:
        nonlocal looked, heard
        frames = sniffer.since(looked)
        looked = sniffer.count  # each frame is read once, however many come
        heard = heard or next((by for frame in frames if (by := asked.answered_by(frame))), "")
        return heard

    try:
        sniffer.send(link, words or asked.data)
    except OSError as error:
        return Attempt(asked.matches, error=error)
    ready = select.poll()
    ready.register(sniffer.socket, select.POLLIN)
    # Who looks whether an answer can come reads the frames, too.
    over = (lambda: gone() or bool(answer())) if gone else None
    for _ in rounds(ready, Deadline.exactly(wait, "an answer"), over):
        if by := answer():
            return Attempt(asked.matches, True, by, rtt=time.perf_counter() - began)
    by = answer()
    return Attempt(asked.matches, bool(by), by or None)


def asks(frame: Frame) -> bool:
    """Whether a frame is an ARP request or a neighbour solicitation."""
    return wire.read(frame.data).kind in _QUESTIONS


def asked_by_kernel(place: Place, asked: NeighbourRequest, since: int = 0) -> list[Frame]:
    """The frames by which a place's kernel itself was seen to ask the same since a time, on that link.

    Who does not answer those may answer one from another address: the kernel asks from the packet's own source, if that
    is an address of the place (arp_announce), in IPv6 one of that link (RFC 4861, section 7.2.2).
    """
    sent = place.lab.sniffer(place).sent_by_kernel(since)
    return [one for one in sent if one.link == asked.link and asked.matches(one) and asks(one)]


def ask_apart(sender: Place, link: str, address: str, wait: float, gone: Callable[[], bool] | None = None) -> Attempt:
    """As `ask`, of which the kernels of both ends keep nothing; see `as_before`."""
    with as_before(sender, link, address):
        return ask(sender, link, address, wait, gone)


@contextlib.contextmanager
def as_before(sender: Place, link: str, address: str) -> Iterator[None]:
    """While we ask, neighbour tables may change; then they say what they said before.

    The answer must not tell the sender's kernel a MAC that it cannot ask for itself (a rule drops its questions), nor
    mend a wrong one that it believes; nor may our question mend what who is asked believes of the sender. What a kernel
    was asking for it asks for again with its next packet, from that one's address: told to ask without a packet, IPv6
    does so from its link-local address (RFC 4861, section 7.2.2), and with a failed entry it may take another route.
    """
    owner = sender.lab.owner(address, sender)
    own = source_on(sender.addresses, link, address)
    held = [(sender, address, _believed(sender, address))]
    held += [(owner, own, _believed(owner, own))] if owner else []
    for entry, belief in held[0][2].items():
        if belief.in_vain:  # what waits for the answer would be sent with it
            with contextlib.suppress(KernelError):
                sender.namespace.netlink.batch([neighbours.delete(entry)])
    try:
        yield
    finally:
        if any(before for *_, before in held):
            _await_handled()
        for place, ip, before in held:
            _believe_again(place, before, _believed(place, ip) if before else {})


def _await_handled() -> None:
    """Wait for an answer that is on its way: later, it would not be undone. A busy machine has some time for it."""
    with contextlib.suppress(OSError):
        any(backlogs.are_handled() for _ in range(_MOST_ROUNDS))


def forget(place: Place, address: str) -> None:
    """Have a place forget the MAC of a neighbour, so that it asks for it itself."""
    with contextlib.suppress(KernelError):
        place.namespace.netlink.batch([neighbours.delete(entry) for entry in _believed(place, address)])


def ask_anew(places: Iterable[Place]) -> int:
    """Have places ask again for MACs that nobody announced yet: while one is awaited no packet is sent. By when they
    all do, in nanoseconds since the epoch."""
    for place in places:
        netlink = place.namespace.netlink
        with contextlib.suppress(KernelError):  # the answer has come, or the entry is gone
            netlink.batch(tables.forget_unanswered(netlink.dump(rtnl.dump_neighbours())))
    return time.time_ns()


@contextlib.contextmanager
def in_vain_apart(asked: Mapping[Place, Iterable[str]]) -> Iterator[None]:
    """As `as_before` of who asks alone, for many: of the addresses that places ask for in vain."""
    held = {place: _believed(place, *addresses) for place, addresses in asked.items()}
    held = {place: {entry: one for entry, one in found.items() if one.in_vain} for place, found in held.items()}
    for place, found in held.items():
        with contextlib.suppress(KernelError):
            place.namespace.netlink.batch([neighbours.delete(entry) for entry in found])
    try:
        yield
    finally:
        if any(held.values()):
            _await_handled()
        for place, found in held.items():
            _believe_again(place, found, {})


def _believed(place: Place, *addresses: str) -> dict[NeighbourEntry, Belief]:
    packed = {ipaddress.ip_address(address.partition("%")[0]).packed for address in addresses}
    return neighbours.beliefs(place.namespace.netlink.dump(rtnl.dump_neighbours()), packed)


def _believe_again(place: Place, before: Mapping[NeighbourEntry, Belief], now: Mapping[NeighbourEntry, Belief]) -> None:
    for entry, belief in before.items():
        if belief.in_vain or (belief.mac and entry in now and now[entry].mac != belief.mac):
            with contextlib.suppress(KernelError):  # the link may be gone
                place.namespace.netlink.batch([neighbours.believe(entry, belief)])


def link_towards(addresses: tuple[Address, ...], destination: str) -> str | None:
    """The link with a subnet that holds an address, the narrowest first."""
    wanted = ipaddress.ip_address(destination)
    found = [
        (network.prefixlen, address.link)
        for address in addresses
        if wanted in (network := ipaddress.ip_interface(address.address).network) and address.link != "lo"
    ]
    return max(found)[1] if found else None


def source_on(addresses: tuple[Address, ...], link: str, destination: str) -> str:
    """The address of ``link`` to ask from: one that shares the subnet, else any, else the unspecified one."""
    six = is_ipv6(destination)
    own = [address for address in addresses if address.link == link and is_ipv6(address.address) == six]
    wanted = ipaddress.ip_address(destination)
    sharing = [a for a in own if wanted in ipaddress.ip_interface(a.address).network]
    for address in (*sharing, *own):
        return address.ip
    return "::" if six else "0.0.0.0"


def _has_gateway_of_ipv6(place: Place) -> bool:
    """Whether a place has a route of IPv4 by one (``via inet6``)."""
    return any(":" in via for route in place.routes if route.family == _IPV4 for via in route.gateways)


def await_duplicate_detection(probe: Probe, places: Sequence[Place], *, also_link_local: bool = False) -> str:
    """An IPv6 address that is still checked for duplicates neither sends, answers nor routes: wait for that to end.

    A router asks for neighbours from its link-local address, so those of all who may be one count, too; so does whoever
    sends IPv4 by a gateway of IPv6. What to say when it does not end; empty when it does.
    """
    if not is_ipv6(probe.destination) and not (also_link_local and any(map(_has_gateway_of_ipv6, places))):
        return ""
    link_local = also_link_local or probe.destination.lower().startswith(("fe8", "ff"))
    scopes = ("global", "link") if link_local else ("global",)
    for place in places:
        deadline = Deadline.after(_DUPLICATE_DETECTION, f"the IPv6 addresses of {place.full_name}")
        if not monitor.await_addresses(place.namespace, deadline, scopes):
            return f"an IPv6 address of {place.full_name} is still checked for duplicates"
    return ""
