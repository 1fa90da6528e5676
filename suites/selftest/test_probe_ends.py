"""The two sockets of a probe to a port: made together, and closed together, also where one of them cannot be."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import ExitStack
from functools import partial

import pytest
from cnitest.suites.selftest import walkthrough

from cnitest.kernel.namespaces import run_each
from cnitest.lab.probe.kinds.datagram import DatagramProbe
from cnitest.lab.probe.kinds.listener import open_ends
from cnitest.lab.probe.kinds.stream import StreamProbe
from cnitest.lab.probe.options import Options

NS02 = {4: "10.40.80.12", 6: "2001:db8:40::12"}
FOREIGN = {4: "192.0.2.9", 6: "2001:db8:9::9"}
KINDS = [(StreamProbe, socket.SOCK_STREAM), (DatagramProbe, socket.SOCK_DGRAM)]
BOTH = pytest.mark.parametrize("family", [4, 6])

lab, ns01 = walkthrough.lab, walkthrough.ns01


def opened() -> set[str]:
    """The sockets that this process has open."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            found.add(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:  # that of the directory itself
            continue
    return {name for name in found if name.startswith("socket:")}


def probe(made, ns01, family, **options):
    """A probe of a kind to the other sandbox's port 4000."""
    return made(ns01, NS02[family], 4000, None, 4000, options=Options(**options))


@BOTH
@pytest.mark.parametrize(("made", "kind"), KINDS)
def test_both_ends_are_opened_where_they_belong(lab, ns01, made, kind, family):
    """The listener is bound in the far namespace, and neither end is left open."""
    far, before = lab.sandbox("ns02"), opened()
    with ExitStack() as undo:
        server, client = open_ends(probe(made, ns01, family), far, kind, undo)

        assert server.getsockname()[1] == 4000
        taken = run_each([(place.namespace, partial(bound, server.family, kind)) for place in (far, ns01)])
        assert [getattr(each, "errno", 0) for each in taken] == [errno.EADDRINUSE, 0]
        assert isinstance(client, socket.socket)

    assert opened() == before


def bound(family, kind):
    """Bind the port once more."""
    with socket.socket(family, kind) as second:
        if family == socket.AF_INET6:
            second.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        second.bind(("", 4000))


@BOTH
@pytest.mark.parametrize(("made", "kind"), KINDS)
def test_a_client_that_is_refused_leaves_no_listener(lab, ns01, made, kind, family):
    """Where the sender has not the source address, the error is given, and the listener's port is free again."""
    far, before = lab.sandbox("ns02"), opened()
    with ExitStack() as undo:
        server, client = open_ends(probe(made, ns01, family, source=FOREIGN[family]), far, kind, undo)

        assert server is not None
        assert client.errno == errno.EADDRNOTAVAIL

    assert opened() == before


@pytest.mark.parametrize(("made", "kind"), KINDS)
def test_a_listener_that_is_refused_leaves_no_client(lab, ns01, made, kind):
    """Where no socket can be made at the far end, that is raised, and the client's is closed."""
    far, before = lab.host("node").sandbox("gone"), opened()
    lab.host("node").lose("gone")
    with pytest.raises(OSError, match="the network namespace is gone"), ExitStack() as undo:
        open_ends(probe(made, ns01, 4), far, kind, undo)

    assert opened() <= before


@BOTH
def test_the_port_of_a_server_is_left_to_it(lab, ns01, family):
    """A port that somebody has is no error: there is no listener of ours."""
    far = lab.sandbox("ns02")
    with far.service(4000), ExitStack() as undo:
        server, client = open_ends(probe(StreamProbe, ns01, family), far, socket.SOCK_STREAM, undo)

        assert server is None
        assert isinstance(client, socket.socket)
