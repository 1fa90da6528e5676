"""Causes in what a place decides or writes: source addresses, MTUs of routes, headers, its own addresses, odd rules."""

from __future__ import annotations

import ctypes
import socket
import struct

import pytest
from cnitest.suites.selftest.explain.breaking import Broken as Bridged
from cnitest.suites.selftest.explain.breaking import demand
from cnitest.suites.selftest.explain.ways import SERVER, WAYS, Broken, Words, must_be_explained, run

from cnitest import Lab
from cnitest.topology import loads

PORT = 4711
BOTH = pytest.mark.parametrize("family", [4, 6])
_LARGE = (("size", 1400), ("df", True))
_FLUSH = "client: {ip} route flush cache"
_NARROW = "{ip} route replace {S} via {3.3}"
_FILTER = "type filter hook {} priority -450;"


def _rewriting(family: int) -> list[Broken]:
    """Rules of nftables that write into packets, by the family of their table."""
    ip = "ip" if family == 4 else "ip6"

    def nft(hook: str, rule: str) -> tuple[str]:
        return (f"r1: nft 'table {ip} t {{ chain c {{ {_FILTER.format(hook)} {rule}; }}; }}'",)

    delete = f"nft delete rule {ip} t c handle 2"
    return [
        Broken("nat.rewritten", nft(hook, rule), f"{ip} t c rule 1 rewrites", "r1", delete, (family,), probe="udp")
        for hook, rule in (
            ("prerouting", f"iifname eth1 {ip} daddr set {{3.77}}"),
            ("postrouting", f"oifname eth3 {ip} saddr set {{7.77}}"),
            ("forward", f"udp dport {PORT} udp dport set 9"),
        )
    ]


BROKEN = [
    *_rewriting(4),
    *_rewriting(6),
    Broken("routing.source-choice", ("client: {ip} route del default; {ip} route add default via {1.2} src {2.1}",),
           "source address choice", "client", "{ip} route replace default via {1.2} dev eth1"),
    Broken("routing.source-choice", ("client: ip -6 address change {1.1}/64 dev eth1 preferred_lft 0",),
           "source address choice", "client", "ip address change {1.1}/64 dev eth1 preferred_lft forever", (6,)),
    Broken("limits.path-route-mtu", ("r1: {ip} route replace {S} via {3.3} mtu lock 1300",), "route MTU", "r1",
           "{ip} route change {S}/{128} via {3.3}", options=_LARGE, afterwards=(_FLUSH,)),
    Broken("host.no-local-route", ("server: {ip} route del local {S} table local",), "no local route", "server",
           "{ip} route add local {S} dev lo table local", probe="udp"),
    Broken("host.no-local-route", ("server: {ip} rule add pref 32768 lookup local; {ip} rule del pref 0",),
           "no rule for the local table", "server", "{ip} rule add pref 0 lookup local", probe="tcp"),
    Broken("routing.unreachable", (f"r1: {{ip}} rule add pref 9 ipproto udp dport {PORT} unreachable",),
           "unreachable rule", "r1", "{ip} rule del pref 9", probe="udp"),
    Broken("routing.prohibit", ("client: {ip} rule add pref 9 ipproto tcp uidrange 0-0 prohibit",), "prohibit rule",
           "client", "{ip} rule del pref 9", probe="tcp"),
    Broken("routing.throw", ("r1: {ip} route del {S}; {ip} route add throw {S}",), "throw route", "r1",
           "{ip} route del throw {S}/{128}"),
    Broken("routing.no-such-gateway", ("client: {ip} route replace default via {7.77} dev eth1 onlink",),
           "no such gateway", "client", "{ip} route replace default via {1.2}"),
    Broken("l2.wrong-neighbour", ("client: ip neigh replace {1.2} lladdr ff:ff:ff:ff:ff:ff dev eth1",),
           "wrong neighbour", "client", "ip neigh del {1.2} dev eth1"),
    Broken("l2.elsewhere", ("r1: {ip} route add {1.1} dev eth3",), "wrong subnet", "r1", "{ip} route del {1.1}/{128}"),
    Broken("nat.dnat-port", ("r1: {t} -t nat -A PREROUTING -p tcp -j REDIRECT --to-ports 9",), "DNAT to a closed port",
           "r1", "{t} -t nat -D PREROUTING -p tcp", probe="tcp"),
    Broken("nat.dnat-port", ("client: {t} -t nat -A OUTPUT -p tcp --dport 4711 -j REDIRECT --to-ports 15001",),
           "DNAT to a closed port", "client", "{t} -t nat -D OUTPUT -p tcp", probe="tcp"),
    Broken("l2.elsewhere", ("server: ip link add br-x type bridge; ip link set br-x up; "
           "ip address add {1.9}/{64} dev br-x",), "wrong subnet", "server", "ip route add {1.1} via {3.2}"),
    Broken("nftables.rule", ("r1: nft 'table inet own { chain c { type filter hook forward priority 0; "
           "iifname eth1 jump { counter drop; }; }; }'",), "inet own c rule 1", "r1",
           "nft delete rule inet own c handle"),
    Broken("nat.dnat-nobody", ("r1: {t} -t nat -A PREROUTING -d {S} -j NETMAP --to {3.77}/{128}",), "DNAT to nobody",
           "r1", "{t} -t nat -D PREROUTING -d {S}/{128} -j NETMAP"),
    Broken("firewall.rule", ("r1: {t} -A FORWARD -m comment --comment \"no \\\"$x\\\" it's\" -j DROP",),
           "ip{6} filter FORWARD rule 1", "r1", "{t} -D FORWARD -m comment --comment"),
]  # fmt: skip
CASES = [
    pytest.param(broken, family, id=f"{broken.label}-v{family}") for broken in BROKEN for family in broken.families
]


