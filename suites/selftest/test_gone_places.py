"""Places that are gone: what is asked of them fails and says why; no other place answers for them."""

from __future__ import annotations

import pytest

from cnitest import Host, Lab, Sandbox
from cnitest.errors import CommandError

QUESTIONS = {
    "ping": lambda place: place.ping("10.40.80.12"),
    "tcp": lambda place: place.tcp("10.40.80.12", 80),
    "links": lambda place: place.links,
    "state": lambda place: place.state(),
    "sysctl": lambda place: place.sysctl("net.ipv4.ip_forward"),
    "program": lambda place: place.run(["true"]),
}


def lost(host: Host) -> Sandbox:
    """A sandbox that was lost, and others have come since, which have the numbers of its descriptors."""
    gone = host.sandbox("going")
    assert gone.links
    host.lose("going")
    assert all(host.sandbox(f"c{number}").links for number in range(3))
    return gone


def before_a_reboot(host: Host) -> Sandbox:
    """A sandbox of the topology as it was before its host rebooted."""
    gone = host.sandboxes["ns01"]
    host.reboot()
    return gone


@pytest.mark.topology("bridge-walkthrough")
@pytest.mark.parametrize("go", [lost, before_a_reboot])
@pytest.mark.parametrize("question", QUESTIONS)
def test_a_place_that_is_gone_answers_nothing(lab: Lab, go, question: str):
    """Each question ends with the reason, and with what to do."""
    gone = go(lab.host("node"))

    with pytest.raises((OSError, CommandError), match="namespace is gone.*ask the lab or the host for the place again"):
        QUESTIONS[question](gone)
