"""Causes in routing by more than a destination: protocols, TOS, rules that pass the main table by, kinds of routes."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.ways import WAYS, Broken, Words, must_be_explained, run

from cnitest import Lab
from cnitest.lab.snapshot.state import State
from cnitest.topology import loads

_ICMP = {4: "icmp", 6: "ipv6-icmp"}
_NODAD = {4: "", 6: " nodad"}
_EXPIRING = ("client: ip -6 route del default", "client: ip -6 route add default via {1.2} expires 1")


def _of_family(family: int) -> list[Broken]:
    """What is worded otherwise in each family."""
    hop_limit = {4: "net.ipv4.ip_default_ttl", 6: "net.ipv6.conf.eth1.hop_limit"}[family]
    expired = {4: "TTL expired", 6: "hop limit expired"}[family]
    return [
        Broken("routing.blackhole", (f"r1: {{ip}} rule add ipproto {_ICMP[family]} pref 7 lookup 100",
               "r1: {ip} route add blackhole default table 100"), "blackhole route", "r1",
               "route del blackhole default", (family,)),
        Broken("limits.hop-limit", (f"client: sysctl -w {hop_limit}=1",), expired, "client",
               f"sysctl -w {hop_limit}=64", (family,), probe="udp"),
        Broken("limits.hop-limit", ("server: {ip} route replace default via {3.2} hoplimit 1",), expired, "server",
               "{ip} route change default via {3.2} dev eth3", (family,), probe="tcp"),
    ]  # fmt: skip


BROKEN = [
    *_of_family(4),
    *_of_family(6),
    Broken("routing.prohibit", ("r1: {ip} rule add tos 0x10 pref 7 prohibit",), "prohibit rule", "r1",
           "{ip} rule del pref 7", options=(("tos", 0x10),)),
    Broken("routing.unreachable", ("server: {ip} rule add tos 0x10 pref 7 unreachable",), "unreachable rule", "server",
           "{ip} rule del pref 7", (4,), options=(("tos", 0x10),)),
    Broken("routing.table-not-asked", ("r1: {ip} rule del pref 32766",), "no rule to table main", "r1",
           "ip rule add pref 32766 lookup main", (4,)),
    # The kernel asks IPv6's main table without a rule as long as nobody has ever added one.
    Broken("routing.table-not-asked", ("server: ip -6 rule add pref 9 from {9.77} lookup 5",
           "server: ip -6 rule del pref 32766"), "no rule to table main", "server",
           "ip -6 rule add pref 32766 lookup main", (6,), probe="udp"),
    Broken("routing.table-not-asked", ("client: {ip} rule add pref 40000 lookup 253",
           "client: {ip} rule add pref 5 goto 40000"), "no rule to table main", "client", "{ip} rule del pref 5"),
    Broken("routing.table-not-asked", ("client: {ip} rule del pref 32766",
           "client: {ip} rule add pref 32766 lookup main suppress_prefixlength 0"), "no rule to table main", "client",
           "{ip} rule add pref 32766 lookup main", probe="tcp"),
    Broken("routing.group-route", ("client: ip route add broadcast {S} dev eth1 table local",), "broadcast route",
           "client", "ip route del broadcast {S}/32 dev eth1 table local", (4,)),
    Broken("routing.group-route", ("client: ip route add multicast {S} dev eth1",), "multicast route", "client",
           "ip route del multicast {S}/32 dev eth1 table main", (4,), probe="udp"),
    Broken("routing.no-route", ("client: ip address del {1.1}/24 dev eth1",
           "client: ip address add {1.1}/24 dev eth1 noprefixroute"), "no route", "client",
           "ip route add 10.0.1.0/24 dev eth1 && ip route add default via {1.2}", (4,)),
    Broken("routing.no-route", ("r1: {ip} route flush table main",), "no route", "r1",
           "ip route add 10.0.3.0/24 dev eth3 && ip route add {S}/32 via {3.3}", (4,),
           afterwards=("r1: ip route add 10.0.1.0/24 dev eth1",)),
    Broken("l2.elsewhere", ("client: ip route replace default via {1.2} dev eth2 onlink",), "wrong subnet", "client",
           "ip route replace default via {1.2} dev eth1 table main", (4,)),
    Broken("limits.sent-back", ("r1: ip route replace {S} via {1.1}", "client: sysctl -w net.ipv4.ip_forward=1"),
           "sent back", "r1", "ip route replace {S}/32 via {3.3}", (4,), probe="udp"),
    Broken("limits.routing-loop", ("r1: ip -6 route replace {S} via {1.1}",
           "client: sysctl -w net.ipv6.conf.all.forwarding=1"), "routing loop", "r1",
           "ip -6 route replace {S}/128 via {3.3}", (6,), probe="udp"),
    Broken("routing.rp-filter", ("server: ip route add default via {4.2} table 100",
           "server: ip rule add fwmark 5 pref 5 lookup 100",
           "server: iptables -t mangle -A PREROUTING -i eth3 -j MARK --set-mark 5",
           "server: sysctl -w net.ipv4.conf.eth3.src_valid_mark=1 net.ipv4.conf.eth3.rp_filter=1"), "rp_filter",
           "server", "sysctl -w net.ipv4.conf.eth3.rp_filter=2", (4,)),
    Broken("host.mtu-below-ipv6", ("r1: ip link set eth3 mtu 1000",), "MTU below IPv6", "r1",
           "ip link set dev eth3 mtu 1280 && ip address add {3.2}/64 dev eth3 nodad && "
           "ip -6 route replace {S}/128 via {3.3}", (6,)),
    Broken("host.mtu-below-ipv6", ("client: ip link set eth1 mtu 1200",), "MTU below IPv6", "client",
           "ip link set dev eth1 mtu 1280", (6,), probe="tcp"),
    Broken("limits.path-mtu", ("r1: sysctl -w net.ipv6.conf.eth3.mtu=1280",), "MTU", "r1",
           "sysctl -w net.ipv6.conf.eth3.mtu=1448", (6,), options=(("size", 1400), ("df", True)),
           afterwards=("client: ip -6 route flush cache",)),
    Broken("limits.own-mtu", ("client: sysctl -w net.ipv6.conf.eth1.mtu=1280",), "MTU", "client",
           "sysctl -w net.ipv6.conf.eth1.mtu=1448", (6,), options=(("size", 1400), ("df", True))),
]  # fmt: skip
CASES = [
    pytest.param(broken, family, id=f"{broken.label}-v{family}") for broken in BROKEN for family in broken.families
]


@pytest.mark.parametrize(("broken", "family"), CASES)
def test_what_was_chosen_is_shown(broken, family):
    """What decided is named, with its place and the command that would let the packet pass, which then does."""
    must_be_explained(broken, family)


def test_a_route_whose_time_is_over_is_none():
    """The kernel still lists it for a while; it is reported as expired, and can be made anew."""
    words = Words(6)
    with Lab(loads(WAYS)) as lab:
        client = lab.host("client")
        run(lab, _EXPIRING, words)
        assert client.ping(words("{S}"))
        client.run(["sh", "-ec", "while ip -6 route get 2001:db8:9::9; do :; done 2>&1 | tail -n 1"])

        reach = client.ping(words("{S}"))

        assert (reach.cause.id, reach.cause.place) == ("routing.no-route", "client"), reach.explanation
        assert any(line.endswith("has expired") for line in reach.cause.evidence) or not _expired(client.state())
        client.run(["sh", "-ec", reach.cause.remedy])
        assert client.ping(words("{S}"))


def _expired(state: State) -> list[object]:
    """The routes of a place that are over."""
    return [row for row in state.routes if "expired" in row.state]


def test_rules_of_multicast_routing_are_none_of_ip():
    """The kernel hands them out with the others: a place has three rules of IPv4 and two of IPv6, as ip(8) says."""
    with Lab(loads(WAYS)) as lab:
        client = lab.host("client")

        printed = [client.run(["ip", f"-{family}", "rule"]).stdout.splitlines() for family in (4, 6)]

        assert [sum(rule.family == family for rule in client.rules) for family in (4, 6)] == [*map(len, printed)]
