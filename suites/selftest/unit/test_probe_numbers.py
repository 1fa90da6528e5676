"""Probes that follow each other are connections of their own: what a rule made of one is not done to the next."""

from __future__ import annotations

import socket

from cnitest.lab.probe.kinds import numbers


def test_the_identifiers_of_echoes_come_again_after_all_others():
    """Whichever is the first; none is 0."""
    first = [numbers.identifier() for _ in range(0xFFFF)]

    assert sorted(first) == list(range(1, 0x10000))
    assert numbers.identifier() == first[0]


def bound(ports):
    """Sockets that get one port after the other, or the last one for ever."""
    given = list(ports)

    def make():
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.bind(("127.0.0.1", given[0]))
        del given[: len(given) > 1]
        return client

    return make


def test_a_datagram_gets_a_port_that_none_of_the_latest_had(monkeypatch):
    """And is sent all the same where the kernel has no other."""
    monkeypatch.setattr(numbers, "_recent", {})
    monkeypatch.setattr(numbers, "_REMEMBERED", 2)

    def port(*ports):
        with numbers.from_fresh_port(bound(ports)) as client:
            return client.getsockname()[1]

    assert port(39001) == 39001
    assert port(39001, 39001, 39002) == 39002
    assert port(39001) == 39001
    assert port(39003) == 39003
    assert port(39002) == 39002
    assert [*numbers._recent] == [39003, 39002]