@pytest.mark.parametrize(("broken", "family"), CASES)
def test_a_choice_is_shown(broken, family):
    """What decided or wrote is named with its place and the command that would let the packet pass, which then does."""
    dropped_by = Words(family)(broken.dropped_by)
    must_be_explained(broken._replace(dropped_by=dropped_by), family)


@BOTH
def test_an_mtu_that_is_only_remembered_is_reported(family):
    """Where the small route is gone, what its sender remembers of it is named, and forgotten lets the packet pass."""
    words = Words(family)
    with Lab(loads(WAYS)) as lab:
        client = lab.host("client")
        run(lab, (f"r1: {_NARROW} mtu lock 1300",), words)
        assert not client.ping(words("{S}"), **dict(_LARGE))
        run(lab, (f"r1: {_NARROW}",), words)

        reach = client.ping(words("{S}"), **dict(_LARGE))

        assert reach.cause and reach.cause.id == "limits.remembered-mtu", reach.explanation
        run(lab, (f"client: {reach.cause.remedy}",), words)
        assert client.ping(words("{S}"), **dict(_LARGE))


_MAC = "mac=$(bridge fdb show br br01 | awk '/veth02/ && !/permanent/ {print $1; exit}')"
_WRITES = "ebtables -t nat -A PREROUTING -p {} -j dnat --to-destination 02:00:00:00:00:99"
_REMOVES = "ebtables -t nat -D PREROUTING -p {} -j dnat --to-dst 02:00:00:00:00:99 --dnat-target ACCEPT"
_BRIDGED = [
    Bridged("nat.rewritten", "bridge nat PREROUTING rule 1 rewrites", "node", _REMOVES.format(kind),
            {"node": _WRITES.format(kind)}, to=to)
    for kind, to in (("IPv4", "10.40.80.12"), ("IPv6", "2001:db8:40::12"))
]  # fmt: skip


@pytest.mark.parametrize("broken", _BRIDGED, ids=str)
def test_a_written_mac_is_reported(broken):
    """A rule of the bridge that writes a MAC which nobody has is named, and removing it lets the packet pass."""
    demand(broken, warm=True)


@pytest.mark.parametrize("to", ["10.40.80.12", "2001:db8:40::12"])
def test_a_permanent_forwarding_entry_is_reported(to):
    """An entry that has a bridge keep what is for a port's neighbour is named; without it the neighbour is reached."""
    from cnitest import load
    from cnitest.topology import find

    with Lab(load(find("bridge-walkthrough"))) as lab:
        node, sender = lab.host("node"), lab.sandbox("ns01")
        assert sender.ping(to)
        node.run(["sh", "-ec", f"{_MAC}; bridge fdb replace $mac dev veth02 master permanent"])

        reach = sender.ping(to, wait=0.2)

        assert reach.cause and (reach.cause.id, reach.cause.place) == ("l2.fdb", "node"), reach.explanation
        node.run(["sh", "-ec", reach.cause.remedy])
        assert sender.ping(to)


def _signed(listener, family):
    """Have a listener want an MD5 signature of the client's connections."""
    address = Words(family)("{1.1}")
    packed = socket.inet_pton(listener.family, address)
    head = struct.pack("=HH", listener.family, 0) + (b"" if family == 4 else bytes(4))
    key = (head + packed).ljust(128, b"\0") + struct.pack("=BBHi", 0, 0, 3, 0) + b"key".ljust(80, b"\0")
    listener.setsockopt(socket.IPPROTO_TCP, 14, key)


def _distant(listener, family):
    """Have a listener take what nobody has forwarded."""
    level, name = (socket.IPPROTO_IP, 21) if family == 4 else (socket.IPPROTO_IPV6, 73)
    listener.setsockopt(level, name, 255)


def _filtered(listener, _family):
    """Have a listener take nothing."""
    nothing = ctypes.create_string_buffer(struct.pack("=HBBI", 6, 0, 0, 0))
    listener.setsockopt(socket.SOL_SOCKET, 26, struct.pack("@HL", 1, ctypes.addressof(nothing)))


@BOTH
@pytest.mark.parametrize(
    ("option", "name"), [(_signed, "TCP_MD5SIG"), (_distant, "IP_MINTTL"), (_filtered, "SO_ATTACH_FILTER")]
)
def test_an_option_of_a_listener_is_reported(option, name, family):
    """A listener that refuses what comes by an option of its own is named with that, where the kernel says so."""
    with Lab(loads(WAYS)) as lab:
        server, address = lab.host("server"), SERVER[family]

        def listening():
            listener = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6)
            option(listener, family)
            listener.bind(("", PORT))
            listener.listen(8)
            return listener

        with server.namespace.run(listening):
            reach = lab.host("client").tcp(address, PORT, wait=0.2)

            if not reach.freed and option is _filtered:
                pytest.skip("this kernel does not say what it frees")
            assert reach.cause and reach.cause.id == "host.socket-option", reach.explanation
            assert (reach.dropped_by, reach.cause.place) == (f"socket option {name}", "server")
