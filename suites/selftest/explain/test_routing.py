"""Causes in the routing decision: each breaks a working topology in one way, found with place and remedy."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.ways import WAYS, Broken, Words, must_be_explained, run

from cnitest import Lab
from cnitest.explain.causes import registry
from cnitest.topology import loads

_DEFAULT = "{ip} route del default"
_BY_R2 = "server: {ip} route replace default via {4.2}"


def _refusing(kind: str) -> list[Broken]:
    cause, route, rule = f"routing.{kind}", f"{kind} route", f"{kind} rule"
    add = f"{{ip}} route add {kind}"
    delete = f"route del {kind}"
    return [
        Broken(cause, (f"client: {add} {{S}}",), route, "client", f"{delete} {{S}}/{{128}}"),
        Broken(cause, (f"r1: {add} {{S}} metric 0",), route, "r1", f"{delete} {{S}}/{{128}}", (4,), _LATER),
        Broken(cause, (f"server: {add} {{1.0}}/{{64}}",), route, "server", f"{delete} {{1.0}}/{{64}}"),
        Broken(cause, (f"r1: {add} {{1.1}}",), route, "r1", f"{delete} {{1.1}}", probe="tcp"),
        Broken(cause, (f"r1: {{ip}} rule add to {{S}} pref 7 {kind}",), rule, "r1", "{ip} rule del pref 7"),
        Broken(cause, (f"server: {{ip}} rule add from {{S}} pref 7 {kind}",), rule, "server", "{ip} rule del pref 7"),
        Broken(
            cause,
            (f"client: {add} default table 5", "client: {ip} rule add to {S} pref 9 lookup 5"),
            route,
            "client",
            f"{delete} default",
            probe="udp",
        ),
    ]


# The route to the server with a metric, so that another can be preferred.
_LATER = ("r1: {ip} route del {S}", "r1: {ip} route add {S} via {3.3} metric 50")
_THERE = "src {1.1}/{128} dst {S}/{128}"
_BACK = "server: {ip} xfrm policy add src {S} dst {1.1}"
IPSEC = [
    *(
        Broken(
            "routing.ipsec-policy", (f"{place}: {{ip}} xfrm policy add {_THERE} dir {way} action block",),
            f"IPsec policy {way}", place, f"ip xfrm policy delete {_THERE} dir {way}", probe=probe,
        )
        for place, way, probe in (
            ("client", "out", "ping"), ("r1", "fwd", "udp"), ("r1", "out", "ping"), ("server", "in", "tcp"),
        )
    ),
    Broken("routing.ipsec-policy", (f"{_BACK} dir out priority 9",
           f"{_BACK} proto tcp sport 4711 dir out action block priority 3"), "IPsec policy out", "server",
           "ip xfrm policy delete index ", probe="tcp"),
    Broken("routing.ipsec-policy", (f"server: {{ip}} xfrm policy add {_THERE} dir in tmpl proto esp mode transport",),
           "IPsec policy in", "server", f"ip xfrm policy delete {_THERE} dir in"),
    # A policy for the packets of an xfrm link alone is none of others.
    *(
        Broken(
            "host.echo-ignored",
            (f"server: {{ip}} xfrm policy add {_THERE} dir in if_id 7 action block", f"server: sysctl -w {name}=1"),
            "echo ignored", "server", f"sysctl -w {name}=0", (family,),
        )
        for family, name in ((4, "net.ipv4.icmp_echo_ignore_all"), (6, "net.ipv6.icmp.echo_ignore_all"))
    ),
]  # fmt: skip

BROKEN = [
    *(each for kind in ("blackhole", "unreachable", "prohibit") for each in _refusing(kind)),
    Broken("routing.blackhole", ("r1: {ip} nexthop add id 5 blackhole", "r1: {ip} route add {S} nhid 5 metric 1"),
           "blackhole route", "r1", "{S}/{128} nhid 5", (4, 6), _LATER),
    Broken("routing.throw", ("r1: {ip} route add throw {S} metric 1",), "throw route", "r1",
           "route del throw {S}/{128}", (4, 6), _LATER),
    Broken("routing.throw", ("client: {ip} route add throw {S}",), "throw route", "client",
           "route del throw {S}/{128}"),
    Broken("routing.no-route", (f"client: {_DEFAULT}",), "no route", "client", "{ip} route add default via {1.2}"),
    Broken("routing.no-route", ("r1: {ip} route del {S}",), "no route", "r1", "{ip} route add {S}/{128} via {3.3}"),
    Broken("routing.no-route", ("r1: {ip} route del {S}",), "no route", "r1", "route add {S}", probe="tcp"),
    Broken("routing.no-route", ("r1: {ip} route del {S}",), "no route", "r1", "route add {S}", probe="udp"),
    Broken("routing.no-return-route", (f"server: {_DEFAULT}",), "no route back", "server",
           "{ip} route add default via {3.2}"),
    Broken("routing.no-return-route", (f"server: {_DEFAULT}",), "no route back", "server", "default", probe="tcp"),
    Broken("routing.no-return-route", (f"server: {_DEFAULT}",), "no route back", "server", "default", probe="udp"),
    Broken("routing.no-return-route", (_BY_R2, "r2: {ip} route del {1.0}/{64}"), "no route back", "r2",
           "{ip} route add {1.0}/{64} via {2.1}"),
    Broken("routing.source-not-ours", (), "source address not ours", "client", "ip address add {7.77} dev …",
           options=(("source", "{7.77}"),), works_first=False),
    Broken("routing.source-not-ours", (), "source address not ours", "client", "ip address add {7.77} dev …",
           probe="tcp", options=(("source", "{7.77}"),), works_first=False),
    Broken("routing.forwarding-off", ("r1: sysctl -w net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0",),
           "forwarding off", "r1", "sysctl -w net.ipv4.ip_forward=1", (4,)),
    Broken("routing.forwarding-off", ("r1: sysctl -w net.ipv6.conf.all.forwarding=0",), "forwarding off", "r1",
           "sysctl -w net.ipv6.conf.all.forwarding=1", (6,)),
    Broken("routing.forwarding-off", ("r1: sysctl -w net.ipv4.conf.eth1.forwarding=0",), "forwarding off", "r1",
           "sysctl -w net.ipv4.conf.eth1.forwarding=1", (4,)),
    Broken("routing.forwarding-off", ("r1: sysctl -w net.ipv4.conf.eth3.forwarding=0",), "forwarding off", "r1",
           "sysctl -w net.ipv4.conf.eth3.forwarding=1", (4,), probe="tcp"),
    Broken("routing.forwarding-off", (_BY_R2, "r2: sysctl -w net.{v}.conf.all.forwarding=0"), "forwarding off", "r2",
           "=1", probe="udp"),
    Broken("routing.rp-filter", ("client: sysctl -w net.ipv4.conf.eth2.rp_filter=1",), "rp_filter", "client",
           "sysctl -w net.ipv4.conf.eth2.rp_filter=2", (4,), (_BY_R2,)),
    Broken("routing.rp-filter", ("client: sysctl -w net.ipv4.conf.all.rp_filter=1",), "rp_filter", "client",
           "sysctl -w net.ipv4.conf.eth2.rp_filter=2", (4,), (_BY_R2,), probe="tcp"),
    Broken("routing.rp-filter", ("server: sysctl -w net.ipv4.conf.eth4.rp_filter=1",
           "client: ip route replace default via 10.0.2.2 src 10.0.1.1"), "rp_filter", "server",
           "sysctl -w net.ipv4.conf.eth4.rp_filter=2", (4,), probe="udp"),
    Broken("routing.rp-filter-loose", ("server: ip route del default", "server: ip route add 10.0.4.0/30 dev lo",
           "server: sysctl -w net.ipv4.conf.eth3.rp_filter=2"), "rp_filter loose", "server",
           "ip route add default via 10.0.3.2", (4,)),
    Broken("routing.martian-source", ("server: ip address add 10.0.1.1/32 dev lo",), "martian source", "server",
           "ip address del 10.0.1.1/32 dev lo", (4,)),
    Broken("routing.martian-source", ("server: ip address add 10.0.1.1/32 dev eth4",), "martian source", "server",
           "ip address del 10.0.1.1/32 dev eth4", (4,), probe="tcp"),
    Broken("routing.duplicate-address", ("r1: ip address add {1.1}/128 dev lo nodad",), "duplicate address", "r1",
           "ip address del {1.1}/128 dev lo", (6,)),
    Broken("routing.duplicate-address", ("server: ip address add {1.1}/128 dev lo nodad",), "duplicate address",
           "server", "ip address del {1.1}/128 dev lo", (6,), probe="udp"),
    Broken("routing.localnet", ("r1: sysctl -w net.ipv4.conf.eth1.route_localnet=0",), "route_localnet off", "r1",
           "sysctl -w net.ipv4.conf.eth1.route_localnet=1", (4,),
           ("client: sysctl -w net.ipv4.conf.all.route_localnet=1", "client: bash -c 'echo > /dev/udp/{1.2}/9'"),
           options=(("source", "127.0.0.1"),), works_first=False, runs_remedy=False),
    Broken("l2.arp-martian", ("client: sysctl -w net.ipv4.conf.all.route_localnet=1",), "martian source of ARP",
           "client", "iptables -t nat -I POSTROUTING -s 127.0.0.1 -o eth1 -j MASQUERADE", (4,),
           options=(("source", "127.0.0.1"),), works_first=False),
    Broken("routing.localnet", ("server: iptables -t nat -A PREROUTING -p tcp -j DNAT --to-destination 127.0.0.1",),
           "route_localnet off", "server", "sysctl -w net.ipv4.conf.eth3.route_localnet=1", (4,), probe="tcp"),
    Broken("routing.localnet",
           ("server: nft 'table ip n { chain c { type nat hook prerouting priority -100; "
            "icmp type echo-request dnat to 127.0.0.1; }; }'",),
           "route_localnet off", "server", "sysctl -w net.ipv4.conf.eth3.route_localnet=1", (4,)),
    Broken("routing.link-local",
           ("client: ip6tables -t nat -A POSTROUTING -p ipv6-icmp --icmpv6-type 128 -j SNAT --to-source fe80::9",
            "r1: ip -6 neighbour replace fe80::9 lladdr 02:00:00:00:00:09 dev eth1"), "link-local address", "r1",
           "send from and to a global address", (6,), runs_remedy=False),
    *IPSEC,
    Broken("routing.nexthop-dead", ("r1: ip link set eth1 down",), "next hop dead", "client",
           "bring up the other end of eth1", (4,),
           tuple(f"client: sysctl -w net.ipv4.conf.{link}.ignore_routes_with_linkdown=1" for link in ("all", "eth1")),
           runs_remedy=False),
    Broken("routing.rule-table", ("client: {ip} route add default via {2.77} table 100",
           "client: {ip} rule add to {S} pref 8 lookup 100"), "rule to table 100", "client", "{ip} rule del pref 8"),
    Broken("routing.rule-table", ("server: {ip} route add default via {4.77} table 100",
           "server: {ip} rule add from {S} pref 8 lookup 100"), "rule to table 100", "server", "{ip} rule del pref 8",
           probe="tcp"),
    Broken("routing.rule-table", ("client: {ip} route add default via {2.77} table 100",
           "client: {ip} rule add fwmark 9 pref 8 lookup 100"), "rule to table 100", "client", "{ip} rule del pref 8",
           options=(("mark", 9),)),
    # The table leads by a link on which nobody has the destination, though it is not far.
    Broken("routing.rule-table", ("r1: ip link add lan type bridge", "r1: {ip} address add {7.1}/{64} dev lan nodad",
           "r1: ip link add v1 type veth peer name v2", "r1: ip link set v1 master lan up", "r1: ip link set v2 up",
           "r1: ip link set lan up", "r1: {ip} route add default dev lan table 52",
           "r1: {ip} rule add not fwmark 0x80000/0xff0000 pref 8 lookup 52"), "rule to table 52", "r1",
           "{ip} rule del pref 8"),
    Broken("routing.preferred-route", ("r1: {ip} route add {S} via {3.77} metric 5",), "preferred route", "r1",
           "{ip} route del {S}/{128} via {3.77} dev eth3", (4, 6), _LATER),
    Broken("routing.preferred-route", ("client: {ip} route add {9.0}/{64} via {1.77}",), "preferred route", "client",
           "{ip} route del {9.0}/{64} via {1.77} dev eth1", probe="udp"),
    Broken("routing.no-such-gateway", ("client: {ip} route replace default via {1.77}",), "no such gateway", "client",
           "{ip} route replace default via {1.2}"),
    Broken("routing.no-such-gateway", ("server: {ip} route replace default via {4.77}",), "no such gateway", "server",
           "{ip} route replace default via {3.2}", probe="udp"),
]  # fmt: skip
CASES = [
    pytest.param(broken, family, id=f"{broken.label}-v{family}") for broken in BROKEN for family in broken.families
]


@pytest.mark.parametrize(("broken", "family"), CASES)
def test_a_routing_cause_is_reported(broken, family):
    """What decided is named, with its place and the command that would let the packet pass, which then does."""
    must_be_explained(broken, family)


@pytest.mark.parametrize("family", [4, 6])
def test_a_rule_that_sent_it_elsewhere_is_evidence(family):
    """Where a packet ends far from the rule that sent it there, the rule and its table are named beside the cause."""
    words = Words(family)
    with Lab(loads(WAYS)) as lab:
        run(lab, ("client: {ip} route add default via {2.2} table 100",), words)
        run(lab, ("client: {ip} rule add to {S} pref 8 lookup 100", "r2: {ip} route del {S}"), words)

        reach = lab.host("client").ping(words("{S}"), wait=0.2)

        assert (reach.dropped_by, reach.cause.place) == ("no route", "r2")
        assert any(
            "client has sent it by rule 8: from all to" in each and "table 100" in each
            for each in reach.explanation.evidence
        ), reach.explanation


@pytest.mark.parametrize("family", [4, 6])
def test_a_reply_by_another_link_is_evidence(family):
    """A reply that does not leave by the link that the request came in by is reported, wherever it ends."""
    words = Words(family)
    with Lab(loads(WAYS)) as lab:
        run(lab, ("server: {ip} route replace default via {4.2}", "r2: {ip} route del {1.0}/{64}"), words)

        reach = lab.host("client").ping(words("{S}"), wait=0.2)

        assert (reach.dropped_by, reach.cause.place) == ("no route back", "r2")
        assert reach.explanation.evidence == ("the request came to server by eth3, and the reply goes by eth4",)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("known", [True, False])
def test_a_reply_that_ends_on_another_way_is_reported(monkeypatch, known, family):
    """A reply that ends at a place that the request did not pass is said to where nobody knows the reason."""
    words = Words(family)
    if not known:
        others = {key: value for key, value in registry.causes().items() if key != "firewall.policy"}
        monkeypatch.setattr(registry, "causes", lambda: others)
    with Lab(loads(WAYS)) as lab:
        run(lab, ("server: {ip} route replace default via {4.2}",), words)
        assert lab.host("client").ping(words("{S}"))
        run(lab, ("r2: {t} -P FORWARD DROP",), words)

        reach = lab.host("client").ping(words("{S}"), wait=0.2)

        another = "the request came to server by eth3, and the reply goes by eth4"
        assert another in str(reach.explanation)
        if known:
            assert reach.cause.id == "firewall.policy", reach.explanation
        else:
            assert (reach.cause.id, reach.dropped_by) == ("routing.reply-other-way", "reply by another way")
            assert (reach.cause.place, reach.cause.hook) == ("r2", "routing")
            assert reach.cause.remedy == f"have the reply leave by the link that the request came in by: {another}"
