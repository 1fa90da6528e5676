"""What links announce of their own accord is kept from the sniffers of a large lab, and nothing else is."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from contextlib import contextmanager

import pytest

from cnitest import Lab
from cnitest.topology import loads

_OTHERS = ", ".join(f"n{number}: {{}}" for number in range(20))
TOPOLOGY = f"""
name: large
hosts: {{a: {{}}, b: {{}}, {_OTHERS}}}
veths:
  - ends: [{{at: a, name: eth0}}, {{at: b, name: eth0}}]
"""
_MACS = b"\xff" * 6 + b"\x02" + bytes(5)
_IPV6, _EXPERIMENT = b"\x86\xdd", b"\x88\xb5"
_ROUTER_ALERT = bytes([58, 0, 5, 2, 0, 0, 1, 0])
# An address of 134.221.0.0/16, whose first bytes are IPv6's number of protocol.
_LIKE_IPV6 = (
    bytes([0x45, 0, 0, 80, 0, 0, 0, 0, 64, 17, 0, 0, *_IPV6, 1, 1, 10, 0, 0, 1, 58]) + bytes(33) + b"\x85" + bytes(25)
)
_TUNSETIFF, _TUN, _NO_PI = 0x400454CA, 0x1, 0x1000


def _icmpv6(kind, *, alert=False, length=24):
    """A frame with a message of ICMPv6 of a type, behind a router alert or not."""
    options = _ROUTER_ALERT if alert else b""
    header = b"\x60" + bytes(5) + bytes([0 if alert else 58, 1]) + bytes(32)
    return _MACS + _IPV6 + header + options + bytes([kind]) + bytes(length - 1)


def _option_before_tcp():
    """An option before TCP, whose first byte is as a report's type is."""
    return _MACS + _IPV6 + b"\x60" + bytes(5) + b"\0\1" + bytes(32) + bytes([6, 0, 1, 4, 0, 0, 0, 0, 143]) + bytes(30)


@pytest.fixture
def lab():
    """Two hosts with a link, among others."""
    with Lab(loads(TOPOLOGY)) as made:
        yield made


def _seen(lab, frame):
    """Whether the second host's sniffer is shown a frame that the first one sends; what comes after it is."""
    sender, sniffer = lab.sniffer(lab.host("a")), lab.sniffer(lab.host("b"))
    began = sniffer.count
    sender.send("eth0", frame)
    sender.send("eth0", _MACS + _EXPERIMENT + bytes(46))
    seen = [one.data for one in sniffer.since(began)]

    assert any(data[12:14] == _EXPERIMENT for data in seen)
    return frame in seen


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(_icmpv6(143, alert=True), id="MLDv2 report"),
        pytest.param(_icmpv6(131, alert=True), id="MLDv1 report"),
        pytest.param(_icmpv6(132, alert=True), id="MLDv1 done"),
        pytest.param(_icmpv6(133), id="router solicitation"),
    ],
)
def test_announcements_are_left_out(lab, frame):
    """They are most of what the links of a large lab say when they come up."""
    assert not _seen(lab, frame)


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(_icmpv6(128), id="echo request"),
        pytest.param(_icmpv6(128, alert=True), id="echo request with an option"),
        pytest.param(_icmpv6(130, alert=True), id="MLD query"),
        pytest.param(_icmpv6(134), id="router advertisement"),
        pytest.param(_icmpv6(135), id="neighbour solicitation"),
        pytest.param(_icmpv6(1), id="error"),
        pytest.param(_icmpv6(133, length=1), id="cut short"),
        pytest.param(_option_before_tcp(), id="TCP with an option"),
        pytest.param(_MACS + b"\x08\0" + _icmpv6(133)[14:], id="no IPv6"),
    ],
)
def test_all_else_is_seen(lab, frame):
    """Filters tell kinds of frames apart as their protocols do."""
    assert _seen(lab, frame)


@contextmanager
def _tun(host):
    """A link of packets without a header of Ethernet, and somebody who reads them."""
    reader = host.namespace.run(lambda: os.open("/dev/net/tun", os.O_RDWR))
    try:
        fcntl.ioctl(reader, _TUNSETIFF, struct.pack("16sH22x", b"t0", _TUN | _NO_PI))
        host.run(["ip", "link", "set", "t0", "up"])
        yield "t0"
    finally:
        os.close(reader)


def test_a_link_without_ethernet_has_other_offsets(lab):
    """A packet of IPv4 whose bytes are, at a frame's offsets, those of a router solicitation."""
    host = lab.host("b")
    sniffer = lab.sniffer(host)
    with _tun(host) as link, host.namespace.run(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)) as sender:
        began = sniffer.count
        sender.sendto(_LIKE_IPV6, (link, 0x0800))

        assert _LIKE_IPV6 in [one.data for one in sniffer.since(began)]


def test_a_capture_shows_announcements(lab):
    """Who captures a link's frames asked for all of them."""
    with lab.host("b").capture("eth0") as capture:
        lab.sniffer(lab.host("a")).send("eth0", _icmpv6(143, alert=True))

        capture.wait_for("ICMPv6MLReport2")
