"""How long an answer may take that a place gives in another one's name.

A kernel that answers ARP for others (proxy_arp, proxy_arp_pvlan, a proxy neighbour) or neighbour solicitations for
others or for an anycast address delays the answer by a random time of at most `proxy_delay`, arp(7), RFC 4861 section
7.2.7. Silence says nothing before that.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from cnitest.errors import KernelError
from cnitest.kernel import sysctl
from cnitest.kernel.packet_socket import Frame
from cnitest.kernel.rows import route_rows
from cnitest.kernel.rtnetlink import rtnl
from cnitest.lab.probe import wire
from cnitest.lab.probe.base import Attempt, is_ipv6
from cnitest.lab.probe.verdict.neighbour import as_before, ask
from cnitest.lab.snapshot import state as states

if TYPE_CHECKING:
    from cnitest.lab.lab import Lab
    from cnitest.lab.place import Place
    from cnitest.lab.reach import Seen

_ARP_REQUEST, _SOLICITATION = (0, 1), (wire.ICMPV6, 135)
_NOBODY = "0.0.0.0"
# In ticks; some kernels do not show the sysctls of neighbour tables in user namespaces.
_DEFAULT = "80"


class ReceivedRequest(NamedTuple):
    """A question for a neighbour, as a link of a place received it; ``asker`` is the address of who asks."""

    place: Place
    link: str
    address: str
    asker: str


def questions(place: Place, frames: Iterable[Frame], address: str) -> Iterator[ReceivedRequest]:
    """The ARP requests and neighbour solicitations for an address that a place received, each link once."""
    asked = {}
    for frame in frames:
        headers = wire.read(frame.data)
        if not frame.out and (headers.protocol, headers.kind) in (_ARP_REQUEST, _SOLICITATION):
            asked[frame.link] = headers.source
    for link, asker in asked.items():
        yield ReceivedRequest(place, link, address, asker)


def delay(asked: Iterable[ReceivedRequest]) -> float:
    """The most seconds that an answer to any of these questions may take; 0 when nobody answers for others."""
    return max((_delay(question) for question in asked), default=0.0)


def delay_seen(lab: Lab, seen: Seen, address: str) -> float:
    """The most seconds that the answer to a question for ``address`` may take where it was heard."""
    return delay(question for one in seen.watched for question in questions(lab.place(one.place), one.frames, address))


def may_answer(place: Place, link: str, *, six: bool) -> bool:
    """Whether a place may answer at all on a link in another one's name."""
    if six and place.lab.own_file_reader(place.namespace)("anycast6"):
        return True
    return any(_sysctls(place, f"net/{'ipv6' if six else 'ipv4'}/conf/{link}/forwarding"))


def ask_with_proxy_delay(
    sender: Place, link: str, address: str, wait: float, gone: Callable[[], bool] | None = None, words: bytes = b""
) -> Attempt:
    """As `ask_apart`, by a frame of one's own if ``words`` are one; whom the question got to has the time that its
    answer may take."""
    with as_before(sender, link, address):
        return _ask_with_proxy_delay(sender, link, address, wait, gone, words)


def _ask_with_proxy_delay(
    sender: Place, link: str, address: str, wait: float, gone: Callable[[], bool] | None, words: bytes
) -> Attempt:
    places: Sequence[Place] = sender.lab.places
    sniffers = sender.lab.sniffers(places)
    began = [sniffer.count for sniffer in sniffers]
    attempt = ask(sender, link, address, wait, gone, words)
    if attempt.answered or attempt.error:
        return attempt
    heard = [
        question
        for place, sniffer, count in zip(places, sniffers, began, strict=True)
        for question in questions(place, filter(attempt.matches, sniffer.since(count)), address)
    ]
    longest = delay(heard)
    return ask(sender, link, address, wait + longest, words=words) if longest else attempt


def _delay(question: ReceivedRequest) -> float:
    answers = _answers_solicitation if is_ipv6(question.address) else _answers_request
    return _longest(question) if answers(question) else 0.0


def _answers_request(question: ReceivedRequest) -> bool:
    """Whether the kernel answers ARP for others here: only for what it would forward, and to nobody without address."""
    place, link = question.place, question.link
    if question.asker == _NOBODY or not any(_sysctls(place, f"net/ipv4/conf/{link}/forwarding")):
        return False
    onward = _onward(question)
    if onward == link:
        return any(_sysctls(place, *(f"net/ipv4/conf/{each}/proxy_arp_pvlan" for each in ("all", link))))
    proxies = _sysctls(place, *(f"net/ipv4/conf/{each}/proxy_arp" for each in ("all", link)))
    return bool(onward) and (any(proxies) or _has_entry(question))


def _answers_solicitation(question: ReceivedRequest) -> bool:
    """Whether the kernel answers solicitations for others here: a router for its proxy neighbours, all for anycast."""
    place, link = question.place, question.link
    if _is_anycast(question):
        return True
    forwards, *proxies = _sysctls(
        place, f"net/ipv6/conf/{link}/forwarding", *(f"net/ipv6/conf/{each}/proxy_ndp" for each in ("all", link))
    )
    return forwards and any(proxies) and _has_entry(question)


def _sysctls(place: Place, *names: str) -> list[bool]:
    """Whether each of some sysctls is on; none is that the kernel does not have."""
    values = place.namespace.run(lambda: [sysctl.read(name) for name in names])
    return [value not in (None, "0") for value in values]


def _onward(question: ReceivedRequest) -> str:
    """The link by which the place would send on a packet of the asker to the address; empty when it would not."""
    place = question.place
    table = states.links(place.namespace)
    iif = next((index for index, name in table.names.items() if name == question.link), 0)
    asked = rtnl.get_route(question.address, source=question.asker, iif=iif, what=f"a route to {question.address}")
    try:
        (row,) = place.namespace.netlink.request(asked)
    except KernelError:
        return ""
    found = route_rows.route(row, table.names)
    return found.link if found.kind == "unicast" else ""


def _has_entry(question: ReceivedRequest) -> bool:
    """Whether there is a proxy neighbour of the link, or of all links."""
    entries = (each for each in states.neighbours(question.place.namespace) if "proxy" in each.flags)
    return any(each.ip == question.address and each.link in ("", question.link) for each in entries)


def _is_anycast(question: ReceivedRequest) -> bool:
    place = question.place
    wanted = [question.link, ipaddress.ip_address(question.address).packed.hex()]
    lines = place.lab.own_file_reader(place.namespace)("anycast6").splitlines()
    return any(line.split()[1:3] == wanted for line in lines)


def _longest(question: ReceivedRequest) -> float:
    family = "ipv6" if is_ipv6(question.address) else "ipv4"
    name = f"net/{family}/neigh/{question.link}/proxy_delay"
    return int(question.place.namespace.run(lambda: sysctl.read(name)) or _DEFAULT) / os.sysconf("SC_CLK_TCK")
