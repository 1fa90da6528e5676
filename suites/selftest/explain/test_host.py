"""Causes in the host that a packet is for: each breaks a working topology in one way, found with place and remedy."""

from __future__ import annotations

import contextlib
import socket

import pytest
from cnitest.suites.selftest.explain.ways import SERVER, WAYS, Broken, Words, must_be_explained

from cnitest import Lab, Verdict, load
from cnitest.deadline import Deadline
from cnitest.topology import find, loads

PORT = 4711
BOTH = pytest.mark.parametrize("family", [4, 6])
_ANY = {4: "0.0.0.0", 6: "::"}
_LOOPBACK = {4: "127.0.0.1", 6: "::1"}
_IGNORE = {4: "net.ipv4.icmp_echo_ignore_all", 6: "net.ipv6.icmp.echo_ignore_all"}
_LIMITED = {
    4: "sysctl -w net.ipv4.icmp_ratemask=1 net.ipv4.icmp_ratelimit=60000",
    6: "sysctl -w net.ipv6.icmp.ratelimit=60000 && echo 0-255 > /proc/sys/net/ipv6/icmp/ratemask",
}
_UNLIMITED = {4: "sysctl -w net.ipv4.icmp_ratelimit=0", 6: "sysctl -w net.ipv6.icmp.ratelimit=0"}
_MOST = 12
_FORGET = "client: ip -6 neighbour flush dev eth1"


def _of_family(family: int) -> list[Broken]:
    no_dad = " nodad" if family == 6 else ""
    return [
        Broken(
            "host.echo-ignored",
            (f"server: sysctl -w {_IGNORE[family]}=1",),
            "echo ignored",
            "server",
            f"sysctl -w {_IGNORE[family]}=0",
            (family,),
        ),
        Broken(
            "host.address-missing",
            ("server: ip address del {S}/{128} dev lo",),
            "address missing",
            "server",
            f"ip address add {{S}}/{{128}} dev lo{no_dad}",
            (family,),
            probe="tcp",
        ),
        Broken(
            "host.address-missing",
            ("server: ip address del {3.3}/{64} dev eth3", "r1: ip neighbour flush dev eth3"),
            "address missing",
            "server",
            f"ip address add {{3.3}}/{{64}} dev eth3{no_dad}",
            (family,),
        ),
        Broken(
            "host.address-missing",
            ("r1: ip address del {1.2}/{64} dev eth1",),
            "address missing",
            "r1",
            f"ip address add {{1.2}}/{{64}} dev eth1{no_dad}",
            (family,),
            probe="udp",
        ),
    ]


BROKEN = [
    *_of_family(4),
    *_of_family(6),
    Broken("host.address-link-down", ("server: ip link set eth4 down",), "link of the address down", "server",
           "ip link set eth4 up", (6,), ("r1: {ip} route add {4.3} via {3.3}",), to="{4.3}"),
    Broken("host.ipv6-disabled", ("server: sysctl -w net.ipv6.conf.lo.disable_ipv6=1",), "disable_ipv6", "server",
           "sysctl -w net.ipv6.conf.lo.disable_ipv6=0 && ip address add {S}/128 dev lo nodad", (6,)),
    Broken("host.ipv6-disabled", ("r1: sysctl -w net.ipv6.conf.eth1.disable_ipv6=1",), "disable_ipv6", "r1",
           "sysctl -w net.ipv6.conf.eth1.disable_ipv6=0 && ip address add {1.2}/64 dev eth1 nodad", (6,), probe="tcp"),
    Broken("host.ipv6-disabled", ("client: sysctl -w net.ipv6.conf.eth1.disable_ipv6=1",), "disable_ipv6", "client",
           "sysctl -w net.ipv6.conf.eth1.disable_ipv6=0 && ip address add {1.1}/64 dev eth1 nodad && "
           "ip -6 route replace default via {1.2}", (6,)),
    Broken("host.dad-failed", ("client: ip address add {1.2}/64 dev eth1 nodad", "r1: ip address del {1.2}/64 dev eth1",
           "r1: sysctl -w net.ipv6.conf.eth1.accept_dad=1", "r1: ip address add {1.2}/64 dev eth1",
           "r1: for n in $(seq 2000); do ip address show dev eth1 | grep -q dadfailed && break; done",
           "client: ip address del {1.2}/64 dev eth1", _FORGET), "DAD failed", "r1",
           "ip address del {1.2}/64 dev eth1 && ip address add {1.2}/64 dev eth1 nodad", (6,)),
    Broken("host.tentative", ("r1: sysctl -w net.ipv6.conf.eth1.dad_transmits=100 net.ipv6.conf.eth1.accept_dad=1",
           "r1: ip address del {1.2}/64 dev eth1", "r1: ip address add {1.2}/64 dev eth1", _FORGET),
           "tentative address", "r1",
           "ip address del {1.2}/64 dev eth1 && ip address add {1.2}/64 dev eth1 nodad", (6,)),
]  # fmt: skip
CASES = [
    pytest.param(broken, family, id=f"{broken.label}-v{family}") for broken in BROKEN for family in broken.families
]


