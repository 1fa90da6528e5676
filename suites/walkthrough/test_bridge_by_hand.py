"""Two namespaces behind a bridge that was made by hand: FORWARD, ARP and MASQUERADE."""

from __future__ import annotations

import pytest

from cnitest import difference

pytestmark = [
    pytest.mark.topology("bridge-walkthrough"),
    pytest.mark.requires(kernel=["br_netfilter", "conntrack"], binary=["iptables"]),
]

NS01, NS02, GATEWAY, INTERNET = "10.40.80.11", "10.40.80.12", "10.40.80.1", "8.8.8.8"
UPLINK = "192.168.80.100"


@pytest.fixture
def node(lab):
    """The host with the bridge, whose bridged packets pass iptables."""
    host = lab.host("node")
    host.sysctl("net.bridge.bridge-nf-call-iptables", 1)
    host.sysctl("net.bridge.bridge-nf-call-ip6tables", 1)
    return host


def test_namespaces_on_one_bridge_reach_each_other(lab, node):
    """Nothing is broken to begin with: echo, TCP and UDP pass between ns01 and ns02 in both directions."""
    ns01, ns02 = lab.sandbox("ns01"), lab.sandbox("ns02")

    assert ns01.ping(NS02)
    assert ns02.ping(NS01)
    assert ns01.tcp(NS02, 8080).source_seen == NS01
    assert ns02.udp(NS01, 5353).source_seen == NS02


def test_forward_policy_drop_cuts_bridged_traffic(lab, node):
    """With br_netfilter on, policy DROP loses every echo: the bridge sees the requests and no reply."""
    node.load_rules("iptables", "-P FORWARD DROP")
    with node.capture("br01") as bridge:
        reach = lab.sandbox("ns01").ping(NS02)

    assert not reach
    assert reach.dropped_by == "ip filter FORWARD policy"
    assert reach.cause.place == "node"
    assert bridge.matching("ICMP", type="echo-request")
    assert not bridge.matching("ICMP", type="echo-reply")


@pytest.mark.parametrize(
    "rules",
    [["-P FORWARD ACCEPT"], ["-P FORWARD DROP", "-A FORWARD -i br01 -j ACCEPT"]],
    ids=["policy ACCEPT", "a rule for the bridge"],
)
def test_forward_lets_bridged_traffic_pass_again(lab, node, rules):
    """After policy DROP either the policy or one rule for the bridge brings the echoes back."""
    node.load_rules("iptables", "-P FORWARD DROP")
    cut = lab.sandbox("ns01").ping(NS02)
    node.load_rules("iptables", *rules)

    assert not cut
    assert lab.sandbox("ns01").ping(NS02)


def test_without_br_netfilter_the_policy_does_not_touch_the_bridge(lab, node):
    """With bridge-nf-call-iptables=0 a DROP policy leaves bridged traffic alone, though not routed traffic."""
    node.sysctl("net.bridge.bridge-nf-call-iptables", 0)
    node.load_rules("iptables", "-P FORWARD DROP")
    routed = lab.sandbox("ns01").ping("192.168.80.2")

    assert lab.sandbox("ns01").ping(NS02)
    assert not routed
    assert routed.dropped_by == "ip filter FORWARD policy"


def test_ipv6_forward_policy_is_a_policy_of_its_own(lab, node):
    """The IPv4 policy does not touch IPv6 on the bridge; the one of ip6tables does."""
    ns01, ns02 = lab.sandbox("ns01"), lab.sandbox("ns02")
    address = next(a.ip for a in ns02.addresses if ":" in a.ip and a.scope == "global")
    node.load_rules("iptables", "-P FORWARD DROP")
    before = ns01.ping(address)
    node.load_rules(
        "ip6tables",
        "-P FORWARD DROP",
        "-A FORWARD -p icmpv6 --icmpv6-type neighbour-solicitation -j ACCEPT",
        "-A FORWARD -p icmpv6 --icmpv6-type neighbour-advertisement -j ACCEPT",
    )
    cut = ns01.ping(address)

    assert before
    assert not cut
    assert cut.dropped_by == "ip6 filter FORWARD policy"


def test_arp_table_holds_the_macs_that_the_links_have(lab, node):
    """After pinging both, ns01 knows the gateway and ns02 by the MACs of br01 and eth02."""
    ns01, ns02 = lab.sandbox("ns01"), lab.sandbox("ns02")

    assert ns01.ping(GATEWAY)
    assert ns01.ping(NS02)
    table = {neighbour.ip: neighbour.mac for neighbour in ns01.neighbours}
    assert table[GATEWAY] == node.link("br01").mac
    assert table[NS02] == ns02.link("eth02").mac


def test_the_internet_answers_only_the_masqueraded(lab, node):
    """Requests with a private source leave and are never answered; MASQUERADE hides it, and then they are."""
    ns01 = lab.sandbox("ns01")
    with node.capture("ens33") as uplink:
        lost = ns01.ping(INTERNET)
    node.load_rules("iptables", "-t nat -A POSTROUTING -s 10.40.80.0/24 -j MASQUERADE")
    reach = ns01.ping(INTERNET)

    assert not lost
    assert uplink.matching("ICMP", type="echo-request")
    assert not uplink.matching("ICMP", type="echo-reply")
    assert reach
    assert reach.source_seen == UPLINK
    assert ns01.tcp(INTERNET, 443).source_seen == UPLINK
    assert ns01.udp(INTERNET, 53).source_seen == UPLINK


def test_taking_the_rules_back_leaves_no_rule(lab, node):
    """After clean-up the firewall is as it was: no rule, and no policy but ACCEPT."""
    node.load_rules("iptables", "-P FORWARD ACCEPT", "-t nat -P POSTROUTING ACCEPT")
    before = node.state()
    node.load_rules("iptables", "-P FORWARD DROP", "-t nat -A POSTROUTING -s 10.40.80.0/24 -j MASQUERADE")
    changed = [str(item) for item in difference(before, node.state())]
    node.load_rules("iptables", "-P FORWARD ACCEPT", "-t nat -D POSTROUTING -s 10.40.80.0/24 -j MASQUERADE")

    assert any("MASQUERADE" in line for line in changed)
    assert difference(before, node.state()) == ()
