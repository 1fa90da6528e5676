"""What a probe is sent with: source port, mark, TOS, hop limit; and how much goes over a connection."""

from __future__ import annotations

import time

import pytest
from cnitest.suites.selftest import walkthrough

from cnitest import Lab, Topology, Verdict
from cnitest.errors import FeatureMissing, UsageError
from cnitest.kernel import features
from cnitest.topology import Host, Route, Veth, VethEnd

NS02 = {4: "10.40.80.12", 6: "2001:db8:40::12"}
FAR = {4: "192.0.2.130", 6: "2001:db8:2::2"}
BOTH = pytest.mark.parametrize("family", [4, 6])

lab, ns01 = walkthrough.lab, walkthrough.ns01


@pytest.fixture
def narrow():
    """a, two routers and b; the routers' link is narrower than the others, in both directions."""

    def wire(left, right, net, mtu=None):
        at = [
            VethEnd(
                at=name,
                name=f"net{net}",
                mtu=mtu,
                addresses=[f"192.0.2.{64 * net + number}/26", f"2001:db8:{net}::{number}/64"],
            )
            for number, name in enumerate((left, right), 1)
        ]
        return Veth(ends=at)

    def routes(v4, v6):
        return [Route(via=v4), Route(via=v6)]

    topology = Topology(
        name="narrow",
        hosts={
            "a": Host(routes=routes("192.0.2.2", "2001:db8:0::2")),
            "r1": Host(role="router", routes=routes("192.0.2.66", "2001:db8:1::2")),
            "r2": Host(role="router", routes=routes("192.0.2.65", "2001:db8:1::1")),
            "b": Host(routes=routes("192.0.2.129", "2001:db8:2::1")),
        },
        veths=[wire("a", "r1", 0), wire("r1", "r2", 1, 1300), wire("r2", "b", 2)],
    )
    with Lab(topology) as built:
        yield built


@BOTH
@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_the_source_port_is_the_one_that_was_asked_for(lab, ns01, kind, family):
    """The far end sees the port, and a second probe from the same port works, too."""
    with lab.sandbox("ns02").capture("eth02") as wire:
        for _ in range(2):
            assert getattr(ns01, kind)(NS02[family], 7000, source_port=4500)

    assert wire.matching(kind.upper(), sport=4500, dport=7000)


@BOTH
@pytest.mark.parametrize("kind", ["ping", "tcp", "udp"])
@pytest.mark.parametrize(("tos", "byte"), [(0xB8, 0xB8), ("AF41", 0x88), ("cs6", 0xC0)])
def test_the_tos_is_on_the_wire(lab, ns01, kind, family, tos, byte):
    """The TOS of IPv4 and the traffic class of IPv6 are as asked for, and gone with the next probe."""
    port = () if kind == "ping" else (7000,)
    with lab.sandbox("ns02").capture("eth02") as wire:
        assert getattr(ns01, kind)(NS02[family], *port, tos=tos)
        assert getattr(ns01, kind)(NS02[family], *port)

    layer, field = ("IP", "tos") if family == 4 else ("IPv6", "tc")
    mine = ns01.addresses_on("eth01")[0 if family == 4 else 1]
    assert wire.matching(layer, src=mine, **{field: byte})
    assert wire.matching(layer, src=mine, **{field: 0})


@BOTH
@pytest.mark.parametrize("kind", ["ping", "tcp", "udp"])
def test_a_mark_chooses_the_route(lab, ns01, kind, family):
    """A packet with the mark takes the rule of the mark, which leads nowhere; one without does not."""
    version = f"-{family}"
    ns01.run(["ip", version, "rule", "add", "fwmark", "7", "blackhole"])
    port = () if kind == "ping" else (7000,)

    assert getattr(ns01, kind)(NS02[family], *port)
    assert getattr(ns01, kind)(NS02[family], *port, mark=8)
    assert getattr(ns01, kind)(NS02[family], *port, mark=7).verdict is Verdict.UNPROVEN


@BOTH
@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_a_hop_limit_is_that_of_the_probe(narrow, kind, family):
    """Two hops are too few for the third, and the router that says so is named."""
    probe = getattr(narrow.host("a"), kind)
    router = "192.0.2.66" if family == 4 else "2001:db8:1::2"

    assert probe(FAR[family], 7000, ttl=3)
    assert f"{router} answered: time exceeded" in probe(FAR[family], 7000, ttl=2).reason


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"source_port": 70000}, "source_port 70000"),
        ({"mark": -1}, "mark -1"),
        ({"tos": 256}, "tos 256"),
        ({"tos": "AF14"}, "Did you mean 'AF11'|AF1"),
        ({"ttl": 0}, "ttl 0"),
        ({"source": "2001:db8::1"}, "an IPv6 address, 10.40.80.12 an IPv4 one"),
        ({"source": "ns01"}, "'ns01' is not an IP address"),
    ],
)
def test_what_no_packet_has_is_an_error(ns01, options, words):
    """An option that cannot be is reported before anything is sent."""
    with pytest.raises(UsageError, match=words):
        ns01.udp("10.40.80.12", 53, **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"size": 0}, "size 0"), ({"rate": "fast"}, "rate 'fast'"), ({"rate": 0}, "rate 0"), ({"hold": -1}, "hold .*-1")],
)
def test_a_load_that_cannot_be_is_an_error(ns01, options, words):
    """Sizes, rates and times that mean nothing are reported before anything is sent."""
    with pytest.raises(UsageError, match=words):
        ns01.tcp("10.40.80.12", 80, **options)


