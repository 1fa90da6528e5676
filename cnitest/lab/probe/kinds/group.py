"""Addresses that many have: multicast groups and broadcast addresses, and who of the lab listens to them."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnitest.errors import UsageError
from cnitest.lab.argument_checks import parsed
from cnitest.lab.probe.verdict.controls import next_hop

if TYPE_CHECKING:
    from cnitest.lab.place import Place
    from cnitest.lab.probe.options import Options

_LIMITED = "255.255.255.255"
_SO_BINDTODEVICE = 25
_TTL = 1  # of a packet to a group, unless another is asked for: it stays on its link


@dataclass(frozen=True)
class Group:
    """A multicast group or broadcast address as ``sender`` reaches it: by ``link``, or by its routes where that is
    empty."""

    sender: Place
    address: str
    link: str
    broadcast: bool

    @property
    def six(self) -> bool:
        """Whether it is an IPv6 group."""
        return ":" in self.address

    @property
    def words(self) -> str:
        """The address with its link, as one would write it."""
        return f"{self.address}%{self.link}" if self.link else self.address

    def target(self, port: int) -> tuple[str | int, ...]:
        """What sendto(2) takes."""
        return (self.address, port, 0, self.sender.link(self.link).ifindex) if self.six else (self.address, port)

    def prepare(self, client: socket.socket, options: Options) -> None:
        """Have a socket of the sender send to it. Raises OSError."""
        ifindex = self.sender.link(self.link).ifindex if self.link else 0
        ttl = options.ttl or _TTL
        if self.six:
            client.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, ttl)
            client.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, ifindex)
        elif self.broadcast:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            if self.link:
                client.setsockopt(socket.SOL_SOCKET, _SO_BINDTODEVICE, self.link.encode())
        else:
            client.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
            if ifindex:
                client.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("=4s4si", b"", b"", ifindex))

    def join(self, server: socket.socket, place: Place) -> bool:
        """Have a socket of a place join it on each of its links; whether any could. A broadcast needs no joining."""
        joined = self.broadcast
        for link in () if self.broadcast else place.links:
            if link.name != "lo":
                joined |= self._join_on(server, link.ifindex)
        return joined

    def _join_on(self, server: socket.socket, ifindex: int) -> bool:
        packed = socket.inet_pton(socket.AF_INET6 if self.six else socket.AF_INET, self.address)
        try:
            if self.six:
                server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, struct.pack("=16si", packed, ifindex))
            else:
                wanted = struct.pack("=4s4si", packed, b"", ifindex)
                server.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, wanted)
        except OSError:  # a link without addresses of this family has no groups of it
            return False
        return True

    def members(self) -> list[Place]:
        """The other places of the lab that listen to it: members of the group, or of the subnet."""
        others = [place for place in self.sender.lab.places if place is not self.sender]
        if self.broadcast:
            subnets = self._subnets()
            return [place for place in others if any(_inside(a.ip, subnets) for a in place.addresses)]
        return [place for place in others if any(group == self.address for _, group in place.multicast)]

    def _subnets(self) -> list[ipaddress.IPv4Network]:
        networks = [
            network
            for address in self.sender.addresses
            if address.link != "lo" and self.link in ("", address.link)
            if isinstance(network := ipaddress.ip_interface(address.address).network, ipaddress.IPv4Network)
        ]
        return [n for n in networks if self.address in (_LIMITED, str(n.broadcast_address))]


def _inside(address: str, networks: Sequence[ipaddress.IPv4Network]) -> bool:
    found = ipaddress.ip_address(address)
    return isinstance(found, ipaddress.IPv4Address) and any(found in network for network in networks)


def group_of(sender: Place, address: str) -> Group | None:
    """The group or broadcast address that ``address`` (``ff02::1%eth0``) is, None when it is an ordinary one.

    Raises UsageError when an IPv6 group needs a link to be named.
    """
    bare, _, link = address.partition("%")
    try:
        found = parsed(bare)
    except ValueError:
        return None  # the probe itself will say so
    if not found.is_multicast and not _is_broadcast(sender, found):
        return None
    if link:
        sender.link(link)
    elif found.version == 6:
        link = _only_link(sender, bare)
    return Group(sender, str(found), link, broadcast=not found.is_multicast)


def _is_broadcast(sender: Place, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if address.version == 6 or int(address) & 3 != 3:  # that of any subnet of two hosts or more ends so
        return False
    if str(address) == _LIMITED:
        return True
    if sender.lab.has_owner(str(address), sender):  # no place has a broadcast address for its own
        return False
    route = next_hop(sender, str(address))
    return route is not None and route.kind == "broadcast"


def _only_link(sender: Place, address: str) -> str:
    """The link with IPv6, when there is just one: a route cannot tell, for there is one of each link."""
    links = sorted({a.link for a in sender.addresses if ":" in a.ip and a.link != "lo"})
    if len(links) == 1:
        return links[0]
    choice = f"one of {', '.join(f'{address}%{link}' for link in links)}" if links else "but none has IPv6"
    raise UsageError(f"{address} is a group on every link of {sender.full_name}: name the link, {choice}")
