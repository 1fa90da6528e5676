"""The fwmark of a packet at a place: what rules gave it, else what an answer has by its socket or its request."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cnitest.explain.evidence.rows import MetRule
from cnitest.kernel.rows.sockets import Socket
from cnitest.lab.probe import wire

_PORTS = {wire.TCP: "tcp", wire.UDP: "udp"}
# What has the kernel's own answers take the mark of what they answer.
_REFLECTS = {wire.TCP: "ipv4/tcp_fwmark_accept", wire.ICMP: "ipv4/fwmark_reflect", wire.ICMPV6: "ipv6/fwmark_reflect"}


def by_rules(steps: Iterable[MetRule], place: str, *, returning: bool, hooks: tuple[str, ...]) -> int:
    """What the rules at some hooks of a place gave a packet, 0 where none did; a mark is gone where it leaves."""
    here = (step for step in steps if (step.place, step.returning) == (place, returning))
    marks = [step.mark for step in here if step.hook.upper() in hooks and step.mark]
    return marks[-1] if marks else 0


def of_answer(
    answer: wire.Headers, asked: int, sockets: Callable[[str], Iterable[Socket]], number: Callable[[str], int]
) -> int:
    """The mark of an answer when it is sent: that of the socket that it comes from (SO_MARK), else the one that its
    request was ``asked`` with, where a sysctl (``fwmark_reflect``) says so. Reads ``sockets`` of a protocol and a
    ``number`` below ``net.``."""
    kind = _PORTS.get(answer.protocol, "")
    taking = [one for one in sockets(kind) if one.takes(answer.source, answer.source_port)] if kind else []
    own = next((one.mark for one in taking if one.mark), 0)
    name = _REFLECTS.get(answer.protocol, "")
    return own or (asked if asked and name and number(name) else 0)
