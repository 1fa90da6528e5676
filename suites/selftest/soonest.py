"""Probes between two sandboxes, and verdicts on them that come at once: how soon, on a machine that has other work.

A drop is reported without waiting only when nothing of the probe can still be on its way. What else the same processor
handles in that moment may be of it for all that is known, so a probe beside other traffic waits as it would untraced.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from cnitest import Lab
from cnitest.kernel.tracing import trace
from cnitest.lab.reach import Reach
from cnitest.topology import find, load

#: How long a probe waits; silence would take twice as long.
WAIT = 0.9
#: A rule that drops whatever comes in by eth01 or eth02.
INPUT = "iptables -A INPUT -i eth0+ -j DROP"
NS02, NS02_6 = "10.40.80.12", "2001:db8:40::12"
_TRIES = 10
#: A program in the container that answers echoes for a kernel which drops them, a little later.
RESPONDER = """
import socket, struct, time
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800)) as link:
    link.bind(("eth02", 0x0800))
    print("ready", flush=True)
    while True:
        frame = bytearray(link.recv(2048))
        if frame[23] == 1 and frame[34] == 8:
            time.sleep(0.1)
            frame[0:6], frame[6:12] = frame[6:12], frame[0:6]
            frame[26:30], frame[30:34] = frame[30:34], frame[26:30]
            frame[34] = 0
            total = struct.unpack("!H", frame[36:38])[0] + 0x0800
            frame[36:38] = struct.pack("!H", (total & 0xFFFF) + (total >> 16))
            link.send(frame)
"""


@pytest.fixture
def lab() -> Iterator[Lab]:
    """The lab of ``bridge-walkthrough``, whose first sandbox knows its neighbours' MACs."""
    with Lab(load(find("bridge-walkthrough"))) as built:
        for address in (NS02, NS02_6, "10.40.80.1"):
            assert built.place("node/ns01").ping(address)
        yield built


def traced() -> None:
    """Wait until a trace is armed; skip where there can be none."""
    if trace.await_armed() is None:
        pytest.skip(trace.why())


def untraced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the trace away, as without root."""
    monkeypatch.setattr(trace, "begin", lambda: None)
    monkeypatch.setattr(trace, "armed", lambda: None)


def ping(lab: Lab, address: str = NS02) -> Reach:
    """From one sandbox to the other."""
    return lab.place("node/ns01").ping(address, wait=WAIT)


def tcp(lab: Lab) -> Reach:
    """The same."""
    return lab.place("node/ns01").tcp(NS02, 80, wait=WAIT)


def udp(lab: Lab) -> Reach:
    """The same."""
    return lab.place("node/ns01").udp(NS02, 53, wait=WAIT)


def ping6(lab: Lab) -> Reach:
    """The same, by IPv6."""
    return ping(lab, NS02_6)


#: Whether the request is delayed, or the reply, with probes that may be.
def delayed(lab: Lab, probe: Callable[[Lab], Reach], place: str) -> Reach:
    """A probe of which a slow link at ``place`` keeps a packet back for a while."""
    link = "veth02" if place == "node" else "eth02"
    lab.place(place).run(f"tc qdisc add dev {link} root tbf rate 16kbit burst 120 limit 10000".split())
    probe(lab)
    return probe(lab)


def until_at_once(probe: Callable[[], Reach], within: float) -> Iterator[Reach]:
    """Each verdict on a probe, sent until one took less than ``within`` seconds.

    Raises AssertionError when none of ten did.
    """
    took = []
    while not took or took[-1] >= within:
        assert len(took) < _TRIES, f"never within {within} s: {took}"
        began = time.monotonic()
        reach = probe()
        took.append(time.monotonic() - began)
        yield reach
