"""Pings that another place answers in the destination's name: who did is told."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.ways import WAYS, Words

from cnitest import Lab
from cnitest.topology import loads

BOTH = pytest.mark.parametrize("family", [4, 6])
KEPT = [
    ("r1", "{ip} route add local {S} dev lo table local"),
    ("r1", "{t} -t nat -A PREROUTING -i eth1 -j REDIRECT"),
    ("client", "{ip} route add local {S} dev lo table local"),
]


@BOTH
@pytest.mark.parametrize(("place", "command"), KEPT)
def test_who_answers_in_the_name_of_the_destination_is_told(place: str, command: str, family: int) -> None:
    """Who keeps the packet answers with an address that it does not have: the place is named, and that no other did."""
    words = Words(family)
    with Lab(loads(WAYS)) as lab:
        lab.place(place).run(["sh", "-ec", words(command)])

        reach = lab.place("client").ping(words("{S}"))

        assert reach.answered_by == place
        assert f"{place} in the name of {words('{S}')}: server was not seen to get it" in reach.reason


@BOTH
def test_who_has_the_address_answers_in_its_own_name(family: int) -> None:
    """The destination itself, and another place that has the same address, are told by the address."""
    words = Words(family)
    with Lab(loads(WAYS)) as lab:
        client = lab.place("client")
        first = client.ping(words("{S}"))
        lab.place("r1").run(["sh", "-ec", words("{ip} address add {S}/{128} dev eth3")])

        second = client.ping(words("{S}"))

        assert first.answered_by == second.answered_by == words("{S}")
        assert first.attempts == 1
