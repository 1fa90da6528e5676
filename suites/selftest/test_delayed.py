"""What may only be late is never called dropped, whether the kernel's drops are traced or not."""

from __future__ import annotations

import sys

import pytest
from cnitest.suites.selftest import soonest
from cnitest.suites.selftest.soonest import INPUT, RESPONDER, delayed, ping, ping6, tcp, udp

RELAY = """
import socket, time
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind(("0.0.0.0", 53))
    print("ready", flush=True)
    while True:
        data, sender = server.recvfrom(2048)
        time.sleep(0.1)
        server.sendto(data, sender)
"""

#: Answers ARP for a kernel that does not, a little later.
ANSWERS_ARP = """
import socket, time
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806)) as link:
    link.bind(("eth02", 0x0806))
    own = link.getsockname()[4]
    print("ready", flush=True)
    while True:
        frame = link.recv(2048)
        if frame[20:22] == bytes([0, 1]) and frame[38:42] == bytes([10, 40, 80, 12]):
            time.sleep(0.1)
            link.send(frame[6:12] + own + frame[12:21] + bytes([2]) + own + frame[38:42] + frame[22:32])
"""


lab = soonest.lab


@pytest.fixture(autouse=True, params=["traced", "untraced"])
def _tracing(request, monkeypatch):
    """A trace that is armed, or none, as without root."""
    if request.param == "traced":
        soonest.traced()
    else:
        soonest.untraced(monkeypatch)


@pytest.mark.parametrize("place", ["node", "node/ns02"], ids=["the request", "the reply"])
@pytest.mark.parametrize("probe", [ping, tcp, udp, ping6])
def test_what_waits_in_a_queue_is_not_dropped(lab, probe, place):
    """A packet that a slow link keeps back for a while is on its way, and gets there."""
    assert delayed(lab, probe, place)


@pytest.mark.parametrize("program", ["packet socket", "UDP socket"])
def test_an_answer_to_come_from_a_program_is_waited_for(lab, program):
    """A program that answers for a kernel, or that a datagram is for, has the time of the wait."""
    source, probe = (RESPONDER, ping) if program == "packet socket" else (RELAY, udp)
    if probe is ping:
        lab.place("node/ns02").run(INPUT.split())
    with lab.place("node/ns02").start([sys.executable, "-c", source], ready="ready"):
        reach = probe(lab)

    assert reach
    assert reach.attempts == 1


@pytest.mark.parametrize("place", ["node", "node/ns02"], ids=["the question", "the answer"])
@pytest.mark.parametrize("probe", [ping, tcp, udp, ping6])
def test_a_neighbour_behind_a_slow_link_is_not_dropped(lab, probe, place):
    """A question for a MAC, or its answer, that is kept back for a while is on its way, and gets there."""
    delayed(lab, probe, place)
    lab.place("node/ns01").run(["ip", "neigh", "flush", "all"])

    assert probe(lab)


def test_a_neighbour_for_which_a_program_answers_late_is_not_dropped(lab):
    """Who answers ARP by a packet socket has the time of the wait."""
    lab.place("node/ns02").run(["ip", "link", "set", "eth02", "arp", "off"])
    lab.place("node/ns02").run(["ip", "neigh", "add", "10.40.80.11", "dev", "eth02", "lladdr", _mac(lab)])
    lab.place("node/ns01").run(["ip", "neigh", "flush", "all"])

    with lab.place("node/ns02").start([sys.executable, "-c", ANSWERS_ARP], ready="ready"):
        reach = ping(lab)

    assert reach
    assert reach.attempts == 1


def _mac(lab):
    return lab.place("node/ns01").link("eth01").mac