@pytest.fixture
def lab():
    """Two ways from a client to a server."""
    with Lab(loads(WAYS)) as built:
        yield built


@contextlib.contextmanager
def listening(place, kind, address, **options):
    """A socket that is bound at a place; nobody reads what comes."""

    def opened():
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        server = socket.socket(family, kind)
        if options.get("buffer"):
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options["buffer"])
        server.bind((address, PORT))
        if kind == socket.SOCK_STREAM:
            server.listen(options.get("backlog", 8))
        return server

    with place.namespace.run(opened) as server:
        yield server


@pytest.mark.parametrize(("broken", "family"), CASES)
def test_a_cause_in_a_host_is_reported(broken, family):
    """What the host lacks is named, with its place and the command that would let the packet pass, which then does."""
    must_be_explained(broken, family)


@BOTH
@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_a_port_without_listener_is_reported(lab, kind, family):
    """A reset, or a port that is unreachable, says that nobody listens; here at another place with the same address."""
    client, words = lab.host("client"), Words(family)
    assert getattr(client, kind)(SERVER[family], PORT)
    lab.host("r2").run(["sh", "-c", words("{ip} route del {S}; ip address add {S}/{128} dev lo")])
    client.run(["sh", "-c", words("{ip} route add {S} via {2.2}")])

    reach = getattr(client, kind)(SERVER[family], PORT)

    assert reach.cause, reach.explanation
    assert (reach.cause.id, reach.dropped_by, reach.cause.place) == ("host.no-listener", "no listener", "r2")
    assert reach.cause.remedy == f"listen on {kind} port {PORT} at r2"


@BOTH
@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_a_listener_on_another_address_is_reported(lab, kind, family):
    """A server that listens on loopback alone is named with its address."""
    types = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
    with listening(lab.host("server"), types[kind], _LOOPBACK[family]):
        reach = getattr(lab.host("client"), kind)(SERVER[family], PORT)

        assert (reach.cause.id, reach.cause.place) == ("host.other-address", "server"), reach.explanation
        assert reach.dropped_by == "listener on another address"


@BOTH
def test_a_full_backlog_is_reported(lab, family):
    """A listener that accepts nothing takes no more connections than its backlog has room for."""
    server = lab.host("server")
    with listening(server, socket.SOCK_STREAM, _ANY[family], backlog=0), contextlib.ExitStack() as held:
        for _ in range(2):
            held.enter_context(server.namespace.run(lambda: _begun(SERVER[family])))
        reach = lab.host("client").tcp(SERVER[family], PORT, wait=0.2)

        assert (reach.cause.id, reach.dropped_by) == ("host.backlog-full", "backlog full"), reach.explanation
        assert reach.cause.place == "server"


def _begun(address):
    """A connection that was begun."""
    client = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    client.setblocking(False)
    client.connect_ex((address, PORT))
    return client


