"""What evidence is made of: where a packet was last seen, what the kernel freed, and which rules it met."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import NamedTuple

from cnitest.kernel.packet_socket import Frame
from cnitest.lab.place import Place
from cnitest.lab.probe import wire
from cnitest.lab.probe.base import Probe

# The bit of a MAC's first octet that says so.
_GROUP = 1


@dataclass(frozen=True)
class LastSeen:
    """Where a packet was last seen; ``link`` is empty of one that never left its sender."""

    place: Place
    link: str = ""
    out: bool = False
    returning: bool = False
    frame: Frame | None = None

    def __str__(self) -> str:
        if not self.link:
            return self.place.full_name
        return f"{self.place.full_name}:{self.link} {'out' if self.out else 'in'}"


class MetRule(NamedTuple):
    """A rule or policy that a packet met at a place.

    ``program`` is whose words ``rule`` has (``nft``, ``iptables``, ``iptables-legacy``, …), ``table`` the family and
    table (``ip filter``), ``chain`` the chain that it stands in, ``path`` the chains that were jumped through to come
    there, first the base chain, ``hook`` that one's (``FORWARD``, ``ingress``). ``rule`` is empty of a policy.
    ``verdict`` is what it said: ``drop``, ``accept``, ``jump``, ``return``, ``reject``, … ``number`` is the rule's in
    its chain, from 1, ``handle`` nftables' own; ``iif`` and ``oif`` are the links that the packet comes and goes by
    there; ``packet`` has its headers as it came to the base chain, ``rules`` are those of
    its chain, in order, where it ended the packet or jumped; ``policy`` is the base chain's (``drop``), empty where
    it is not known; ``state`` is connection tracking's of it (``new``), empty where that is not known; ``mark`` is
    the packet's fwmark as the rule left it, 0 of none; ``shown`` says what shows it.
    """

    place: str
    program: str
    table: str
    chain: str
    path: tuple[str, ...]
    hook: str
    rule: str
    verdict: str
    number: int = 0
    handle: int = 0
    iif: str = ""
    oif: str = ""
    returning: bool = False
    packet: wire.Headers = wire.Headers()
    rules: tuple[str, ...] = ()
    policy: str = ""
    state: str = ""
    mark: int = 0
    shown: str = "the kernel's trace of the packet ends there"


def is_group(mac: str) -> bool:
    """Whether a MAC is a multicast or broadcast one; no empty one is."""
    return bool(mac) and bool(int(mac[:2], 16) & _GROUP)


def is_loopback(address: str) -> bool:
    """Whether an address is a loopback one; no empty one is."""
    return bool(address) and ipaddress.ip_address(address).is_loopback


def answer_to(asked: wire.Headers) -> wire.Headers:
    """The headers of an answer to a packet."""
    return wire.Headers(
        asked.ethertype,
        asked.destination,
        asked.source,
        asked.protocol,
        source_port=asked.destination_port,
        destination_port=asked.source_port,
    )


def sent_tos(probe: Probe, *, returning: bool) -> int:
    """The TOS of a probe's packet that was never seen: of an answer only IPv4's echoes have that of what they
    answer."""
    echoed = probe.transport == "icmp" and ":" not in probe.destination
    return 0 if returning and not echoed else probe.options.tos