@BOTH
def test_many_bytes_go_both_ways(ns01, family):
    """A size each way is delivered and checked."""
    reach = ns01.tcp(NS02[family], 7000, size=1_000_000, reply_size=300_000)

    assert reach, reach.story()
    assert reach.source_seen in ns01.addresses_on("eth01")


def test_a_rate_is_kept(ns01):
    """100 kB at 4 Mbit/s take 0.2 s, and not less."""
    began = time.monotonic()

    assert ns01.tcp(NS02[4], 7000, size=100_000, rate="4mbit")
    assert time.monotonic() - began >= 0.18


@BOTH
@pytest.mark.parametrize("way", ["size", "reply_size"])
def test_a_black_hole_lets_the_handshake_pass_and_keeps_the_bulk(narrow, family, way):
    """Where the ICMP error of a narrow link is lost, big segments are; the verdict says where they were last seen."""
    programs = ("iptables", "-A OUTPUT -p icmp --icmp-type fragmentation-needed -j DROP")
    if family == 6:
        programs = ("ip6tables", "-A OUTPUT -p icmpv6 --icmpv6-type packet-too-big -j DROP")
    for router in ("r1", "r2"):
        narrow.host(router).load_rules(*programs)
    a = narrow.host("a")
    reach = a.tcp(FAR[family], 7000, **{way: 100_000})

    assert a.tcp(FAR[family], 7000)
    assert reach.verdict is Verdict.DROPPED
    assert "the connection was made, then 0 of 100000 bytes came" in reach.reason
    assert f"last seen at {'r1:net0' if way == 'size' else 'r2:net2'} in" in reach.reason


@BOTH
def test_a_narrow_link_that_says_so_is_passed(narrow, family):
    """With the ICMP error let through TCP makes its segments smaller, and everything arrives."""
    assert narrow.host("a").tcp(FAR[family], 7000, size=100_000, reply_size=100_000)


def test_a_connection_that_is_cut_while_it_rests_is_found(lab, ns01):
    """A rest that a firewall with a short memory does not bear is dropped, and the reason says after what."""
    node = lab.host("node")
    node.sysctl("net.bridge.bridge-nf-call-iptables", 1)
    node.load_rules("iptables", "-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT")
    node.load_rules("iptables", "-A FORWARD -p tcp --syn -j ACCEPT", "-A FORWARD -p tcp -j DROP")
    node.sysctl("net.netfilter.nf_conntrack_tcp_loose", 0)

    assert ns01.tcp(NS02[4], 7000, hold=0.1)

    node.sysctl("net.netfilter.nf_conntrack_tcp_timeout_established", 1)
    reach = ns01.tcp(NS02[4], 7000, hold=2.5)

    assert reach.verdict is Verdict.DROPPED
    assert "after 2.5 s of rest" in reach.reason
    assert "last seen at node:veth01 in" in reach.reason


def test_a_server_of_the_tests_own_counts_no_bytes(lab, ns01):
    """Where something else has the port nobody can say what it received: unproven."""
    server = (
        "import socket, threading; s = socket.create_server((str(), 7000)); "
        "print(1, flush=True); threading.Event().wait()"
    )
    ns02 = lab.sandbox("ns02")
    ns02.run(["sh", "-c", f"mkfifo /run/up; setsid python3 -c '{server}' >/run/up 2>&1 & head -n1 /run/up"])
    reach = ns01.tcp(NS02[4], 7000, size=1000)

    assert reach.verdict is Verdict.UNPROVEN
    assert "is not ours and counts no bytes" in reach.reason


@BOTH
def test_sctp_is_probed_where_the_kernel_has_it(lab, ns01, family):
    """An association is delivered or proved dropped; without SCTP the error is the reason to skip."""
    feature = features.kernel("sctp")
    if not feature.present:
        with pytest.raises(FeatureMissing, match="this kernel has no SCTP"):
            ns01.sctp(NS02[family], 7000)
        return

    assert ns01.sctp(NS02[family], 7000)
    lab.sandbox("ns02").load_rules("iptables" if family == 4 else "ip6tables", "-A INPUT -p sctp -j DROP")
    assert not ns01.sctp(NS02[family], 7000)


@BOTH
def test_a_mark_that_the_senders_own_firewall_refuses_is_seen(ns01, family):
    """What the sender's kernel says of a TCP connection it says of one with that mark only."""
    ns01.load_rules("iptables" if family == 4 else "ip6tables", "-A OUTPUT -m mark --mark 7 -j DROP")

    assert ns01.tcp(NS02[family], 7000)
    assert "firewall refused it" in ns01.tcp(NS02[family], 7000, mark=7).reason
