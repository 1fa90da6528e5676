"""Whether a rule of DNAT may match a packet, by its words."""

from __future__ import annotations

import pytest

from cnitest.explain.causes.matching import may_match
from cnitest.lab.probe import wire

PACKET = wire.Headers(0x0800, "10.0.0.2", "10.9.0.1", wire.TCP, source_port=4000, destination_port=80)


@pytest.mark.parametrize(
    ("rule", "may"),
    [
        ("ip daddr 10.9.0.1 tcp dport 80 dnat to 10.0.0.9", True),
        ("ip daddr 10.9.0.2 tcp dport 80 dnat to 10.0.0.9", False),
        ("tcp dport { 81, 82 } dnat to 10.0.0.9", False),
        # What is looked up in a map or together with other fields depends on elements, not on the words.
        ("dnat to tcp dport map @m", True),
        ("tcp dport vmap @m", True),
        ("ip daddr . meta l4proto . th dport vmap @m", True),
        ("ip daddr . tcp dport { 10.9.0.1 . 80 } dnat to 10.0.0.9", True),
        ("ip daddr 10.9.0.2 dnat ip to ip saddr . tcp dport map @m", False),
        ("ip daddr . udp dport vmap @m", False),
    ],
)
def test_a_rule_may_match_unless_its_words_say_otherwise(rule, may):
    """By address, port and protocol, each alone."""
    assert may_match(rule, PACKET) is may
