"""Each field of links, addresses, neighbours and queues that ip(8), bridge(8) and tc(8) set is in the state."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.fields import changes, differences

from cnitest.topology import Host, Topology

pytestmark = pytest.mark.topology(Topology(name="one", hosts={"node": Host()}))

LINKS = changes(
    """ip link add a0 type veth peer name b0
       ip link add br0 type bridge""",
    ("ip link set a0 mtu 1400", "~ links a0: mtu=1500 -> mtu=1400"),
    ("ip link set a0 address 02:00:00:00:00:99", "-> mac=02:00:00:00:00:99"),
    ("ip link set a0 broadcast 02:ff:ff:ff:ff:ff", "broadcast=ff:ff:ff:ff:ff:ff -> broadcast=02:ff:ff:ff:ff:ff"),
    ("ip link set a0 txqueuelen 77", "txqlen=1000 -> txqlen=77"),
    ("ip link set a0 alias something", "alias=something"),
    ("ip link set a0 up", "up=False -> up=True"),
    ("ip link set a0 arp off", "flags=BROADCAST,MULTICAST -> flags=BROADCAST,NOARP,MULTICAST"),
    ("ip link set a0 multicast off", "flags=BROADCAST,MULTICAST -> flags=BROADCAST"),
    ("ip link set a0 allmulticast on", "flags=BROADCAST,ALLMULTI,MULTICAST, allmulti=1"),
    ("ip link set a0 promisc on", "promiscuity=1, flags=BROADCAST,PROMISC,MULTICAST"),
    ("ip link set a0 dynamic on", "DYNAMIC"),
    ("ip link set a0 trailers off", "NOTRAILERS"),
    ("ip link set a0 group 7", "group=0 -> group=7"),
    ("ip link set a0 mode dormant", "linkmode=default -> linkmode=dormant"),
    ("ip link set a0 protodown on", "protodown=False -> protodown=True"),
    ("ip link set a0 addrgenmode none", "addrgenmode=eui64 -> addrgenmode=none"),
    ("ip link set a0 gso_max_size 4096", "-> gso_max_size=4096"),
    ("ip link set a0 gso_max_segs 7", "gso_max_segs=65535 -> gso_max_segs=7"),
    ("ip link set a0 gro_max_size 4096", "-> gro_max_size=4096"),
    ("ip link property add dev a0 altname other", "altnames= -> altnames=other"),
    ("ip link set a0 name c0", "+ links c0: "),
    ("ip link set a0 master br0", "-> master=br0"),
    ("ip link del a0", "- links a0: "),
    ("ip link add d0 numtxqueues 3 type ifb", "numtxqueues=3"),
    ("ip link add d0 numrxqueues 3 type veth", "numrxqueues=3"),
    ("ip link add d0 type dummy", "+ links d0: "),
    ("ip link add link a0 name v0 type vlan id 7", "id=7"),
    ("ip link add link a0 name m0 type macvlan mode private", "mode=private"),
    ("ip link add link a0 name m0 type macvlan mode bridge bcqueuelen 77", "bcqueuelen=77"),
    ("ip link add link a0 name m0 type macvlan mode passthru nopromisc", "macvlan_flags=nopromisc"),
    ("ip link add link a0 name m0 type ipvlan mode l3 private", "mode=l3"),
    ("ip link add v0 type vrf table 7", "table=7"),
    ("ip link add o0 type bond mode active-backup miimon 77", "miimon=77"),
    ("ip link add t0 type ipip remote 192.0.2.1", "remote=192.0.2.1"),
    ("ip link add t0 type sit remote 192.0.2.1 ttl 9", "ttl=9"),
    ("ip link add t0 type gre remote 192.0.2.1 key 5", "ikey=5"),
    ("ip link add t0 type geneve id 5 remote 192.0.2.1", "id=5"),
    ("ip link add t0 type xfrm if_id 5", "if_id=0x5"),
    ("ip link add t0 type wireguard", "kind=wireguard"),
    ("ip link add t0 type netkit", "kind=netkit"),
    ("ip tuntap add t0 mode tap user 0", "user=0"),
    ("ip tuntap add t0 mode tap group 0", "tun_group=0"),
    ("ip tuntap add t0 mode tun", "type=tun"),
)
TOKEN = changes(
    """ip link add a0 type veth peer name b0
       sysctl -qw net.ipv6.conf.a0.accept_ra=1
       ip link set a0 up""",
    ("ip token set ::7 dev a0", "token= -> token=::7"),
)
BRIDGES = changes(
    "ip link add br0 type bridge",
    *(
        (f"ip link set br0 type bridge {option} {value}", f"{said or option}={shown or value}")
        for option, value, said, shown in (
            ("forward_delay", "300", "", ""),
            ("hello_time", "300", "", ""),
            ("max_age", "700", "", ""),
            ("ageing_time", "7700", "", ""),
            ("stp_state", "1", "stp", ""),
            ("priority", "7", "", ""),
            ("vlan_filtering", "1", "", ""),
            ("group_fwd_mask", "8", "", "0x8"),
            ("group_address", "01:80:c2:00:00:04", "group_addr", ""),
            ("mcast_snooping", "0", "", ""),
            ("mcast_router", "2", "", ""),
            ("mcast_query_use_ifaddr", "1", "", ""),
            ("mcast_querier", "1", "", ""),
            ("mcast_hash_max", "512", "", ""),
            ("mcast_last_member_count", "7", "mcast_last_member_cnt", ""),
            ("mcast_startup_query_count", "7", "mcast_startup_query_cnt", ""),
            ("mcast_last_member_interval", "700", "mcast_last_member_intvl", ""),
            ("mcast_membership_interval", "700", "mcast_membership_intvl", ""),
            ("mcast_querier_interval", "700", "mcast_querier_intvl", ""),
            ("mcast_query_interval", "700", "mcast_query_intvl", ""),
            ("mcast_query_response_interval", "700", "mcast_query_response_intvl", ""),
            ("mcast_startup_query_interval", "700", "mcast_startup_query_intvl", ""),
            ("mcast_stats_enabled", "1", "", ""),
            ("mcast_igmp_version", "3", "", ""),
            ("mcast_mld_version", "2", "", ""),
            ("nf_call_iptables", "1", "", ""),
            ("nf_call_ip6tables", "1", "", ""),
            ("nf_call_arptables", "1", "", ""),
            ("no_linklocal_learn", "1", "options", "no_linklocal_learn"),
        )
    ),
)
FILTERING = changes(
    """ip link add br0 type bridge
       ip link set br0 type bridge vlan_filtering 1""",
    ("ip link set br0 type bridge vlan_protocol 802.1ad", "vlan_protocol=802.1q -> vlan_protocol=802.1ad"),
    ("ip link set br0 type bridge vlan_default_pvid 7", "vlan_default_pvid=1 -> vlan_default_pvid=7"),
)
PORTS = changes(
    """ip link add br0 type bridge
       ip link add a0 type veth peer name b0
       ip link set a0 master br0
       ip link set a0 up""",
    *(
        (f"bridge link set dev a0 {option} {value}", f"~ bridge ports a0: {said}")
        for option, value, said in (
            ("hairpin", "on", "hairpin=False -> hairpin=True"),
            ("isolated", "on", "isolated=False -> isolated=True"),
            ("cost", "77", "cost=2 -> cost=77"),
            ("priority", "7", "priority=32 -> priority=7"),
            ("guard", "on", "guard=0 -> guard=1"),
            ("root_block", "on", "root_block=0 -> root_block=1"),
            ("fastleave", "on", "fastleave=0 -> fastleave=1"),
            ("learning", "off", "learning=1 -> learning=0"),
            ("flood", "off", "flood=1 -> flood=0"),
            ("mcast_flood", "off", "mcast_flood=1 -> mcast_flood=0"),
            ("bcast_flood", "off", "bcast_flood=1 -> bcast_flood=0"),
            ("mcast_to_unicast", "on", "mcast_to_unicast=0 -> mcast_to_unicast=1"),
            ("mcast_router", "2", "mcast_router=1 -> mcast_router=2"),
            ("neigh_suppress", "on", "neigh_suppress=0 -> neigh_suppress=1"),
            ("vlan_tunnel", "on", "vlan_tunnel=0 -> vlan_tunnel=1"),
            ("locked", "on", "locked=0 -> locked=1"),
        )
    ),
    ("ip link set a0 type bridge_slave group_fwd_mask 8", "group_fwd_mask=0x0 -> group_fwd_mask=0x8"),
    ("ip link set a0 type bridge_slave proxy_arp on", "proxy_arp=0 -> proxy_arp=1"),
    ("ip link set a0 type bridge_slave proxy_arp_wifi on", "proxy_arp_wifi=0 -> proxy_arp_wifi=1"),
    ("ip link set a0 type bridge_slave mcast_fast_leave on", "fastleave=0 -> fastleave=1"),
    ("bridge fdb add 02:00:00:00:00:77 dev a0 master static", "+ fdb 02:00:00:00:00:77 on a0: bridge=br0 state=static"),
    (
        "bridge fdb add 02:00:00:00:00:77 dev a0 master permanent",
        "+ fdb 02:00:00:00:00:77 on a0: bridge=br0 state=permanent",
    ),
    ("bridge fdb add 02:00:00:00:00:77 dev a0 master static sticky", "flags=sticky"),
    ("bridge fdb add 02:00:00:00:00:77 dev a0 master extern_learn", "flags=extern_learn"),
    (
        "bridge fdb add 02:00:00:00:00:77 dev a0 self permanent",
        "+ fdb 02:00:00:00:00:77 on a0: state=permanent flags=self",
    ),
)
VXLANS = changes(
    """ip link add under type veth peer name other
       ip link add vx type vxlan id 5 remote 192.0.2.1 dstport 4789""",
    *(
        (f"ip link add new type vxlan id 6 {options}", f"{said}")
        for options, said in (
            ("dstport 4790", "dstport=4790"),
            ("dstport 0 remote 192.0.2.9", "remote=192.0.2.9"),
            ("dstport 0 local 192.0.2.9", "local=192.0.2.9"),
            ("dstport 0 remote 2001:db8::1", "remote=2001:db8::1"),
            ("dstport 0 ttl 9", "ttl=9"),
            ("dstport 0 tos 8", "tos=8"),
            ("dstport 0 srcport 1000 2000", "srcport=1000-2000"),
            ("dstport 0 maxaddress 7", "maxaddr=7"),
            ("dstport 0 ageing 7", "ageing=7"),
            ("dstport 0 proxy", "proxy=1"),
            ("dstport 0 gbp", "gbp=1"),
            ("dstport 0 df set", "df=1"),
        )
    ),
    ("ip link add new type vxlan external dstport 4790", "external=1"),
    ("ip link set vx type vxlan id 5 ttl 9", "ttl=0 -> ttl=9"),
    ("ip link set vx type vxlan id 5 nolearning", "learning=1 -> learning=0"),
    ("bridge fdb add 02:00:00:00:00:77 dev vx dst 192.0.2.7", "+ fdb 02:00:00:00:00:77 on vx dst 192.0.2.7"),
    ("bridge fdb add 02:00:00:00:00:77 dev vx dst 192.0.2.7 port 7", "port=7"),
    ("bridge fdb add 02:00:00:00:00:77 dev vx dst 192.0.2.7 vni 7", "vni=7"),
    ("bridge fdb add 02:00:00:00:00:77 dev vx dst 192.0.2.7 via under", "via=under"),
    ("bridge fdb append 00:00:00:00:00:00 dev vx dst 192.0.2.7", "+ fdb 00:00:00:00:00:00 on vx dst 192.0.2.7"),
)
ADDRESSES = changes(
    """ip link add a0 type veth peer name b0
       ip link set a0 up
       ip address add 10.0.0.1/24 dev a0
       ip address add 2001:db8::1/64 dev a0 nodad""",
    ("ip address add 10.0.0.2/32 dev a0", "+ addresses 10.0.0.2/32 on a0: scope=global"),
    ("ip address add 10.0.0.2/24 dev a0", "flags=secondary"),
    ("ip address add 10.0.0.2/24 dev a0 broadcast 10.0.0.99", "broadcast=10.0.0.99"),
    ("ip address add 10.0.0.2 peer 10.0.0.9/32 dev a0", "peer=10.0.0.9/32"),
    ("ip address add 10.1.0.2/24 dev a0 label a0:x", "label=a0:x"),
    ("ip address add 10.1.0.2/24 dev a0 scope link", "scope=link"),
    ("ip address add 10.1.0.2/24 dev a0 metric 7", "metric=7"),
    ("ip address add 10.1.0.2/24 dev a0 noprefixroute", "flags=noprefixroute"),
    ("ip address add 239.0.0.7/32 dev a0 autojoin", "flags=autojoin"),
    ("ip address change 10.0.0.1/24 dev a0 valid_lft 900 preferred_lft 800", "-> valid_lft=limited"),
    ("ip address change 10.0.0.1/24 dev a0 preferred_lft 0", "flags= -> flags=deprecated"),
    ("ip address add 10.1.0.2/24 dev a0 proto 0x77", "protocol=119"),
    ("ip address change 10.0.0.1/24 dev a0 metric 7", "~ addresses 10.0.0.1/24 on a0: metric=0 -> metric=7"),
    ("ip address add 2001:db8::2/64 dev a0 home nodad", "flags=nodad,home"),
    ("ip address add 2001:db8::2/64 dev a0 mngtmpaddr", "mngtmpaddr"),
    ("ip address add 2001:db8::2/64 dev a0 noprefixroute", "flags=noprefixroute"),
    ("ip address add 2001:db8::2 peer 2001:db8::9 dev a0", "peer=2001:db8::9/128"),
    ("ip address add 2001:db8::2/64 dev a0 valid_lft 900 preferred_lft 0", "valid_lft=limited preferred_lft=limited"),
    ("ip address change 2001:db8::1/64 dev a0 metric 7 nodad", "metric=0 -> metric=7"),
    ("ip address del 10.0.0.1/24 dev a0", "- addresses 10.0.0.1/24 on a0"),
)
NEIGHBOURS = changes(
    """ip link add a0 type veth peer name b0
       ip link set a0 up
       ip address add 10.0.0.1/24 dev a0
       ip address add 2001:db8::1/64 dev a0 nodad
       ip neighbour add 10.0.0.7 lladdr 02:00:00:00:00:07 dev a0""",
    (
        "ip neighbour add 10.0.0.8 lladdr 02:00:00:00:00:08 dev a0",
        "+ neighbours 10.0.0.8 on a0: mac=02:00:00:00:00:08 state=permanent",
    ),
    ("ip neighbour change 10.0.0.7 lladdr 02:00:00:00:00:08 dev a0", "mac=02:00:00:00:00:07 -> mac=02:00:00:00:00:08"),
    ("ip neighbour change 10.0.0.7 lladdr 02:00:00:00:00:07 dev a0 nud noarp", "state=permanent -> state=noarp"),
    ("ip neighbour change 10.0.0.7 lladdr 02:00:00:00:00:07 dev a0 nud reachable", "- neighbours 10.0.0.7 on a0"),
    ("ip neighbour add 10.0.0.8 lladdr 02:00:00:00:00:08 dev a0 protocol bgp", "protocol=bgp"),
    ("ip neighbour add 10.0.0.8 lladdr 02:00:00:00:00:08 dev a0 extern_learn", "flags=extern_learn"),
    ("ip neighbour add 10.0.0.8 dev a0 managed", "flags=managed"),
    ("ip neighbour add 2001:db8::8 lladdr 02:00:00:00:00:08 dev a0 router", "flags=router"),
    ("ip neighbour add proxy 10.0.0.9 dev a0", "+ neighbours 10.0.0.9 on a0: flags=proxy"),
    ("ip neighbour add proxy 2001:db8::9 dev a0", "+ neighbours 2001:db8::9 on a0: flags=proxy"),
    ("ip neighbour del 10.0.0.7 dev a0", "- neighbours 10.0.0.7 on a0"),
)
QUEUES = changes(
    """ip link add a0 type veth peer name b0
       ip link set a0 up""",
    ("tc qdisc add dev a0 root handle 1: htb default 30", "+ qdiscs htb parent root on a0: handle=1: defcls=48"),
    ("tc qdisc add dev a0 root pfifo limit 77", "limit=77"),
    ("tc qdisc add dev a0 root bfifo limit 7700", "limit=7700"),
    ("tc qdisc add dev a0 root tbf rate 1mbit burst 10kb latency 9ms", "rate=125000"),
    ("tc qdisc add dev a0 root tbf rate 1mbit burst 10kb latency 9ms peakrate 2mbit mtu 1540", "peak=250000"),
    ("tc qdisc add dev a0 root netem delay 10ms", "+ qdiscs netem parent root on a0"),
    ("tc qdisc add dev a0 root prio bands 5", "bands=5"),
    ("tc qdisc add dev a0 root sfq perturb 7", "perturb_period=7"),
    ("tc qdisc add dev a0 root fq_codel limit 77", "fq_codel_limit=77"),
    ("tc qdisc add dev a0 ingress", "+ qdiscs ingress "),
    ("tc qdisc add dev a0 clsact", "+ qdiscs clsact "),
    ("tc qdisc add dev a0 ingress_block 5 ingress", "ingress_block=5"),
)
CLASSES = changes(
    """ip link add a0 type veth peer name b0
       ip link add ifb7 type ifb
       ip link set a0 up
       tc qdisc add dev a0 root handle 1: htb default 30
       tc class add dev a0 parent 1: classid 1:30 htb rate 1mbit burst 10k
       tc filter add dev a0 parent 1: protocol ip pref 7 u32 match ip dst 10.0.0.1/32 flowid 1:30
       tc qdisc add dev a0 clsact""",
    ("tc qdisc change dev a0 root htb default 31", "defcls=48 -> defcls=49"),
    ("tc class add dev a0 parent 1: classid 1:31 htb rate 2mbit", "+ classes htb 1:31 on a0: parent=root"),
    ("tc class change dev a0 classid 1:30 htb rate 1mbit ceil 2mbit burst 10k", "ceil=125000"),
    ("tc class change dev a0 classid 1:30 htb rate 2mbit ceil 2mbit burst 10k", "rate=125000"),
    ("tc class change dev a0 classid 1:30 htb rate 1mbit burst 10k prio 3", "prio=3"),
    ("tc class add dev a0 parent 1:30 classid 1:31 htb rate 1mbit", "+ classes htb 1:31 on a0: parent=1:30"),
    ("tc qdisc add dev a0 parent 1:30 handle 9: pfifo limit 7", "+ qdiscs pfifo parent 1:30 on a0: handle=9: limit=7"),
    ("tc filter del dev a0 parent 1: pref 7", "- filters u32 on a0 parent 1: protocol ip pref 7 handle 80000800"),
    (
        "tc filter add dev a0 parent 1: protocol ip pref 8 u32 match ip dst 10.0.0.2/32 flowid 1:30",
        "flowid=1:30 ht=0x80100000 match=0a000002/ffffffff at 16 terminal",
    ),
    ("tc filter add dev a0 parent 1: protocol ipv6 pref 8 u32 match u32 0 0 flowid 1:30", "parent 1: protocol ipv6"),
    ("tc filter add dev a0 ingress protocol all pref 7 u32 match u32 0 0 action drop", "action=gact drop"),
    (
        "tc filter add dev a0 egress protocol all pref 7 u32 match u32 0 0 action ok",
        "+ filters u32 on a0 parent egress",
    ),
    (
        "tc filter add dev a0 ingress pref 7 u32 match u32 0 0 action mirred egress redirect dev ifb7",
        "action=mirred egress redirect dev ifb7 stolen",
    ),
    (
        "tc filter add dev a0 ingress pref 7 u32 match u32 0 0 action mirred egress mirror dev ifb7",
        "action=mirred egress mirror dev ifb7 pipe",
    ),
    ("tc filter add dev a0 ingress pref 7 chain 5 u32 match u32 0 0 action drop", "pref 7 chain 5"),
    ("tc filter add dev a0 ingress pref 7 matchall action drop", "+ filters matchall on a0 parent ingress"),
    ("tc filter add dev a0 ingress protocol ip pref 7 flower dst_ip 10.0.0.1 action drop", "dst_ip=0a000001"),
    ("tc filter add dev a0 ingress pref 7 u32 match u32 0 0 police rate 1mbit burst 10k", "police"),
    ("tc filter add dev a0 parent 1: protocol ip pref 9 handle 7 fw flowid 1:30", "+ filters fw on a0"),
    ("tc chain add dev a0 ingress chain 9", "+ chains 9 parent ingress on a0"),
)
GROUPS = changes(
    """ip link add br0 type bridge
       ip link add a0 type veth peer name b0
       ip link set a0 master br0
       ip link set a0 up
       ip link set b0 up
       ip link set br0 up
       ip address add 10.0.0.1/24 dev br0""",
    ("ip maddress add 33:33:00:00:00:99 dev a0", "+ maddresses 33:33:00:00:00:99 on a0"),
    ("ip address add 239.0.0.7/32 dev br0 autojoin", "+ maddresses 239.0.0.7 on br0"),
    ("ip address add ff05::7/128 dev br0 autojoin", "+ maddresses ff05::7 on br0"),
    ("bridge mdb add dev br0 port a0 grp 239.0.0.7 permanent", "+ mdb 239.0.0.7 port a0 on br0: state=permanent"),
    ("bridge mdb add dev br0 port a0 grp ff05::7 permanent", "+ mdb ff05::7 port a0 on br0: state=permanent"),
    ("bridge mdb add dev br0 port a0 grp 239.0.0.7 src 10.0.0.9 permanent", "239.0.0.7 port a0 on br0 src 10.0.0.9"),
    ("bridge mdb add dev br0 port a0 grp ff05::7 src 2001:db8::9 permanent", "ff05::7 port a0 on br0 src 2001:db8::9"),
)
# The kernel puts no blank behind such a name in /proc/net/igmp.
LONG_NAME = changes(
    """ip link add veth1a2b3c4d5e6 type veth peer name b0
       ip link set veth1a2b3c4d5e6 up""",
    ("ip address add 239.0.0.7/32 dev veth1a2b3c4d5e6 autojoin", "+ maddresses 239.0.0.7 on veth1a2b3c4d5e6: is new"),
    ("ip address add ff05::7/128 dev veth1a2b3c4d5e6 autojoin", "+ maddresses ff05::7 on veth1a2b3c4d5e6: is new"),
)
VLANS = changes(
    """ip link add br0 type bridge vlan_filtering 1
       ip link add a0 type veth peer name b0
       ip link set a0 master br0""",
    ("bridge vlan add dev a0 vid 7 pvid untagged", "+ vlans a0 vid 7: flags=pvid,untagged"),
    ("bridge vlan add dev a0 vid 7-9", "+ vlans a0 vid 8"),
    ("bridge vlan del dev a0 vid 1", "- vlans a0 vid 1"),
    ("bridge vlan add dev br0 vid 7 self", "+ vlans br0 vid 7"),
)

SETTINGS = changes(
    """ip link add a0 type veth peer name b0
       ip link set a0 up""",
    ("ip addrlabel add prefix 2001:db8::/32 label 77", "+ addrlabels 2001:db8::/32: label=77"),
    ("ip addrlabel add prefix 2001:db8::/32 dev a0 label 77", "+ addrlabels 2001:db8::/32 dev a0: label=77"),
    ("ip xfrm policy add src 10.0.0.7 dst 10.1.0.0/24 dir out action block", "+ IPsec policies src 10.0.0.7/32 dst"),
    ("ip xfrm policy add src 2001:db8::/64 dst ::/0 dir in priority 7", "dst ::/0 dir in priority 7: is new"),
    ("ip xfrm policy add src 10.0.0.0/24 dst 10.1.0.0/24 dir out if_id 5", "10.1.0.0/24 dir out if_id 5: is new"),
    ("ip mptcp endpoint add 10.0.0.7 dev a0 signal", "+ MPTCP endpoints 10.0.0.7 id 1: link=a0 flags=signal"),
    ("ip mptcp endpoint add 2001:db8::7 id 7 subflow", "+ MPTCP endpoints 2001:db8::7 id 7: flags=subflow"),
)

CHANGES = [*LINKS, *TOKEN, *BRIDGES, *FILTERING, *PORTS, *VXLANS, *ADDRESSES, *NEIGHBOURS]
CHANGES += [*QUEUES, *CLASSES, *GROUPS, *LONG_NAME, *VLANS, *SETTINGS]


@pytest.mark.parametrize("change", CHANGES, ids=[change.command for change in CHANGES])
def test_a_field_alone_is_a_difference(lab, change):
    """One command of ip(8), bridge(8) or tc(8) changes one field: the difference names the field and its value."""
    lines = differences(lab.host("node"), change)

    assert any(change.words in line for line in lines), lines
