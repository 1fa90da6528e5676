"""Packets of the size that the sender's link allows: they pass, or the sender learns what the path allows.

A link takes in no packet larger than its own MTU, whoever sent it: Linux drops what comes through a veth and exceeds
the receiving end's MTU by more than a VLAN tag, and a bridge what exceeds that of the port it leaves by; neither says
so. Only a router answers (RFC 1191, RFC 8201).
"""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import NamedTuple

from cnitest.conformance.observe import traffic
from cnitest.conformance.observe.traffic import TrafficProbe
from cnitest.lab.place import Place
from cnitest.lab.reach import Reach, Verdict

# linux/in.h and linux/in6.h; Python's socket has no name for them.
_IP_MTU, _IPV6_MTU = 14, 24
# More than a path has links with ever smaller MTUs in any topology of ours.
_MOST_LESSONS = 8


class PathEnd(NamedTuple):
    """A place, the link by which it sends to the other end, and that link's MTU in bytes."""

    place: Place
    link: str
    mtu: int

    @property
    def words(self) -> str:
        """``node:cni0 has MTU 1500``"""
        return f"{self.place.full_name}:{self.link} has MTU {self.mtu}"


def end(place: Place, target: str) -> PathEnd | None:
    """The end of a path at a place that sends to an address; None without a route or link there."""
    name = traffic.leaves_by(place, target)
    return next((PathEnd(place, name, link.mtu) for link in place.links if link.name == name), None)


def largest(sender: PathEnd, receiver: PathEnd, target: str) -> TrafficProbe:
    """An unsplit echo of the sender's MTU to an address of the receiver.

    Between ends of one MTU it must be answered. Between ends of two, an ICMP error that reaches the sender is as good,
    where an echo of the size that the sender learnt is answered then.
    """
    if sender.mtu == receiver.mtu:
        return traffic.full_size(sender.place, target, sender.mtu)
    whole = traffic.full_size(sender.place, target, sender.mtu)
    words = f"{whole.words} ({sender.words}, {receiver.words})"
    return TrafficProbe(words, lambda: _learning(sender, target), sender.place, target)


def _learning(sender: PathEnd, target: str) -> Reach:
    """The last of some echoes, each of the size that the one before it taught."""
    size = sender.mtu
    reach = traffic.full_size(sender.place, target, size).probe()
    for _ in range(_MOST_LESSONS):
        learnt = path_mtu(sender.place, target)
        if reach.verdict is not Verdict.DROPPED or learnt >= size:
            break
        size = learnt
        reach = traffic.full_size(sender.place, target, size).probe()
    if reach.verdict is not Verdict.DROPPED:
        return reach
    lesson = f"of {size} bytes, which it learnt, too" if size < sender.mtu else "it learns no smaller MTU"
    return replace(reach, reason=f"{reach.reason}; {lesson}")


def path_mtu(place: Place, target: str) -> int:
    """The size in bytes of the largest packet that a place's kernel takes the path to an address to allow. Raises
    OSError without a route."""
    six = ":" in target

    def ask() -> int:
        with socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM) as asked:
            asked.connect((target, 9))
            return asked.getsockopt(*((socket.IPPROTO_IPV6, _IPV6_MTU) if six else (socket.IPPROTO_IP, _IP_MTU)))

    return place.namespace.run(ask)
