"""Ports that are published for a server of the test's own: who asks for the host's address has got through to it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import pytest

from cnitest import Lab, load
from cnitest.lab.place import Place
from cnitest.topology import find

PUBLISHED = {
    "192.168.80.100": "iptables -t nat -A PREROUTING -p tcp -d {} --dport 8080 -j DNAT --to-destination 10.40.80.11:80",
    "2001:db8:80::100": "ip6tables -t nat -A PREROUTING -p tcp -d {} --dport 8080 -j DNAT "
    "--to-destination [2001:db8:40::11]:80",
}


def listener() -> socket.socket:
    """A socket that listens on port 80 for both families."""
    return socket.create_server(("::", 80), family=socket.AF_INET6, dualstack_ipv6=True)


def datagrams() -> socket.socket:
    """The same for datagrams."""
    made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    made.bind(("::", 80))
    return made


@contextmanager
def server(place: Place, *, says: bytes | None = None) -> Iterator[None]:
    """A server on port 80 of a place, which says nothing, or something to each one who connects and closes then."""
    with closing(place.namespace.run(listener)) as listening:
        if says is not None:
            threading.Thread(target=_answer, args=(listening, says), daemon=True).start()
        yield


def _answer(listening: socket.socket, says: bytes) -> None:
    try:
        while True:
            connection, _ = listening.accept()
            with connection, suppress(ConnectionError):  # a client that ends before it has read it
                connection.sendall(says)
                connection.recv(64)
    except OSError:
        return


@pytest.mark.parametrize("to", PUBLISHED)
@pytest.mark.parametrize("says", [None, b"SSH-2.0-OpenSSH_9.2\r\n"], ids=["silent", "speaks"])
def test_a_server_behind_a_published_port_is_reached(to, says):
    """A connection that another place's server takes, with what was sent, is delivered: none of it was dropped."""
    with Lab(load(find("bridge-walkthrough"))) as lab, server(lab.sandbox("ns01"), says=says):
        lab.host("node").run(PUBLISHED[to].format(to).split())

        reach = lab.host("router").tcp(to, 8080)

        assert reach
        assert reach.answered_by == to


@pytest.mark.parametrize("to", PUBLISHED)
@pytest.mark.parametrize("answers", [False, True], ids=["silent", "answers"])
def test_a_datagram_that_came_to_such_a_server_is_not_dropped(to, answers):
    """Whatever it answers is an answer; where it says nothing, that proves nothing, and it is named."""
    with Lab(load(find("bridge-walkthrough"))) as lab, closing(lab.sandbox("ns01").namespace.run(datagrams)) as server:
        lab.host("node").run(PUBLISHED[to].format(to).replace("tcp", "udp").split())
        if answers:
            threading.Thread(target=lambda: server.sendto(b"?", server.recvfrom(64)[1]), daemon=True).start()

        reach = lab.host("router").udp(to, 8080)

        assert reach.verdict.value == ("delivered" if answers else "unproven")
        if not answers:
            assert "port 80 at node/ns01 is not ours" in reach.reason
            assert reach.cause.id == "host.server-silent"


@pytest.mark.parametrize("to", PUBLISHED)
def test_another_server_than_the_listener_that_was_named_does_not_count(to):
    """A port that is published for the wrong place is not delivered, although a server is there."""
    with Lab(load(find("bridge-walkthrough"))) as lab, server(lab.sandbox("ns01")):
        lab.host("node").run(PUBLISHED[to].format(to).split())

        reach = lab.host("router").tcp(to, 8080, listener=lab.sandbox("ns02"), listener_port=80)

        assert not reach
        assert (reach.cause.id, reach.cause.place) == ("nat.dnat-other", "node"), str(reach.explanation)
        lab.host("node").run(reach.cause.remedy.split())
        assert lab.host("router").tcp(to, 8080, listener=lab.sandbox("ns02"), listener_port=80)


@pytest.mark.parametrize(("program", "to"), [("iptables", "10.40.80.12"), ("ip6tables", "2001:db8:40::12")])
def test_a_handshake_whose_end_is_dropped_is_no_other_server(program, to):
    """A connection of which the listener never gets the last part of the handshake is dropped, as its payload is."""
    with Lab(load(find("bridge-walkthrough"))) as lab:
        lab.sandbox("ns02").load_rules(program, "-A INPUT -p tcp --dport 4711 --tcp-flags SYN,ACK ACK -j DROP")

        assert not lab.sandbox("ns01").tcp(to, 4711)
