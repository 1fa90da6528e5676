"""Daemons of plugins: awaited by the kernel's events, reported at once when they fail."""

from __future__ import annotations

import time

import pytest

from cnitest import Lab
from cnitest.conformance.host.daemon import start_daemon
from cnitest.errors import CommandError
from cnitest.topology import Host, Topology

SOCKET = "/run/of/nobody.sock"


@pytest.fixture(scope="module")
def host():
    """A host of a lab of its own."""
    with Lab(Topology(name="daemon", hosts={"node": Host()})) as lab:
        yield lab.host("node")


def test_a_daemon_is_ready_with_its_socket(host):
    """The block begins once the socket is there, in a directory that the daemon makes."""
    argv = ["sh", "-c", f"mkdir -p /run/of && touch {SOCKET} && cat"]

    with start_daemon(host, argv, SOCKET, lambda: None) as daemon:
        there = host.run(["ls", SOCKET]).stdout

    assert daemon.started.pid
    assert there.strip() == SOCKET


def test_a_daemon_that_fails_is_not_waited_for(host):
    """One that ends with an error is reported with its exit code, long before the deadline."""
    began = time.monotonic()

    with (
        pytest.raises(CommandError, match=r"exit 3 ended with exit code 3; its socket /run/no/such was never there"),
        start_daemon(host, ["sh", "-c", "exit 3"], "/run/no/such", lambda: None),
    ):
        pass

    assert time.monotonic() - began < 8
