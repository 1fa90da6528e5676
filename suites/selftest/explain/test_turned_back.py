"""Packets that come to a place which could only send them back where they came from: no router is missing there."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.ways import Broken, must_be_explained


def _gone(probe: str) -> Broken:
    """An address that a neighbour has no more, while its MAC is remembered."""
    return Broken(
        "l2.nobody",
        ("server: ip address del {3.77}/{64} dev eth3",),
        "address not in use",
        "r1",
        "ip address add {3.77}/… dev …",
        prepares=("server: ip address add {3.77}/{64} dev eth3",),
        probe=probe,
        to="{3.77}",
    )


def _turned(probe: str, where: str, does: str, remedy: str, cause: str, dropped_by: str) -> Broken:
    return Broken(cause, (f"r1: {does}",), dropped_by, where, remedy, probe=probe, to="{3.3}")


BROKEN = [
    made
    for probe in ("ping", "tcp", "udp")
    for made in (
        _gone(probe),
        _turned(
            probe,
            "r1",
            "{ip} route add {1.1}/{128} via {3.3}",
            "{ip} route del {1.1}/{128} via {3.3} dev eth3 table main",
            "routing.reply-astray",
            "preferred route",
        ),
        _turned(
            probe,
            "r1",
            "{ip} route add {3.3}/{128} via {1.1}",
            "{ip} route del {3.3}/{128} via {1.1} dev eth1 table main",
            "limits.sent-back",
            "sent back",
        ),
    )
]


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.label)
def test_who_turns_a_packet_back_is_named_not_who_does_not_forward(broken, family):
    """The stale neighbour or the route is the cause; ``ip_forward=1`` at a host on the same link would not help."""
    must_be_explained(broken, family)
