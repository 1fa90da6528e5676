"""IPv6 addresses that were added without duplicate detection: they are asked for by groups, joined a moment later."""

from __future__ import annotations

from cnitest import Lab
from cnitest.topology import loads

_PAIR = """
name: pair
hosts: {a: {}, b: {}}
veths: [{ends: [{at: a, name: eth0}, {at: b, name: eth0}]}]
"""


def test_a_lab_waits_until_places_get_the_questions_for_their_addresses():
    """Which a worker of the kernel brings about a moment after the address is there."""
    with Lab(loads(_PAIR)) as lab:
        place, missing = lab.host("a"), []
        for number in range(0x10, 0x70):
            place.run(["ip", "address", "add", f"2001:db8::{number:x}/64", "dev", "eth0", "nodad"])
            lab.settle(six=True)
            groups = lab.own_file_reader(place.namespace)("igmp6")
            missing += [number] if f"ff0200000000000000000001ff0000{number:02x}" not in groups else []

    assert missing == []
