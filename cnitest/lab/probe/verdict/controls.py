"""Positive controls: what shows that the path and our sniffers work when a probe got no answer."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from cnitest.deadline import Deadline
from cnitest.errors import KernelError
from cnitest.kernel.packet_socket import wait_for_any
from cnitest.kernel.rows import route_rows
from cnitest.kernel.rows.records import Route
from cnitest.kernel.rtnetlink import rtnl
from cnitest.kernel.rtnetlink.rtnl import mac_bytes
from cnitest.lab.probe import wire
from cnitest.lab.probe.base import Probe, is_ipv6
from cnitest.lab.probe.verdict.holding import nothing_waits
from cnitest.lab.probe.verdict.neighbour import ask_apart
from cnitest.lab.probe.verdict.proxies import ask_with_proxy_delay
from cnitest.lab.snapshot import state as states

if TYPE_CHECKING:
    from cnitest.lab.place import Place
    from cnitest.lab.probe.options import Options

#: Seconds that a neighbour has for an answer.
ANSWER = 0.15
_AT_ONCE = 0.01
_MOST_NEIGHBOURS = 4
# Of neighbour entries: what the kernel asks for, or is to ask for; what it has asked for.
_ASKED_NOW, _GIVEN_UP = ("incomplete", "none"), "failed"


class Control(NamedTuple):
    """Whether something got through, and what it was. ``hop_answers`` when it was the very next hop, ``instead`` is the
    neighbour that answered when it was not."""

    passed: bool
    words: str
    hop: str = ""
    link: str = ""
    hop_answers: bool = False
    instead: str = ""


class FirstHop(NamedTuple):
    """The address that a probe goes to first, and the link that it leaves by."""

    sender: Place
    link: str
    address: str


def next_hop(
    sender: Place,
    destination: str,
    source: str | None = None,
    options: Options | None = None,
    names: Mapping[int, str] | None = None,
    ports: tuple[int, int, int] | None = None,
) -> Route | None:
    """The route that a packet from ``sender`` takes, None when there is none; ``names`` are its links by index, where
    somebody has them, ``ports`` its protocol and both ports, where rules and routes with several next hops look at
    them."""
    mark, tos = (options.mark, options.tos) if options else (0, 0)
    bare, _, scope = destination.partition("%")
    link = sender.link(scope).ifindex if scope else 0
    try:
        (row,) = sender.namespace.netlink.request(
            rtnl.get_route(bare, source=source, link=link, mark=mark, tos=tos, ports=ports, what=f"a route to {bare}")
        )
    except KernelError:
        return None
    return route_rows.route(row, states.links(sender.namespace).names if names is None else names)


def control(probe: Probe, *, left: bool = True) -> Control:
    """Ask the next hop, else a neighbour on the same link, who they are; else send a frame that only we know.

    Of a probe that never ``left`` it is the neighbour that its sender asks for in vain: a route may have several next
    hops, and a rule may translate the destination or mark the packet, so that it takes another route.
    """
    hop = first_hop(probe)
    if not left and (isinstance(hop, FirstHop) or hop.passed):
        hop = _awaited(probe, hop)
    if isinstance(hop, Control):
        return hop
    if ask_with_proxy_delay(*hop, ANSWER, nothing_comes(hop.sender)).answered:
        return answering(hop)
    return beside(hop)


def _awaited(probe: Probe, hop: FirstHop | Control) -> FirstHop | Control:
    """The neighbour that the sender's kernel asks for in vain: the next hop, if that is one, else another next hop of
    the same route, else the only one. What is given where it asks for none, or for who knows which."""
    sender, six = probe.sender, is_ipv6(hop.address if isinstance(hop, FirstHop) else probe.destination)
    rows = [row for row in sender.neighbours if is_ipv6(row.ip) == six]
    now, before = [row for row in rows if row.state in _ASKED_NOW], [row for row in rows if row.state == _GIVEN_UP]
    waiting = [FirstHop(sender, row.link, row.ip) for row in now or before]
    if not waiting or hop in waiting:
        return hop
    routes = [
        [FirstHop(sender, each.get("dev", ""), each.get("via", "")) for each in map(_by_words, route.hops)]
        for route in sender.routes
    ]
    beside = [one for ways in routes if hop in ways for one in ways]
    found = [one for one in waiting if one in beside] or (waiting if len(waiting) == 1 else [])
    return found[0] if found else hop


def _by_words(hop: str) -> dict[str, str]:
    """One next hop of a route, ``via 10.1.0.9 dev eth0 weight 1`` or ``via inet6 fe80::1 dev eth0 weight 1``."""
    words = hop.replace("via inet6 ", "via ").split()
    return dict(zip(words[::2], words[1::2], strict=False))


def nothing_comes(sender: Place) -> Callable[[], bool]:
    """Tells whether no answer to a question for a neighbour can come any more; never where nobody sees anything."""
    return lambda: not sender.lab.blind and nothing_waits(sender.lab, "arp")


def brief_control(probe: Probe) -> Control | None:
    """The control that the next hop is, if it answers at once: where no proof hangs on it."""
    hop = first_hop(probe)
    if isinstance(hop, Control):
        return hop if hop.passed else None
    return answering(hop) if ask_apart(*hop, _AT_ONCE).answered else None


def first_hop(probe: Probe, names: Mapping[int, str] | None = None) -> FirstHop | Control:
    """Who is to be asked; or what is known without, of who is nobody's or one's own address."""
    sender, bare = probe.sender, probe.destination.partition("%")[0]
    link, hop = probe.link or "", bare
    if not link:
        route = next_hop(sender, probe.destination, probe.source, probe.options, names, _ports(probe))
        if route is None:
            return Control(False, f"{sender.full_name} has no route to {probe.destination}")
        if route.kind == "local":
            return _itself(sender, bare)
        link, hop = route.link, route.via or bare
    return _neighbour_of_a_group(sender, link, hop) if _is_group(hop, probe) else FirstHop(sender, link, hop)


def _itself(sender: Place, address: str) -> Control:
    """A sender's own address, which it reaches by lo: where that is down, nothing gets there."""
    up = sender.link("lo").up
    words = f"{address} is local to {sender.full_name}{'' if up else ', whose lo is down'}"
    return Control(True, words, address, "lo", up)


