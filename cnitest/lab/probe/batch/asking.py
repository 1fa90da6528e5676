"""Questions for neighbours that are put together, and the controls of many probes that they give."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cnitest.deadline import Deadline
from cnitest.kernel.packet_socket import Frame, wait_for_any
from cnitest.kernel.rows.records import Address, Link
from cnitest.lab.probe import wire
from cnitest.lab.probe.base import Probe, is_ipv6
from cnitest.lab.probe.verdict import proxies
from cnitest.lab.probe.verdict.controls import (
    ANSWER,
    Control,
    FirstHop,
    answering,
    answering_instead,
    control,
    first_hop,
    mark,
    unanswered,
)
from cnitest.lab.probe.verdict.neighbour import NeighbourRequest, in_vain_apart, question
from cnitest.lab.snapshot import state as states

if TYPE_CHECKING:
    from cnitest.lab.place import Place

# What a marker says of who did not answer, until it is known whom it is about.
_SILENCE = "silence"
_SOLICITATION = (wire.ICMPV6, 135)
_ARP_REQUEST = (wire.ETH_ARP, 1)


class Controls:
    """The controls of probes: all first hops are asked at once, what is on the same link beside them but once."""

    def __init__(self, probes: Sequence[Probe]) -> None:
        names = {place: states.links(place.namespace).names for place in {probe.sender for probe in probes}}
        self._hops = {probe: first_hop(probe, names[probe.sender]) for probe in probes}

    def of(self, probes: Sequence[Probe]) -> list[Control]:
        """The controls of some of them, now."""
        hops = [self._hops[probe] for probe in probes]
        answered = ask_all(dict.fromkeys(hop for hop in hops if isinstance(hop, FirstHop)), ANSWER)
        beside = _Beside(answered)
        return [
            hop if isinstance(hop, Control) else answering(hop) if answered[hop] else beside.control(probe, hop)
            for probe, hop in zip(probes, hops, strict=True)
        ]


class _Beside:
    """What shows that links work whose next hops do not answer: asked once a link and family."""

    def __init__(self, answered: Mapping[FirstHop, bool | None]) -> None:
        self._answered = answered
        self._neighbours = {_line(hop): hop.address for hop, answer in answered.items() if answer}
        self._known: dict[tuple[str, str, bool], Control] = {}

    def control(self, probe: Probe, hop: FirstHop) -> Control:
        """The control of a probe whose next hop did not answer."""
        if self._answered[hop] is None:  # whoever answers for others takes his time
            return control(probe)
        neighbour = self._neighbours.get(_line(hop))
        if neighbour:
            return answering_instead(hop, neighbour)
        known = self._known.get(_line(hop))
        if known is None:
            known = self._known[_line(hop)] = mark(*hop, _SILENCE)
        return known._replace(words=known.words.replace(_SILENCE, unanswered(hop)), hop=hop.address)


def _line(hop: FirstHop) -> tuple[str, str, bool]:
    return hop.sender.full_name, hop.link, is_ipv6(hop.address)


def ask_all(hops: Iterable[FirstHop], wait: float) -> dict[FirstHop, bool | None]:
    """Whether each hop answers ARP or a solicitation; None when somebody may yet answer in its name, who takes his
    time over it. No kernel gets to know by that whom it asks for in vain itself."""
    waiting = _questions(hops)
    asked: dict[Place, list[str]] = defaultdict(list)
    for hop in waiting:
        asked[hop.sender].append(hop.address)
    with in_vain_apart(asked):
        return _ask_all(waiting, wait) if waiting else {}


def _ask_all(waiting: dict[FirstHop, NeighbourRequest], wait: float) -> dict[FirstHop, bool | None]:
    lab = next(iter(waiting)).sender.lab
    sniffers = dict(zip(lab.places, lab.sniffers(lab.places), strict=True))
    began = {place: sniffer.count for place, sniffer in sniffers.items()}
    answered: dict[FirstHop, bool | None] = dict.fromkeys(waiting, False)
    for hop, asked in waiting.items():
        with contextlib.suppress(OSError):  # nothing leaves there: nobody answers
            sniffers[hop.sender].send(hop.link, asked.data)
    deadline = Deadline.exactly(wait, "answers")
    while True:
        senders = {hop.sender: sniffers[hop.sender] for hop in waiting}
        for hop in _answered(waiting, {place: sniffer.since(began[place]) for place, sniffer in senders.items()}):
            answered[hop] = True
            del waiting[hop]
        if not waiting or deadline.expired or not wait_for_any([*senders.values()], deadline):
            break
    heard = _Heard({place: sniffer.since(began[place]) for place, sniffer in sniffers.items()} if waiting else {})
    return answered | {hop: None for hop in waiting if heard.delay(hop)}


def _questions(hops: Iterable[FirstHop]) -> dict[FirstHop, NeighbourRequest]:
    known: dict[Place, tuple[dict[str, Link], tuple[Address, ...]]] = {}
    found = {}
    for hop in hops:
        if hop.sender not in known:
            known[hop.sender] = {link.name: link for link in hop.sender.links}, hop.sender.addresses
        links, addresses = known[hop.sender]
        found[hop] = question(links[hop.link], addresses, hop.address)
    return found


def _answered(waiting: Mapping[FirstHop, NeighbourRequest], frames: Mapping[Place, Sequence[Frame]]) -> list[FirstHop]:
    answers = {
        place: [frame for frame in seen if not frame.out and not _is_request(frame)] for place, seen in frames.items()
    }
    return [hop for hop, asked in waiting.items() if any(map(asked.answered_by, answers[hop.sender]))]


def _is_request(frame: Frame) -> bool:
    return bool(_target(frame))


def _target(frame: Frame) -> str:
    """The address that a frame asks for, empty when it asks for none."""
    headers = wire.read(frame.data)
    if (headers.ethertype, headers.kind) == _ARP_REQUEST:
        return headers.destination
    return wire.address(headers.payload[:16]) if (headers.protocol, headers.kind) == _SOLICITATION else ""


class _Heard:
    """The questions that places received, by the address that is asked for."""

    def __init__(self, frames: Mapping[Place, Sequence[Frame]]) -> None:
        self._asked: dict[str, list[tuple[Place, Frame]]] = {}
        self._answers: dict[tuple[Place, str, bool], bool] = {}
        for place, seen in frames.items():
            for frame in seen:
                if not frame.out and (target := _target(frame)):
                    self._asked.setdefault(target, []).append((place, frame))

    def delay(self, hop: FirstHop) -> float:
        """The most seconds that the answer to a question may take where it was heard."""
        return proxies.delay(
            question
            for place, frame in self._asked.get(hop.address, ())
            if self._may_answer(place, frame.link, is_ipv6(hop.address))
            for question in proxies.questions(place, (frame,), hop.address)
        )

    def _may_answer(self, *key: Any) -> bool:
        if key not in self._answers:
            place, link, six = key
            self._answers[key] = proxies.may_answer(place, link, six=six)
        return self._answers[key]
