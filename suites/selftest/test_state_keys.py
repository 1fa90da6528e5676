"""Each key that ``ip -j -d`` and ``bridge -j -d`` print is a field of a row here, or left out for a reason."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from cnitest.deadline import Deadline
from cnitest.kernel.monitor import await_links
from cnitest.kernel.rows.records import Address, Fdb, Link, MulticastAddress, Neighbour, Nexthop, Port, Route, Rule
from cnitest.topology import Host, Topology

pytestmark = pytest.mark.topology(Topology(name="one", hosts={"node": Host()}))

NETWORK = (
    "ip link set lo up",
    "ip link add br0 type bridge",
    "ip link add a0 type veth peer name b0",
    "ip link add vx type vxlan id 5 remote 192.0.2.1 dstport 4789",
    "ip link add link b0 name m0 type macvlan mode bridge",
    "ip tuntap add t0 mode tap user 0",
    "ip link property add dev a0 altname other",
    "ip link set a0 alias words",
    "ip link set a0 master br0",
    "ip link set br0 up",
    "ip link set a0 up",
    "ip link set b0 up",
    "ip address add 10.0.0.1/24 dev br0 label br0:x metric 7",
    "ip address add 2001:db8::1/64 dev br0 nodad home valid_lft 900 preferred_lft 800",
    "ip address add 10.1.0.1 peer 10.1.0.2/32 dev br0",
    "ip nexthop add id 5 via 10.0.0.2 dev br0",
    "ip nexthop add id 6 group 5",
    "ip route add 10.9.0.0/16 via 10.0.0.2 src 10.0.0.1 mtu lock 1400 advmss 1300 tos 0x10 realm 5 proto bgp metric 9",
    "ip route add 10.8.0.0/16 nexthop via 10.0.0.2 weight 2 nexthop via 10.0.0.3",
    "ip route add 10.7.0.0/16 nhid 6",
    "ip -6 route add 2001:db8:9::/48 from 2001:db8:8::/48 via 2001:db8::2 dev br0 pref high expires 900",
    "ip rule add not from 10.0.0.0/24 to 10.3.0.0/16 tos 0x10 fwmark 1/3 iif lo oif lo uidrange 0-0 ipproto tcp "
    "sport 1 dport 1-2 tun_id 5 lookup 100 suppress_prefixlength 0 suppress_ifgroup 5 realms 5/6 priority 9",
    "ip rule add goto 32766 priority 10",
    "ip rule add l3mdev priority 11",
    "ip rule add blackhole priority 12",
    "ip neighbour add 10.0.0.7 lladdr 02:00:00:00:00:07 dev br0 protocol bgp router extern_learn",
    "ip neighbour add proxy 10.0.0.8 dev br0",
    "bridge fdb add 02:00:00:00:00:77 dev vx dst 192.0.2.7 port 7 vni 7 via a0",
    "bridge fdb add 02:00:00:00:00:77 dev a0 master static",
)
_SAME = "mtu master promiscuity allmulti group txqlen broadcast flags linkmode gso_max_size gso_max_segs gro_max_size"
LINK = {
    "ifindex": "ifindex",
    **{name: name for name in _SAME.split()},
    "ifname": "name",
    "ifalias": "alias",
    "altnames": "altnames",
    "link": "parent",
    "link_index": "parent",
    "address": "mac",
    "inet6_addr_gen_mode": "addrgenmode",
    "num_tx_queues": "numtxqueues",
    "num_rx_queues": "numrxqueues",
}
FIELDS: Mapping[str, tuple[type, Mapping[str, str]]] = {
    "link": (Link, LINK),
    "address": (
        Address,
        {
            "local": "address",
            "prefixlen": "address",
            "address": "peer",
            "broadcast": "broadcast",
            "scope": "scope",
            "label": "label",
            "metric": "metric",
            "home": "flags",
            "nodad": "flags",
            "dynamic": "valid_lft",
            "valid_life_time": "valid_lft",
            "preferred_life_time": "preferred_lft",
            "tentative": "tentative",
            "protocol": "protocol",
        },
    ),
    "route": (
        Route,
        {
            "type": "kind",
            "dst": "to",
            "from": "origin",
            "gateway": "via",
            "dev": "link",
            "protocol": "protocol",
            "scope": "scope",
            "prefsrc": "source",
            "metric": "metric",
            "metrics": "metrics",
            "flags": "flags",
            "tos": "tos",
            "flow": "realm",
            "table": "table",
            "nexthops": "hops",
            "nhid": "nhid",
            "pref": "pref",
            "expires": "expires",
        },
    ),
    "rule": (
        Rule,
        {
            "priority": "priority",
            "not": "inverted",
            "src": "source",
            "srclen": "source",
            "dst": "to",
            "dstlen": "to",
            "tos": "tos",
            "fwmark": "mark",
            "fwmask": "mask",
            "iif": "iif",
            "oif": "oif",
            "uid_start": "uidrange",
            "uid_end": "uidrange",
            "ipproto": "ipproto",
            "sport": "sport",
            "dport_start": "dport",
            "dport_end": "dport",
            "tun_id": "tun_id",
            "table": "table",
            "suppress_prefixlen": "suppress_prefixlength",
            "suppress_ifgroup": "suppress_ifgroup",
            "flow_from": "realms",
            "flow_to": "realms",
            "protocol": "protocol",
            "goto": "goto",
            "l3mdev": "l3mdev",
            "action": "action",
        },
    ),
    "neighbour": (
        Neighbour,
        {
            "dst": "ip",
            "dev": "link",
            "lladdr": "mac",
            "state": "state",
            "protocol": "protocol",
            "router": "flags",
            "extern_learn": "flags",
            "proxy": "flags",
        },
    ),
    "nexthop": (
        Nexthop,
        {
            "id": "id",
            "gateway": "via",
            "dev": "link",
            "scope": "scope",
            "protocol": "protocol",
            "flags": "flags",
            "group": "group",
        },
    ),
    "maddress": (MulticastAddress, {"link": "address", "address": "address", "static": "static"}),
    "fdb": (
        Fdb,
        {
            "mac": "mac",
            "ifname": "link",
            "master": "bridge",
            "state": "state",
            "flags": "flags",
            "dst": "dst",
            "port": "port",
            "vni": "vni",
            "viaIf": "via",
        },
    ),
    "bridge": (
        Port,
        {"ifname": "name", "master": "bridge", "state": "state", "hairpin": "hairpin", "isolated": "isolated"},
    ),
}
# Keys of a kind's own (``info_data``, ``info_slave_data``), and what they are called here when it is something else.
DETAILS = {
    "stp_state": "stp",
    "port_range": "srcport",
    "port": "dstport",
    "udp_csum": "udpcsum",
    "udp_zero_csum6_tx": "udp6zerocsumtx",
    "udp_zero_csum6_rx": "udp6zerocsumrx",
    "no_linklocal_learn": "options",
    "mcast_vlan_snooping": "options",
    "multicast_router": "mcast_router",
    "mode": "mode",
}
WITHOUT = {
    "it follows from something else that is shown": "qdisc operstate link_type info_kind info_slave_kind family "
    "addr_info nh_info linkinfo info_data info_slave_data maddr deleted limit group_fwd_mask_str",
    "it cannot be set": "min_mtu max_mtu tso_max_size tso_max_segs parentbus parentdev used_broadcast_queue "
    "usedbcqueuelen num_queues num_disabled_queues",
    "the kernel moves it by itself": (
        "bridge_id root_id root_port root_path_cost topology_change topology_change_detected hello_timer "
        "tcn_timer topology_change_timer gc_timer id no designated_port designated_cost hold_timer "
        "message_age_timer forward_delay_timer topology_change_ack config_pending refcnt used confirmed "
        "updated probes cache users link_netnsid link_netns macaddr_count bcqueuelen_used"
    ),
}
LEFT_OUT = frozenset(name for names in WITHOUT.values() for name in names.split())


@pytest.fixture
def node(lab):
    """A host with something of each kind that this kernel can."""
    host = lab.host("node")
    for line in NETWORK:
        host.run(line.split(), check=False)
        if line == "ip link set b0 up":
            await_links(host.namespace, ("br0", "a0", "b0"), Deadline.after(10, "the carrier of the bridge"))
    return host


def _printed(node: Any, *argv: str) -> list[dict[str, Any]]:
    rows = json.loads(node.run(argv).stdout or "[]")
    return [row for row in rows if row]


@pytest.mark.parametrize(
    ("table", "argv"),
    [
        ("link", "ip -j -d link"),
        ("route", "ip -j -d -4 route show table all"),
        ("route", "ip -j -d -6 route show table all"),
        ("rule", "ip -j -d rule"),
        ("neighbour", "ip -j -d neighbour show nud all"),
        ("neighbour", "ip -j -d neighbour show proxy"),
        ("nexthop", "ip -j -d nexthop"),
        ("fdb", "bridge -j -d fdb"),
    ],
    ids=lambda value: value,
)
def test_each_key_has_a_field(node, table, argv):
    """What ip(8) prints of a row is a field of ours, or in the list of what is left out, with the reason."""
    record, names = FIELDS[table]
    printed = {key for row in _printed(node, *argv.split()) for key in row}

    assert printed, "nothing was printed"
    assert printed - LEFT_OUT - names.keys() == set()
    assert {names[key] for key in printed & names.keys()} <= {*record._fields}


def test_each_key_of_an_address_has_a_field(node):
    """The same for the addresses that ``ip address`` nests in its links."""
    record, names = FIELDS["address"]
    printed = {key for row in _printed(node, "ip", "-j", "-d", "address") for each in row["addr_info"] for key in each}

    assert printed - LEFT_OUT - names.keys() == set()
    assert {*names.values()} <= {*record._fields}


def test_each_key_of_a_group_has_a_field(node):
    """The same for the groups that ``ip maddress`` nests in its links."""
    record, names = FIELDS["maddress"]
    printed = {key for row in _printed(node, "ip", "-j", "maddress") for each in row["maddr"] for key in each}

    assert printed - LEFT_OUT - names.keys() == set()
    assert {*names.values()} <= {*record._fields}


def test_each_detail_of_a_link_has_a_field(node):
    """What ip(8) knows of one kind of link or port only is in the details of such a link or port here."""
    state = node.state(firewall=False)
    missing = []
    for row in _printed(node, "ip", "-j", "-d", "link"):
        link = next(each for each in state.links if each.name == row["ifname"])
        port = next((each for each in state.ports if each.name == link.name), None)
        information = row.get("linkinfo", {})
        missing += _missing(information.get("info_data", {}), {name for name, _ in link.detail}, link.kind)
        if port:
            own = {name for name, _ in port.detail} | {*Port._fields}
            missing += _missing(information.get("info_slave_data", {}), own, "port")

    assert missing == []


def _missing(printed: Mapping[str, Any], ours: set[str], kind: str) -> Iterator[str]:
    for key in printed:
        if key not in LEFT_OUT and DETAILS.get(key, key) not in ours and key not in ours:
            yield f"{kind}: {key}"
