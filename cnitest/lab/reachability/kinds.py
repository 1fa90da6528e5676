"""Probes by their words: ``icmp``, ``tcp:80``, ``udp:53``, ``sctp:2905``; of IPv6 ``icmp6``, ``tcp6:80`` and so on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from cnitest.typos import did_you_mean

if TYPE_CHECKING:
    from cnitest.lab.place import Place
    from cnitest.lab.probe.base import Probe

_WORD = re.compile(r"(icmp|tcp|udp|sctp)(v?6|v?4|)(?::(\d{1,5}))?")
_EXAMPLES = ("icmp", "icmp6", "tcp:80", "tcp6:80", "udp:53", "udp6:53", "sctp:2905", "sctp6:2905")
_LAST_PORT = 65535

# What is probed unless somebody says what.
DEFAULT = ("icmp", "tcp:80", "udp:53")


class PacketKind(NamedTuple):
    """What is sent: a protocol over a family (4 or 6), to a port where it has any."""

    protocol: str
    family: int
    port: int = 0

    def __str__(self) -> str:
        name = f"{self.protocol}{6 if self.family == 6 else ''}"
        return f"{name}:{self.port}" if self.port else name

    def over(self, family: int) -> PacketKind:
        """The same over a family."""
        return self._replace(family=family)

    def probe(self, sender: Place, address: str, receiver: Place) -> Probe:
        """A probe of this kind. Raises FeatureMissing where the kernel has no such protocol."""
        if self.protocol == "icmp":
            from cnitest.lab.probe.kinds.echo import EchoProbe

            return EchoProbe(sender, address, far=receiver)
        if self.protocol == "udp":
            from cnitest.lab.probe.kinds.datagram import DatagramProbe

            return DatagramProbe(sender, address, self.port, receiver, self.port)
        from cnitest.lab.probe.kinds.sctp import SctpProbe
        from cnitest.lab.probe.kinds.stream import StreamProbe

        if self.protocol == "tcp":
            return StreamProbe(sender, address, self.port, receiver, self.port)
        SctpProbe.require()
        return SctpProbe(sender, address, self.port, receiver, self.port)


def kind(word: Any) -> PacketKind:
    """The kind that a word names. Raises ValueError with the end of a sentence."""
    found = _WORD.fullmatch(word.strip().lower()) if isinstance(word, str) else None
    if found is None:
        hint = did_you_mean(word, _EXAMPLES) if isinstance(word, str) else ""
        raise ValueError(
            f"{word!r} is no probe: write icmp, tcp:PORT, udp:PORT or sctp:PORT, of IPv6 icmp6, tcp6:PORT{hint}"
        )
    protocol, version, port = found[1], found[2], int(found[3] or 0)
    if protocol == "icmp" and found[3]:
        raise ValueError(f"{word!r} is no probe: ICMP has no ports; write {protocol + version!r}")
    if protocol != "icmp" and not 1 <= port <= _LAST_PORT:
        raise ValueError(f"{word!r} names no port from 1 to {_LAST_PORT}: write {protocol + version + ':80'!r}")
    return PacketKind(protocol, 6 if version.endswith("6") else 4, port)
