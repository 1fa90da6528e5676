"""Probes to multicast groups and broadcast addresses: who got it, who answered, and whose answer does not count."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest import walkthrough

from cnitest import Lab, ProbeUnproven, Verdict
from cnitest.errors import UsageError
from cnitest.topology import find, load

GROUPS = ["239.1.2.3", "224.0.0.251", "ff02::fb%eth01", "ff05::1:3%eth01"]
# Joins a group on eth02 and stays.
JOIN = """
import socket, sys, threading
group, link = sys.argv[1], socket.if_nametoindex('eth02').to_bytes(4, sys.byteorder)
six = ':' in group
s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
packed = socket.inet_pton(s.family, group)
if six:
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, packed + link)
else:
    s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, packed + bytes(4) + link)
print('joined', flush=True)
threading.Event().wait()
"""
BROADCASTS = ["10.40.80.255", "255.255.255.255", "255.255.255.255%eth01"]

lab, ns01 = walkthrough.lab, walkthrough.ns01


def test_all_nodes_answer_and_are_listed(ns01):
    """Everyone on the link answers ff02::1; the sender's own answer is none."""
    reach = ns01.ping("ff02::1%eth01")

    assert reach
    assert set(reach.receivers) == {"node", "node/ns02"}
    assert reach.answered_by not in [address.ip for address in ns01.addresses]
    assert not any(":lo " in hop for hop in reach.path)


def test_the_only_link_need_not_be_named(lab):
    """A group is on each link; where a place has several, the link must be named, and the error lists them."""
    assert lab.sandbox("ns01").ping("ff02::1")
    with pytest.raises(UsageError, match="name the link, one of .*ff02::1%br01"):
        lab.host("node").ping("ff02::1")


def test_the_senders_own_answer_does_not_count(lab, ns01):
    """With all other links down only the sender answers itself: dropped, and the reason says who answered."""
    for link in ("br01", "veth02"):
        lab.host("node").run(["ip", "link", "set", link, "down"])
    reach = ns01.ping("ff02::1%eth01")

    assert reach.verdict is Verdict.DROPPED
    assert reach.answered_by is None
    assert reach.receivers == ()
    assert "only node/ns01 itself answered" in reach.reason


@pytest.mark.parametrize("address", ["224.0.0.1", "10.40.80.255", "255.255.255.255"])
def test_an_ipv4_group_is_answered_where_the_sysctl_says_so(lab, ns01, address):
    """Linux ignores echo requests to IPv4 groups, which the reason says, until a sysctl makes a place answer."""
    silent = ns01.ping(address)

    assert not silent
    assert "net.ipv4.icmp_echo_ignore_broadcasts = 1" in silent.reason

    lab.sandbox("ns02").sysctl("net.ipv4.icmp_echo_ignore_broadcasts", 0)
    answered = ns01.ping(address)

    assert answered.receivers == ("node/ns02",)
    assert answered.answered_by == "10.40.80.12"


@pytest.mark.parametrize("address", [*GROUPS, *BROADCASTS])
def test_every_listener_gets_a_datagram_to_all(lab, ns01, address):
    """Listeners join by themselves, over either family, and are listed."""
    reach = ns01.udp(address, 5353, listener=[lab.sandbox("ns02"), lab.host("node")])

    assert reach, reach.story()
    assert set(reach.receivers) == {"node", "node/ns02"}
    assert reach.source_seen in [address.ip for address in ns01.addresses]


@pytest.mark.parametrize("address", GROUPS)
def test_who_does_not_join_gets_nothing(lab, ns01, address):
    """A listener that did not join does not get the datagram, and the reason says so."""
    reach = ns01.udp(address, 5353, listener=lab.sandbox("ns02"), join=False)

    assert reach.verdict is Verdict.DROPPED
    assert f"node/ns02 did not join {address.partition('%')[0]}" in reach.reason
    assert reach.receivers == ()


@pytest.mark.parametrize("address", [*GROUPS, *BROADCASTS])
def test_a_firewall_on_the_way_is_a_drop(lab, ns01, address):
    """A datagram that the listener's own firewall takes is dropped, last seen where it came in."""
    for program in ("iptables", "ip6tables"):
        lab.sandbox("ns02").load_rules(program, "-A INPUT -p udp -j DROP")
    reach = ns01.udp(address, 5353, listener=lab.sandbox("ns02"))

    assert reach.verdict is Verdict.DROPPED
    assert reach.path[-1] == "node/ns02:eth02 in"


def test_some_but_not_all_is_neither(lab, ns01):
    """When one of two listeners gets it the probe is neither delivered nor dropped, and both can be read off."""
    lab.sandbox("ns02").load_rules("iptables", "-A INPUT -p udp -j DROP")
    reach = ns01.udp("239.1.2.3", 5353, listener=[lab.sandbox("ns02"), lab.host("node")])

    assert reach.receivers == ("node",)
    with pytest.raises(ProbeUnproven, match="node received and answered it, but not node/ns02"):
        bool(reach)


@pytest.mark.parametrize("address", ["239.1.2.3", "ff05::1:3%eth01"])
def test_members_listen_without_being_named(lab, ns01, address):
    """Without a listener those listen who are members; when nobody is, the reason says so."""
    bare = address.partition("%")[0]
    assert f"no other place is a member of {bare}" in ns01.udp(address, 5353).reason

    ns02 = lab.sandbox("ns02")
    ns02.run(["sh", "-c", f'mkfifo /run/out; setsid python3 -c "{JOIN}" {bare} >/run/out 2>&1 & head -n1 /run/out'])

    assert ns01.udp(address, 5353).receivers == ("node/ns02",)


def test_a_connection_has_one_other_end(lab, ns01):
    """TCP to a group, or several listeners of an ordinary address, are errors that say what to use."""
    with pytest.raises(UsageError, match=r"239\.1\.2\.3 is a group: .* udp\(\) and ping\(\) go to many"):
        ns01.tcp("239.1.2.3", 80)
    with pytest.raises(UsageError, match="one listener, not 2"):
        ns01.udp("10.40.80.12", 53, listener=[lab.sandbox("ns02"), lab.host("node")])


def test_a_blind_lab_proves_nothing():
    """In a blind lab a group neither got it nor did not."""
    with Lab(load(find("bridge-walkthrough")), blind=True) as lab:
        ns01, ns02 = lab.sandbox("ns01"), lab.sandbox("ns02")

        for reach in (ns01.ping("ff02::1%eth01"), ns01.udp("239.1.2.3", 53, listener=ns02)):
            assert reach.verdict is Verdict.UNPROVEN