def _ports(probe: Probe) -> tuple[int, int, int] | None:
    """Its protocol and both ports, 0 where the kernel chooses; None of protocols for which it gives no route. A ping
    has its type and code where others have the destination port."""
    protocol = wire.protocol_of(probe.transport, six=is_ipv6(probe.destination))
    port = wire.ECHO_REQUESTS[protocol] << 8 if protocol in wire.ECHO_REQUESTS else probe.port
    return (protocol, probe.options.source_port, port) if protocol in wire.ROUTED else None


def answering(hop: FirstHop) -> Control:
    """The next hop answers."""
    words = f"{hop.address} answers {_asking(hop.address)} on {hop.sender.full_name}:{hop.link}"
    return Control(True, words, hop.address, hop.link, True)


def beside(hop: FirstHop) -> Control:
    """What shows that the link works although the next hop does not answer."""
    others = _neighbours(*hop)
    for neighbour in others:
        if ask_apart(hop.sender, hop.link, neighbour, ANSWER, nothing_comes(hop.sender)).answered:
            return answering_instead(hop, neighbour)
    return mark(*hop, f"{unanswered(hop)}{', nor does anybody else' if others else ''}")


def answering_instead(hop: FirstHop, neighbour: str) -> Control:
    """The next hop does not answer, but a neighbour on the same link does."""
    words = f"{unanswered(hop)}, but {neighbour} does"
    return Control(True, words, hop.address, hop.link, instead=neighbour)


def unanswered(hop: FirstHop) -> str:
    """That the next hop does not answer, in words."""
    return f"{hop.address} does not answer {_on(hop)}"


def _on(hop: FirstHop) -> str:
    return f"{_asking(hop.address)} on {hop.sender.full_name}:{hop.link}"


def _is_group(hop: str, probe: Probe) -> bool:
    """Whether nobody in particular is asked: the address is one that many have."""
    return ipaddress.ip_address(hop).is_multicast or bool(getattr(probe, "group", None))


def _neighbour_of_a_group(sender: Place, link: str, group: str) -> Control:
    """Any neighbour shows that the link works, for a group cannot be asked who it is."""
    for neighbour in _neighbours(sender, link, group):
        if ask_apart(sender, link, neighbour, ANSWER, nothing_comes(sender)).answered:
            words = f"{neighbour} answers {_asking(neighbour)} on {sender.full_name}:{link}"
            return Control(True, words, neighbour, link, True)
    return mark(sender, link, group, f"nobody answers {_asking(group)} on {sender.full_name}:{link}")


def _asking(address: str) -> str:
    return "neighbour discovery" if is_ipv6(address) else "ARP"


def _neighbours(sender: Place, link: str, hop: str) -> list[str]:
    """Other addresses of the lab in the subnets of ``link``."""
    own = [address for address in sender.addresses if address.link == link]
    mine = {address.ip for address in own}
    networks = [ipaddress.ip_interface(address.address).network for address in own if address.scope == "global"]
    found = [
        address.ip
        for place in sender.lab.places
        if place is not sender
        for address in place.addresses
        if address.ip != hop
        and address.ip not in mine
        and is_ipv6(address.ip) == is_ipv6(hop)
        and any(ipaddress.ip_address(address.ip) in network for network in networks)
    ]
    return list(dict.fromkeys(found))[:_MOST_NEIGHBOURS]


def mark(sender: Place, link: str, hop: str, silence: str) -> Control:
    """Send a frame that nobody answers and see whether anything else in the lab receives it; ``silence`` says who did
    not answer."""
    unique = wire.token()
    places = sender.lab.places
    sniffers = dict(zip(places, sender.lab.sniffers(places), strict=True))
    try:
        sniffers[sender].send(link, wire.marker(mac_bytes(sender.link(link).mac), unique))
    except OSError as error:
        return Control(False, f"{sender.full_name}:{link} sends nothing: {error.strerror}", hop, link)
    deadline = Deadline.after(ANSWER, "a marker frame")
    while True:
        for place, sniffer in sniffers.items():
            for frame in sniffer.frames():
                if unique in frame.data and (place, frame.link) != (sender, link):
                    words = f"{silence}, but a marker frame from there arrived at {place.full_name}:{frame.link}"
                    return Control(True, words, hop, link)
        if deadline.expired or not wait_for_any(list(sniffers.values()), deadline):
            break
    return Control(
        False, f"nothing sent on {sender.full_name}:{link} arrives anywhere: no path, or no sniffers", hop, link
    )
