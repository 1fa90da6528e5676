"""The packets of a probe: what is in them, what becomes of them on the way, and who answers."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest import walkthrough
from cnitest.suites.selftest.walkthrough import NS02

from cnitest import Lab, Topology
from cnitest.deadline import Deadline
from cnitest.topology import Host, Route, Veth, VethEnd

SERVER = "import socket, time; s = socket.create_server((str(), 8080)); [s.accept() for _ in iter(int, 1)]"
lab, ns01 = walkthrough.lab, walkthrough.ns01


def test_two_probes_never_share_a_payload(ns01):
    """Each probe's payload is its own, so that a late answer to one is no answer to another."""
    payloads = {bytes(ns01.ping(NS02).packets[0]["ICMP"].payload) for _ in range(50)}

    assert len(payloads) == 50


def test_size_df_and_ttl_are_what_was_asked(lab, ns01):
    """Payload size, the don't-fragment bit and the hop limit are in the packet, and have their effects."""
    with ns01.capture("eth01") as wire:
        assert ns01.ping(NS02, size=1472, df=True, ttl=9)
        request = wire.matching("ICMP", type="echo-request")[0]

    assert (request["IP"].len, request["IP"].flags.DF, request["IP"].ttl) == (1500, 1, 9)
    assert not ns01.ping(NS02, size=1473, df=True)
    assert ns01.ping(NS02, size=4000)


@pytest.mark.parametrize("address", ["192.0.2.130", "2001:db8:2::2"])
def test_a_small_link_on_the_way_is_passed_in_parts(address):
    """A packet that a later link is too small for is fragmented, by the router or by its sender; not with df."""

    def wire(*names, net, mtu=None):
        ends = [
            VethEnd(
                at=name,
                name=f"net{net}",
                mtu=mtu,
                addresses=[f"192.0.2.{128 * (net - 1) + number}/25", f"2001:db8:{net}::{number}/64"],
            )
            for number, name in enumerate(names, 1)
        ]
        return Veth(ends=ends)

    routes = (
        [Route(via="192.0.2.2"), Route(via="2001:db8:1::2")],
        [Route(via="192.0.2.129"), Route(via="2001:db8:2::1")],
    )
    topology = Topology(
        name="small",
        hosts={"a": Host(routes=routes[0]), "r": Host(role="router"), "b": Host(routes=routes[1])},
        veths=[wire("a", "r", net=1), wire("r", "b", net=2, mtu=1300)],
    )
    with Lab(topology) as lab:
        a = lab.host("a")

        assert a.ping(address, size=1400)
        assert not a.ping(address, size=1400, df=True)


def test_a_spent_hop_limit_is_a_drop_that_names_the_router(lab, ns01):
    """A hop limit of one ends at the first router, and the verdict says so."""
    reach = ns01.ping("192.168.80.2", ttl=1)

    assert not reach
    assert reach.reason == "10.40.80.1 answered: time exceeded"


def test_a_redirect_is_no_refusal(ns01):
    """A router that tells of a shorter way has passed the packet on: it is delivered."""
    ns01.run(["ip", "route", "add", f"{NS02}/32", "via", "10.40.80.1"])

    assert ns01.ping(NS02)


def test_a_nat_that_changes_everything_is_seen_through(lab, ns01):
    """MASQUERADE with random identities and ports: the far end's view and the path are still known."""
    lab.host("node").load_rules("iptables", "-t nat -A POSTROUTING -s 10.40.80.0/24 -j MASQUERADE --random-fully")

    for reach in (ns01.ping("8.8.8.8"), ns01.tcp("8.8.8.8", 443), ns01.udp("8.8.8.8", 53)):
        assert reach.source_seen == "192.168.80.100"
        assert any(hop.startswith("internet:") for hop in reach.path)


def test_arp_tells_the_mac(lab, ns01):
    """Asking who has an address yields the MAC of the link that has it; IPv6 too."""
    mac = lab.sandbox("ns02").link("eth02").mac

    assert ns01.arp(NS02).answered_by == mac
    assert ns01.arp("2001:db8:40::12").answered_by == mac
    assert not ns01.arp("10.40.80.99")


def test_tcp_finds_a_server_of_the_tests_own(lab, ns01):
    """A port that something listens on already is dialled as it is."""
    ns02 = lab.sandbox("ns02")
    ns02.run(["sh", "-c", f"setsid python3 -c '{SERVER}' >/dev/null 2>&1 </dev/null &"])
    deadline = Deadline.after(10, "the server to listen")
    while f":{8080:04X} " not in ns02.run(["cat", "/proc/net/tcp"]).stdout:
        deadline.check()
    with ns02.capture("eth02") as wire:
        reach = ns01.tcp(NS02, 8080)

    assert reach
    assert reach.answered_by == NS02
    assert wire.matching("TCP", dport=8080, flags="S")


def test_a_probe_goes_to_an_address(ns01):
    """A name is refused with a sentence, before anything is sent."""
    with pytest.raises(ValueError, match="'dns.google' is not an IP address"):
        ns01.ping("dns.google")
