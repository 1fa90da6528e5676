"""Each field of routes, next hops and policy rules that ip(8) sets is in the state."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.fields import changes, differences, run

from cnitest import difference
from cnitest.topology import Host, Topology

pytestmark = pytest.mark.topology(Topology(name="one", hosts={"node": Host()}))

ROUTES = changes(
    """ip link set lo up
       ip link add br0 type bridge
       ip link set br0 up
       ip address add 10.0.0.1/24 dev br0
       ip address add 2001:db8::1/64 dev br0 nodad
       ip route add 10.9.0.0/16 via 10.0.0.2""",
    ("ip route replace 10.9.0.0/16 via 10.0.0.3", "+ routes 10.9.0.0/16 via 10.0.0.3 dev br0 table main"),
    ("ip route replace 10.9.0.0/16 via 10.0.0.2 onlink dev br0", "flags= -> flags=onlink"),
    ("ip route add 10.9.0.0/16 tos 0x10 via 10.0.0.2", "tos 0x10 table main"),
    ("ip route change 10.9.0.0/16 via 10.0.0.2 mtu 1400", "mtu=0 -> mtu=1400"),
    ("ip route change 10.9.0.0/16 via 10.0.0.2 mtu lock 1400", "lock=mtu"),
    ("ip route change 10.9.0.0/16 via 10.0.0.2 advmss 1360", "advmss=1360"),
    ("ip route change 10.9.0.0/16 via 10.0.0.2 initcwnd 40", "initcwnd=40"),
    ("ip route change 10.9.0.0/16 via 10.0.0.2 initrwnd 41", "initrwnd=41"),
    ("ip route change 10.9.0.0/16 via 10.0.0.2 window 4096", "window=4096"),
    ("ip route change 10.9.0.0/16 via 10.0.0.2 rtt 50ms", "rtt=400"),
    ("ip route change 10.9.0.0/16 via 10.0.0.2 rttvar 50ms", "rttvar=200"),
    ("ip route change 10.9.0.0/16 via 10.0.0.2 ssthresh 9", "ssthresh=9"),
    ("ip route change 10.9.0.0/16 via 10.0.0.2 cwnd 9", "cwnd=9"),
    ("ip route change 10.9.0.0/16 via 10.0.0.2 reordering 9", "reordering=9"),
    ("ip route change 10.9.0.0/16 via 10.0.0.2 hoplimit 9", "hoplimit=9"),
    ("ip route change 10.9.0.0/16 via 10.0.0.2 features ecn", "features=0x1"),
    ("ip route change 10.9.0.0/16 via 10.0.0.2 rto_min 50ms", "rto_min=50"),
    ("ip route change 10.9.0.0/16 via 10.0.0.2 quickack 1", "quickack=1"),
    ("ip route change 10.9.0.0/16 via 10.0.0.2 congctl reno", "congctl=reno"),
    ("ip route change 10.9.0.0/16 via 10.0.0.2 fastopen_no_cookie 1", "fastopen_no_cookie=1"),
    ("ip route change 10.9.0.0/16 via 10.0.0.2 src 10.0.0.1", "source=10.0.0.1"),
    ("ip route change 10.9.0.0/16 via 10.0.0.2 proto bgp", "protocol=boot -> protocol=bgp"),
    ("ip route change 10.9.0.0/16 via 10.0.0.2 realm 7", "realm=7"),
    ("ip route add 10.9.0.0/16 via 10.0.0.2 metric 7", "+ routes 10.9.0.0/16 via 10.0.0.2 dev br0 table main metric 7"),
    ("ip route add 10.9.0.0/16 via 10.0.0.2 table 700", "+ routes 10.9.0.0/16 via 10.0.0.2 dev br0 table 700"),
    ("ip route add 10.7.0.0/16 via 10.0.0.2 table local", "+ routes 10.7.0.0/16 via 10.0.0.2 dev br0 table local"),
    ("ip route add 10.7.0.0/16 via 10.0.0.2 table default", "dev br0 table default"),
    ("ip route add 10.7.0.0/16 dev br0 scope host", "scope=host"),
    ("ip route add blackhole 10.9.9.0/24", "+ routes blackhole 10.9.9.0/24 table main"),
    ("ip route add unreachable 10.9.9.0/24", "+ routes unreachable 10.9.9.0/24 table main"),
    ("ip route add prohibit 10.9.9.0/24", "+ routes prohibit 10.9.9.0/24 table main"),
    ("ip route add throw 10.9.9.0/24 table 7", "+ routes throw 10.9.9.0/24 table 7"),
    ("ip route add local 10.7.0.0/16 dev lo table 100", "+ routes local 10.7.0.0/16 dev lo table 100"),
    ("ip route add 10.7.0.0/16 via inet6 2001:db8::2 dev br0", "+ routes 10.7.0.0/16 via inet6 2001:db8::2 dev br0"),
    ("ip route add 10.7.0.0/16 via 192.0.2.9 dev br0 onlink", "flags=onlink"),
    ("ip route add 10.7.0.0/16 encap ip id 5 dst 192.0.2.1 dev br0", "encap=ip dst 192.0.2.1 flags 0x0 id 5"),
    ("ip -6 route add 2001:db8:1::/64 from 2001:db8:2::/64 dev br0", "2001:db8:1::/64 from 2001:db8:2::/64 dev br0"),
    ("ip -6 route add 2001:db8:1::/64 dev br0 pref high", "pref=high"),
    ("ip -6 route add 2001:db8:1::/64 dev br0 expires 100", "2001:db8:1::/64 dev br0 table main metric 1024"),
    ("ip -6 route add 2001:db8:1::/64 dev br0 advmss 1300", "advmss=1300"),
    ("ip -6 route add 2001:db8:1::/64 encap ip6 id 5 dst 2001:db8::9 dev br0", "encap=ip6 dst 2001:db8::9"),
)
SEVERAL_HOPS = changes(
    """ip link add br0 type bridge
       ip link set br0 up
       ip address add 10.0.0.1/24 dev br0
       ip address add 2001:db8::1/64 dev br0 nodad
       ip -6 route add 2001:db8:9::/48 nexthop via 2001:db8::2 weight 1 nexthop via 2001:db8::3 weight 1
       ip route add 10.9.0.0/16 nexthop via 10.0.0.2 weight 1 nexthop via 10.0.0.3 weight 1""",
    (
        "ip route change 10.9.0.0/16 nexthop via 10.0.0.2 weight 1 nexthop via 10.0.0.3 weight 9",
        "-> hops=via 10.0.0.2 dev br0 weight 1,via 10.0.0.3 dev br0 weight 9",
    ),
    (
        "ip route change 10.9.0.0/16 nexthop via 10.0.0.2 weight 1 nexthop via 10.0.0.4 dev br0 onlink",
        "via 10.0.0.4 dev br0 weight 1 onlink",
    ),
    (
        "ip -6 route change 2001:db8:9::/48 nexthop via 2001:db8::2 weight 1 nexthop via 2001:db8::3 weight 9",
        "via 2001:db8::3 dev br0 weight 9",
    ),
)
NEXTHOPS = changes(
    """ip link add br0 type bridge
       ip link set br0 up
       ip address add 10.0.0.1/24 dev br0
       ip link set lo up
       ip nexthop add id 5 via 10.0.0.2 dev br0
       ip nexthop add id 6 via 10.0.0.3 dev br0
       ip nexthop add id 7 group 5
       ip route add 10.9.0.0/16 nhid 5""",
    ("ip nexthop add id 8 via 10.0.0.4 dev br0", "+ nexthops id 8: family=4 via=10.0.0.4 link=br0"),
    ("ip nexthop replace id 5 via 10.0.0.9 dev br0", "~ nexthops id 5: via=10.0.0.2 -> via=10.0.0.9"),
    ("ip nexthop replace id 5 via 10.0.0.2 dev br0 onlink", "flags=onlink"),
    ("ip nexthop replace id 5 via 10.0.0.2 dev br0 proto bgp", "protocol=bgp"),
    ("ip nexthop replace id 7 group 5,9/6", "~ nexthops id 7: group=5 -> group=5,9,6"),
    ("ip nexthop add id 8 group 5/6 type resilient buckets 32", "kind=resilient"),
    ("ip -6 nexthop add id 8 blackhole", "flags=blackhole"),
    ("ip nexthop add id 8 via 10.0.0.4 fdb", "flags=fdb"),
    ("ip nexthop add id 8 encap ip id 5 dst 192.0.2.1 dev br0", "encap=ip dst 192.0.2.1"),
    ("ip nexthop del id 6", "- nexthops id 6"),
    ("ip route add 10.8.0.0/16 nhid 7", "+ routes 10.8.0.0/16 via 10.0.0.2 dev br0 nhid 7 table main"),
)
RULES = changes(
    "ip rule add fwmark 0x80/0x80 lookup 100 priority 1024",
    *(
        (f"ip rule add {selector} lookup 100 priority 1024", f"+ rules IPv4 1024: {words} lookup 100")
        for selector, words in (
            ("fwmark 0x80/0xff", "from all fwmark 0x80/0xff"),
            ("fwmark 0x80", "from all fwmark 0x80"),
            ("fwmark 0/0xff", "from all fwmark 0x0/0xff"),
            ("not fwmark 0x81", "not from all fwmark 0x81"),
            ("from 192.0.2.0/24", "from 192.0.2.0/24"),
            ("to 192.0.2.1", "from all to 192.0.2.1"),
            ("tos 0x10", "from all tos 0x10"),
            ("iif lo", "from all iif lo"),
            ("oif lo", "from all oif lo"),
            ("uidrange 1337-1337", "from all uidrange 1337-1337"),
            ("ipproto tcp", "from all ipproto tcp"),
            ("sport 80", "from all sport 80"),
            ("dport 80-90", "from all dport 80-90"),
            ("tun_id 5", "from all tun_id 5"),
        )
    ),
    *(
        (
            f"ip rule add fwmark 0x80/0x80 {action} priority 1024",
            f"+ rules IPv4 1024: from all fwmark 0x80/0x80 {words}",
        )
        for action, words in (
            ("lookup main", "lookup main"),
            ("lookup 253", "lookup default"),
            ("blackhole", "blackhole"),
            ("unreachable", "unreachable"),
            ("prohibit", "prohibit"),
            ("goto 32766", "goto 32766"),
            ("lookup 100 suppress_prefixlength 0", "lookup 100 suppress_prefixlength 0"),
            ("lookup 100 suppress_ifgroup 5", "lookup 100 suppress_ifgroup 5"),
            ("lookup 100 realms 5/6", "lookup 100 realms 5/6"),
            ("lookup 100 protocol bgp", "lookup 100 proto bgp"),
        )
    ),
    ("ip rule add l3mdev priority 1024", "+ rules IPv4 1024: from all lookup [l3mdev-table]"),
    ("ip rule add fwmark 0x80/0x80 lookup 100 priority 7", "+ rules IPv4 7: from all fwmark 0x80/0x80 lookup 100"),
    ("ip -6 rule add from 2001:db8::1 lookup 100 priority 7", "+ rules IPv6 7: from 2001:db8::1 lookup 100"),
    ("ip rule del priority 1024", "- rules IPv4 1024: from all fwmark 0x80/0x80 lookup 100"),
)

CHANGES = [*ROUTES, *SEVERAL_HOPS, *NEXTHOPS, *RULES]


@pytest.mark.parametrize("change", CHANGES, ids=[change.command for change in CHANGES])
def test_a_field_alone_is_a_difference(lab, change):
    """One command of ip(8) changes one field: the difference names the field and its value."""
    lines = differences(lab.host("node"), change)

    assert any(change.words in line for line in lines), lines


def test_two_rules_of_one_priority_are_two(lab):
    """Of rules that share a priority each is reported, also when another of that priority stays."""
    node = lab.host("node")
    run(node, ["ip rule add fwmark 1 lookup 100 priority 9", "ip rule add not fwmark 2 lookup 100 priority 9"])
    before = node.state(firewall=False)
    run(node, ["ip rule del priority 9 not fwmark 2", "ip rule add fwmark 2 lookup 100 priority 9"])
    lines = [str(item) for item in difference(before, node.state(firewall=False))]

    assert lines == [
        "- rules IPv4 9: not from all fwmark 0x2 lookup 100",
        "+ rules IPv4 9: from all fwmark 0x2 lookup 100",
    ]
