"""What a lab's sniffers keep of many frames, and that what they cannot keep counts as lost."""

from __future__ import annotations

import pytest

from cnitest import Lab
from cnitest.kernel.packet_socket import REMEMBERED
from cnitest.topology import loads

TOPOLOGY = """
name: pair
hosts: {a: {}, b: {}}
veths:
  - ends: [{at: a, name: eth0}, {at: b, name: eth0}]
"""
# More than is read at once, and less than the buffer holds.
MANY = 5000
_EXPERIMENT = (0x88B5).to_bytes(2, "big")


@pytest.fixture
def lab():
    """Two hosts with a link."""
    with Lab(loads(TOPOLOGY)) as made:
        yield made


def _send(lab, *numbers):
    """Frames from one host to the other, with numbers."""
    sniffer = lab.sniffer(lab.host("a"))
    for number in numbers:
        sniffer.send("eth0", b"\xff" * 6 + b"\x02" + bytes(5) + _EXPERIMENT + number.to_bytes(46, "big"))


def _numbers(frames):
    return [int.from_bytes(frame.data[14:], "big") for frame in frames if frame.data[12:14] == _EXPERIMENT]


def test_the_last_of_many_frames_is_read_too(lab):
    """Nobody read meanwhile: what is asked for is read up to its end."""
    sniffer = lab.sniffer(lab.host("b"))
    sniffer.forget()
    began = sniffer.count

    _send(lab, *range(MANY))
    sniffer.catch_up()

    assert _numbers(sniffer.since(began)) == [*range(MANY)]
    assert sniffer.lost() == 0


def test_what_came_before_is_forgotten_whole(lab):
    """However much it is: what comes next is what is seen."""
    sniffer = lab.sniffer(lab.host("b"))
    _send(lab, *range(MANY))
    sniffer.forget()
    began = sniffer.count

    _send(lab, MANY)

    assert _numbers(sniffer.since(began)) == [MANY]


def test_frames_that_are_not_remembered_any_more_count_as_lost(lab):
    """They were read in time, by someone who did not ask for them, and are too many to be kept."""
    sniffer = lab.sniffer(lab.host("b"))
    sniffer.forget()
    began = sniffer.count
    for _ in range(REMEMBERED // MANY + 1):
        _send(lab, *range(MANY))
        sniffer.catch_up()
    assert sniffer.lost() == 0

    sniffer.since(began)

    assert sniffer.lost() >= (REMEMBERED // MANY + 1) * MANY - REMEMBERED
    assert sniffer.lost() == 0
