"""Builds and dissects, with scapy, what is worth a closer look; `matching` and `fields` are its only company.

scapy takes 0.3 s to load, so nothing here is imported before a test looks at a packet.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

from scapy.layers.inet import ICMP, IP, TCP, UDP  # noqa: F401  (loaded so that frames dissect into them)
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether  # noqa: F401
from scapy.packet import Packet
from scapy.utils import EDecimal

from cnitest.deadline import Deadline
from cnitest.kernel.packet_socket import Frame
from cnitest.lab.probe.verdict.controls import next_hop
from cnitest.lab.probe.verdict.neighbour import ask, source_on

if TYPE_CHECKING:
    from cnitest.lab.place import Place

_INBOUND, _OUTBOUND = 1, 2
_ANSWER = 0.3
_BROADCAST = "ff:ff:ff:ff:ff:ff"


def dissect(frame: Frame) -> Packet:
    """A frame as a scapy packet; ``.time`` is when it was seen (exact seconds), ``.sniffed_on`` the link."""
    packet = Ether(frame.data)
    packet.time = EDecimal(frame.when) / 1_000_000_000
    packet.sniffed_on = frame.link
    return packet


def send(place: Place, packet: Packet, on: str | None) -> None:
    """Send a frame on a link; without a link, a packet that begins with IP or IPv6 is routed by the kernel.

    Addresses that the packet leaves open are those of ``place``: scapy would take the machine's own.
    Raises ValueError when a frame comes without a link, OSError as the kernel does.
    """
    _transmit(place, _prepared(place, packet, on), on)


def _transmit(place: Place, packet: Packet, on: str | None) -> None:
    if on is not None:
        place.lab.sniffer(place).send(on, bytes(packet))
    elif isinstance(packet, IP):
        _send_routed(place, bytes(packet), socket.AF_INET, packet.dst)
    else:
        _send_routed(place, bytes(packet), socket.AF_INET6, packet.dst)


def _prepared(place: Place, packet: Packet, on: str | None) -> Packet:
    """A copy with every address that was left open filled in from ``place``."""
    packet = packet.copy()
    routable = isinstance(packet, (IP, IPv6))
    if on is None and not routable:
        raise ValueError(f"a frame that begins with {type(packet).__name__} needs a link to be sent on (on=…)")
    for layer in (IP, IPv6):
        if packet.haslayer(layer) and "src" not in packet[layer].fields:
            packet[layer].src = _source(place, packet[layer].dst, on)
    if on is not None:
        packet = _framed(place, packet, on)
    return packet


def _source(place: Place, destination: str, on: str | None) -> str:
    """The address that the kernel of ``place`` would send from."""
    route = next_hop(place, destination)
    if route and route.source and on in (None, route.link):
        return route.source
    return source_on(place.addresses, on or "lo", destination)


def _framed(place: Place, packet: Packet, on: str) -> Packet:
    """The packet as a whole frame: an Ethernet header with our MAC, ARP with our addresses."""
    if not isinstance(packet, Ether):
        packet = Ether(dst=_destination(place, packet, on)) / packet
    mac = place.link(on).mac
    for layer, field, value in ((Ether, "src", mac), (ARP, "hwsrc", mac)):
        if packet.haslayer(layer) and field not in packet[layer].fields:
            packet[layer].setfieldval(field, value)
    if "dst" not in packet.fields:
        packet.dst = _destination(place, packet.payload, on)
    if packet.haslayer(ARP) and "psrc" not in packet[ARP].fields:
        packet[ARP].psrc = source_on(place.addresses, on, packet[ARP].pdst)
    return packet


def _destination(place: Place, packet: Packet, on: str) -> str:
    """The MAC to send to: the one of the next hop when it can be learned, else broadcast."""
    if isinstance(packet, (IP, IPv6)):
        route = next_hop(place, packet.dst)
        if route and route.link == on:
            return ask(place, on, route.via or packet.dst, _ANSWER).answered_by or _BROADCAST
    return _BROADCAST


def _send_routed(place: Place, data: bytes, family: int, destination: str) -> None:
    raw = place.namespace.kept(f"raw{family}", lambda: socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW))
    raw.sendto(data, (destination, 0))


def exchange(place: Place, packet: Packet, on: str | None, wait: float) -> Packet | None:
    """Send a packet and return the first incoming frame that answers it, by scapy's own reckoning."""
    sniffer = place.lab.sniffer(place)
    with place.lab.probing:
        packet = _prepared(place, packet, on)
        packet = packet.__class__(bytes(packet))  # so that computed fields are there to compare
        sniffer.frames()
        _transmit(place, packet, on)
        deadline = Deadline.after(wait, "an answer")
        while True:
            for frame in sniffer.frames():
                if not frame.out and on in (None, frame.link) and _answers(dissect(frame), packet):
                    return dissect(frame)
            if deadline.expired or not sniffer.wait(deadline):
                return None


def _answers(received: Packet, sent: Packet) -> bool:
    """Whether ``received`` answers ``sent``, looked at from the layer that ``sent`` begins with."""
    layer = received.getlayer(sent.__class__)
    return layer is not None and bool(layer.answers(sent))


def summaries(frames: Sequence[Frame]) -> list[str]:
    """One line a frame, as scapy sums it up."""
    return [dissect(frame).summary() for frame in frames]


__all__ = ["dissect", "exchange", "send", "summaries"]
