"""Ping to a group or broadcast address: everyone else's answer counts, the sender's own does not."""

from __future__ import annotations

import select
import socket
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from cnitest.deadline import Deadline
from cnitest.kernel.namespaces import Kept
from cnitest.kernel.packet_socket import Frame
from cnitest.lab.probe import wire
from cnitest.lab.probe.base import Attempt
from cnitest.lab.probe.kinds.echo import EchoProbe, open4, open6
from cnitest.lab.probe.kinds.group import Group
from cnitest.lab.probe.options import Options

if TYPE_CHECKING:
    from cnitest.lab.place import Place

_IGNORES = {
    False: ("net.ipv4.icmp_echo_ignore_broadcasts", "net.ipv4.icmp_echo_ignore_all"),
    True: ("net.ipv6.icmp.echo_ignore_multicast", "net.ipv6.icmp.echo_ignore_all"),
}


class GroupEcho(EchoProbe):
    """An echo request to a group; answered when any other place answers, ended when all that listen have."""

    #: One lost packet of many says nothing.
    sent_again_after = 0.0

    def __init__(self, group: Group, *, size: int = 56, df: bool = False, options: Options | None = None) -> None:
        super().__init__(group.sender, group.words, size=size, df=df, options=options)
        self.group = group
        self.link = group.link or None

    @property
    def far(self) -> Place | None:
        """None: it is for many."""
        return None

    @property
    def kept(self) -> tuple[Kept, ...]:
        """None: each attempt has a socket of its own."""
        return ()

    def attempt(self, wait: float) -> Attempt:
        """Send one request and gather the answers."""
        self._sequence += 1
        payload = wire.token().ljust(self.size, b".")[: self.size]
        ours = self._matcher(payload)

        def matches(frame: Frame) -> bool:
            return frame.link != "lo" and ours(frame)

        members = self.group.members()
        with ExitStack() as undo:
            try:
                echo = self.sender.namespace.run(open6 if self.group.six else open4)
                undo.callback(echo.close)
                self.group.prepare(echo, self.options)
                began = time.perf_counter()
                ancillary = self.options.ancillary(six=self.group.six)
                echo.sendmsg([self._request(payload)], ancillary, 0, self.group.target(0))
            except OSError as error:
                return Attempt(matches, error=error)
            answers = self._gather(echo, payload, members, Deadline.exactly(wait, "echo replies"))
        return self._outcome(Attempt(matches), answers, members, began)

    def _gather(
        self, echo: socket.socket, payload: bytes, members: list[Place], deadline: Deadline
    ) -> list[tuple[str, float]]:
        """Who answered, each address once with the moment it did, until all members have or the time is over."""
        mine = {address.ip for address in self.sender.addresses}
        answers: dict[str, float] = {}
        watch = select.poll()
        watch.register(echo, select.POLLIN)
        while len(answers.keys() - mine) < max(1, len(members)) and watch.poll(deadline.remaining * 1000):
            packet, sender = echo.recvfrom(65536)
            message = packet if self.group.six else packet[(packet[0] & 15) * 4 :]
            if self._is_reply(message, payload):
                answers.setdefault(str(sender[0]).partition("%")[0], time.perf_counter())
        return list(answers.items())

    def _outcome(
        self, attempt: Attempt, answers: list[tuple[str, float]], members: list[Place], began: float
    ) -> Attempt:
        mine = {address.ip for address in self.sender.addresses}
        others = [(address, when) for address, when in answers if address not in mine]
        if others:
            names = dict.fromkeys(self._name(address) for address, _ in others)
            first, when = others[0]
            return replace(attempt, answered=True, answered_by=first, rtt=when - began, receivers=tuple(names))
        if answers:
            return replace(attempt, remark=f"only {self.sender.full_name} itself answered")
        return replace(attempt, remark=self._why_nobody(members))

    def _name(self, address: str) -> str:
        place = self.sender.lab.owner(address, self.sender)
        return place.full_name if place else address

    def _why_nobody(self, members: list[Place]) -> str:
        """What the lab knows of a silence: nobody listens, or those who do are set not to answer."""
        if not members:
            what = "has an address in its subnet" if self.group.broadcast else f"is a member of {self.group.address}"
            return f"no other place {what}"
        ignored = ((place, self.ignored_by(place)) for place in members)
        return next((f"{place.full_name} ignores it ({name} = 1)" for place, name in ignored if name), "")

    def ignored_by(self, place: Place) -> str:
        """The sysctl by which a place does not answer it; empty where none does."""
        return next((name for name in _IGNORES[self.group.six] if place.sysctl(name) == "1"), "")
