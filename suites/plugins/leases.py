"""Leases of DHCP on a LAN: the plugin's daemon on a node, networks that ask it, and what goes over the wire."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cnitest import Capture, Host, Sandbox
from cnitest.cni import plugins
from cnitest.deadline import Deadline
from cnitest.lab.programs.dhcp import DhcpServer
from cnitest.lab.programs.running import Running
from cnitest.topology import loads

SOCKET = "/run/cni/dhcp.sock"
#: The addresses that servers give out, the server itself and another router of the LAN.
FIRST, LAST, SERVER, ROUTER = "192.168.80.150", "192.168.80.160", "192.168.80.102", "192.168.80.103"
#: What is only beyond the server, and what is only beyond the other router.
BEYOND_SERVER, BEYOND_ROUTER = "203.0.113.1", "198.51.100.1"
#: A LAN whose containers are macvlans of the node's link, with a host for the server and a second router.
LAN = loads("""
name: leased-lan
hosts:
  node: {}
  server: {role: router, loopback: [203.0.113.1/32]}
  second: {role: router, loopback: [198.51.100.1/32]}
switches: {lan: {}}
veths:
  - ends: [{at: node, name: ens33, addresses: [192.168.80.101/24]}, {at: lan}]
  - ends: [{at: server, name: ens33, addresses: [192.168.80.102/24]}, {at: lan}]
  - ends: [{at: second, name: ens33, addresses: [192.168.80.103/24]}, {at: lan}]
""")
#: What a test of the dhcp plugin takes, and one of a release whose client ends its attempts.
MARKS = [
    pytest.mark.topology(LAN),
    pytest.mark.requires(kernel=["macvlan"], plugin=["dhcp", "macvlan"], binary=["dnsmasq"]),
]
GIVES_UP = pytest.mark.requires(plugin=["dhcp>=1.6"])
#: The option by which the server names itself as the router.
GATEWAY = f"3,{SERVER}"
#: Daemons of these flags give up soon.
IMPATIENT = ("-timeout", "300ms", "-resendtimeout", "300ms")

_KINDS = ("", "DISCOVER", "OFFER", "REQUEST", "DECLINE", "ACK", "NAK", "RELEASE", "INFORM")
_PROGRAM = Path(__file__).with_name("short_leases.py")


class Message(NamedTuple):
    """A message of DHCP: its ``kind``, its options by scapy's names, and the packet."""

    kind: str
    options: Mapping[str, Any]
    packet: Any


def network(**ipam: Any) -> dict[str, Any]:
    """A network whose containers are on the node's LAN, with addresses by DHCP."""
    own = {"type": "dhcp", **ipam}
    return {"cniVersion": "1.0.0", "name": "leased", "type": "macvlan", "master": "ens33", "ipam": own}


NET = network()


def daemon(host: Host, path: Sequence[str], *flags: str, socket: str = SOCKET) -> Running:
    """The daemon of the plugin that a search path has, on a host, ready to be asked; ended with the ``with`` block, or
    with the lab. As its documentation has it, a socket of an earlier one is removed before."""
    host.run(["rm", "-f", socket])
    return host.start([plugins.find("dhcp", path), "daemon", *flags], ready=Path(socket))


def serving(host: Host, *options: str, first: str = FIRST, last: str = LAST) -> DhcpServer:
    """dnsmasq on the LAN with a range of eleven addresses; without an option 3 it names no router."""
    router = () if any(option.startswith("3,") for option in options) else ("3",)
    return host.dhcp_server("ens33", first, last, options=[*router, *options])


def short_leases(
    host: Host, *answers: str, mask: str = "255.255.255.0", lease: int = 60, renewal: int = 1, rebinding: int = 50
) -> Running:
    """A server that gives ``FIRST`` to whoever asks, by leases of a few seconds; without a ``mask`` it tells none.

    ``answers`` are what the REQUESTs get, the last one for ever: ``ack``, ``nak`` or ``silence``; once it is silent,
    DISCOVERs get none either.
    """
    plan = {"link": "ens33", "server": SERVER, "address": FIRST, "mask": mask, "answers": answers}
    times = {"lease": lease, "renewal": renewal, "rebinding": rebinding}
    return host.start(["/usr/bin/python3", "-c", _PROGRAM.read_text(), json.dumps({**plan, **times})], ready="serving")


def messages(capture: Capture, *kinds: str) -> list[Message]:
    """The messages of DHCP in a capture, in order; only those of ``kinds`` where any is named."""
    found = [_message(packet) for packet in capture.matching("DHCP")]
    return [message for message in found if not kinds or message.kind in kinds]


def await_message(capture: Capture, kind: str, seconds: float = 5.0) -> Message:
    """The first message of a kind, now or until ``seconds`` from now. Raises DeadlineExceeded."""
    deadline = Deadline.after(seconds, f"a DHCP {kind}")
    return deadline.poll(lambda: messages(capture, kind))[0]


def routes(sandbox: Sandbox) -> list[tuple[str, str | None]]:
    """The routes of a sandbox's main table but those of its own subnet, as (destination, gateway)."""
    found = [route for route in sandbox.routes if route.table == 254 and route.family == 4]
    return sorted((route.to, route.via) for route in found if route.protocol != "kernel")


def await_leases(server: Any, addresses: Sequence[str]) -> None:
    """Wait until a server has given out just these addresses. Raises DeadlineExceeded."""
    deadline = Deadline.after(2.0, f"the server to have given out {list(addresses)}")
    deadline.poll(lambda: sorted(lease.address for lease in server.leases) == sorted(addresses))


def _message(packet: Any) -> Message:
    pairs = [pair for pair in packet["DHCP"].options if isinstance(pair, tuple)]
    options = {name: values[0] if len(values) == 1 else list(values) for name, *values in pairs}
    return Message(_KINDS[options["message-type"]], options, packet)