@BOTH
def test_a_full_receive_buffer_is_reported(lab, family):
    """A server that does not read its datagrams has no room for more at last."""
    server = lab.host("server")
    with listening(server, socket.SOCK_DGRAM, _ANY[family], buffer=2304) as held:
        with server.namespace.run(lambda: socket.socket(held.family, socket.SOCK_DGRAM)) as sender:
            for _ in range(20):
                sender.sendto(b"." * 500, (SERVER[family], PORT))
        reach = lab.host("client").udp(SERVER[family], PORT, wait=0.2)

        assert reach.cause and (reach.cause.id, reach.cause.place) == ("host.buffer-full", "server"), reach.explanation
        assert reach.dropped_by == "socket buffer full"


@BOTH
def test_a_server_that_does_not_answer_is_reported(lab, family):
    """What came to a server that does not read it lies in its socket."""
    with listening(lab.host("server"), socket.SOCK_DGRAM, _ANY[family]):
        reach = lab.host("client").udp(SERVER[family], PORT, wait=0.2)

        assert reach.verdict is Verdict.UNPROVEN
        assert reach.cause and reach.cause.id == "host.server-silent", reach.explanation
        assert reach.dropped_by == "server does not answer"


@BOTH
def test_a_limit_of_icmp_is_reported(lab, family):
    """Once a host has sent as many answers as it may, what it does not send is reported with the sysctl."""
    client, server = lab.host("client"), lab.host("server")
    assert client.ping(SERVER[family])
    server.run(["sh", "-c", _LIMITED[family]])

    reaches = (client.ping(SERVER[family], wait=0.1) for _ in range(_MOST))
    reach = next(one for one in reaches if one.verdict is not Verdict.DELIVERED)

    assert (reach.cause.id, reach.dropped_by) == ("host.icmp-limit", "icmp rate limit"), reach.explanation
    assert (reach.cause.place, reach.cause.remedy) == ("server", _UNLIMITED[family])
    server.run(["sh", "-c", reach.cause.remedy])
    assert client.ping(SERVER[family])


@BOTH
def test_a_place_that_is_gone_is_reported(family):
    """An address that a sandbox had that is no more is reported with the sandbox."""
    address = {4: "10.40.80.12", 6: "2001:db8:40::12"}[family]
    with Lab(load(find("bridge-walkthrough"))) as lab:
        assert lab.sandbox("ns01").ping(address)

        node = lab.host("node")
        node.lose("ns02")
        gone = Deadline.after(10, "the namespace of ns02")
        while "veth02" in {link.name for link in node.links}:
            assert not gone.expired
        reach = lab.sandbox("ns01").ping(address, wait=0.2)

        assert (reach.cause.id, reach.dropped_by) == ("host.namespace-gone", "namespace gone"), reach.explanation
        assert reach.cause.remedy == "make node/ns02 again"


def test_a_refused_router_advertisement_is_reported(lab):
    """A place that hears routers and is set not to listen to them has no route, and that is why."""
    from scapy.layers.inet6 import ICMPv6ND_RA, ICMPv6NDOptPrefixInfo, ICMPv6NDOptSrcLLAddr, IPv6
    from scapy.layers.l2 import Ether

    client, r1 = lab.host("client"), lab.host("r1")
    words = Words(6)
    client.run(["sh", "-c", words("{ip} route del default; sysctl -w net.ipv6.conf.eth1.accept_ra=0")])
    link = r1.link("eth1")
    source = next(row.ip for row in r1.addresses if row.link == "eth1" and row.scope == "link")
    advertisement = (
        Ether(src=link.mac, dst="33:33:00:00:00:01")
        / IPv6(src=source, dst="ff02::1", hlim=255)
        / ICMPv6ND_RA(routerlifetime=1800)
        / ICMPv6NDOptSrcLLAddr(lladdr=link.mac)
        / ICMPv6NDOptPrefixInfo(prefix="2001:db8:1::", prefixlen=64, A=0)
    )
    r1.send(advertisement, "eth1")

    reach = client.ping(SERVER[6], wait=0.2)

    assert (reach.cause.id, reach.dropped_by) == ("host.ra-refused", "RA refused"), reach.explanation
    assert reach.cause.remedy == "sysctl -w net.ipv6.conf.eth1.accept_ra=1"
    client.run(["sh", "-c", reach.cause.remedy])
    r1.send(advertisement, "eth1")
    assert client.ping(SERVER[6])
