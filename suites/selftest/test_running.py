"""Programs that stay, services and DHCP servers: ready when they say so, gone with their block."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from cnitest import Lab
from cnitest.errors import CommandError
from cnitest.topology import find, load

pytestmark = pytest.mark.topology("bridge-walkthrough")

_SERVE = "import signal, socket; s = socket.socket({}); s.bind(('', {})); s.{}; signal.pause()"


@pytest.mark.parametrize(
    "ready",
    [r"^hel+o$", re.compile("hell"), b"hello", re.compile(b"he"), "/run/there", Path("/run/there"), "a function"],
)
def test_a_program_is_ready_when_its_sign_is_there(lab, ready):
    """A pattern, bytes, a path and a function are signs; the program runs in the block and not after it."""
    node = lab.host("node")

    def is_there():
        return node.run(["test", "-e", "/run/there"], check=False).exit_code == 0

    sign = is_there if ready == "a function" else ready
    with node.start(["sh", "-c", "echo hello; : >/run/there; exec sleep 1000"], ready=sign) as program:
        assert program.running
        assert program.exit_code is None

    assert not program.running
    assert program.exit_code == -15
    assert program.stdout == "hello\n"


@pytest.mark.parametrize(("kind", "then"), [("2,1", "listen()"), ("2,2", "fileno()"), ("10,1", "listen()")])
def test_a_port_is_a_sign(lab, kind, then):
    """A port of TCP or UDP, of either family, that the program listens on."""
    with lab.sandbox("ns01").start(["python3", "-c", _SERVE.format(kind, 7777, then)], ready=7777) as program:
        assert program.running


def test_what_never_is_ready_is_reported_with_its_output(lab):
    """A program that ends before, or is late, is an error with what it said; it is not left running."""
    node = lab.host("node")
    with pytest.raises(CommandError, match=r"(?s)ended with exit code 3; waited for port 80 .*no such luck"):
        node.start(["sh", "-c", "echo no such luck >&2; exit 3"], ready=80)
    with pytest.raises(CommandError, match=r"(?s)timed out after 0.3 s: waiting for 'up' in its output.*still here"):
        node.start(["sh", "-c", "echo still here; exec sleep 1000"], ready="up", timeout=0.3)

    assert "sleep" not in node.run(["sh", "-c", "cat /proc/[0-9]*/comm"]).stdout


@pytest.mark.parametrize("environment", [None, {}, {"PATH": "/usr/bin:/bin"}])
def test_the_end_of_the_block_is_the_end_of_the_tree(lab, environment):
    """Children in sessions of their own, and a program that ignores SIGTERM, are gone within seconds."""
    node = lab.host("node")
    script = "trap '' TERM; setsid sleep 1001 & sleep 1002 & echo up; while :; do sleep 1003; done"
    with node.start(["/bin/sh", "-c", script], ready="up", environment=environment):
        began = time.monotonic()

    assert time.monotonic() - began < 5
    assert "sleep" not in node.run(["sh", "-c", "cat /proc/[0-9]*/comm"]).stdout


def test_a_lab_ends_at_once_whatever_still_runs():
    """A program that nobody stopped or waited for does not hold up the end of its lab."""
    with Lab(load(find("bridge-walkthrough"))) as lab:
        lab.host("node").start(["sleep", "1000"])
        lab.host("node").spawn(("/bin/sleep", "1000"), {})
        began = time.monotonic()

    assert time.monotonic() - began < 8


def test_a_service_tells_who_came(lab):
    """Each connection and datagram of either family, with its addresses and payload; the probe gets its echo."""
    one, two = lab.sandbox("ns01"), lab.sandbox("ns02")
    with two.service(9090) as service:
        assert one.tcp("10.40.80.12", 9090)
        assert one.tcp("2001:db8:40::12", 9090)
        assert one.udp("10.40.80.12", 9090)
        assert one.udp("2001:db8:40::12", 9090)
        seen = service.wait_for(4)

    assert {(peer.protocol, peer.address, peer.to) for peer in seen} == {
        (protocol, *ends)
        for protocol in ("tcp", "udp")
        for ends in (("10.40.80.11", "10.40.80.12"), ("2001:db8:40::11", "2001:db8:40::12"))
    }
    assert all(peer.payload for peer in seen)
    assert service.peers == ("10.40.80.11", "2001:db8:40::11")
    with (
        pytest.raises(CommandError, match="timed out after 0.1 s: waiting for 1; there came nobody"),
        two.service(9091) as idle,
    ):
        idle.wait_for(1, 0.1)


_CLIENT = """
import socket, struct, sys
mac = bytes.fromhex(open("/sys/class/net/eth01/address").read().strip().replace(":", ""))
def ask(kind, more=b""):
    head = struct.pack("!BBBBIHH16x16s192x", 1, 1, 6, 0, 7, 0, 0x8000, mac + bytes(10))
    return head + b"\\x63\\x82\\x53\\x63\\x35\\x01" + bytes([kind]) + more + b"\\xff"
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth01")
s.bind(("", 68)); s.settimeout(5)
s.sendto(ask(1), ("255.255.255.255", 67)); offer = s.recv(2000)[16:20]
s.sendto(ask(3, b"\\x32\\x04" + offer), ("255.255.255.255", 67)); s.recv(2000)
print(socket.inet_ntoa(offer))
"""


@pytest.mark.requires(binary=["dnsmasq", "python3"])
def test_a_dhcp_server_gives_out_its_range(lab):
    """A client gets an address of the range, and the lease tells to whom; after the block nobody answers."""
    node, client = lab.host("node"), lab.sandbox("ns01")
    with node.dhcp_server("br01", "10.40.80.100", "10.40.80.100") as server:
        given = client.run(["python3", "-c", _CLIENT.replace("\\\\", "\\")]).stdout.strip()

        assert given == "10.40.80.100"
        assert [(lease.address, lease.mac) for lease in server.leases] == [(given, client.link("eth01").mac)]
        assert "DHCPACK" in server.log
    assert "dnsmasq" not in node.run(["sh", "-c", "cat /proc/[0-9]*/comm"]).stdout
