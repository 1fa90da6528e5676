"""Links, bridges and neighbours: each is broken in one way, cold and with filled tables."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import WARM, Broken, demand, run

from cnitest import Lab, load
from cnitest.topology import find, loads

NS02 = "02:58:2c:81:86:34"
"""The MAC that the walkthrough's plan gives to eth02."""
SIX = "2001:db8:40::12"
EVERYTHING = "ip link set eth02 up && ip route add default via 10.40.80.1"
BR02 = "ip link add br02 type bridge; ip link set br02 up; "
ISOLATED = "bridge link set dev veth01 isolated on; bridge link set dev veth02 isolated on"
LOCKED = "bridge link set dev veth01 learning off locked on; bridge fdb flush dev br01"
ROUTED_LO = (
    "ip address del 10.40.80.12/24 dev eth02; ip link set lo up; ip address add 10.40.80.12/32 dev lo; "
    "ip route add 10.40.80.0/24 dev eth02; "
)
WIDE = "ip address del 10.40.80.11/24 dev eth01; ip address add 10.40.80.11/8 dev eth01"
# Neither knows the other, so that none asks back what it knew before.
FORGOTTEN = {"node/ns01": "ip neigh flush dev eth01", "node/ns02": "ip neigh flush dev eth02"}

LINKS = [
    Broken("l2.link-down", "link down", "node", "ip link set veth02 up", {"node": "ip link set veth02 down"}),
    Broken("l2.link-down", "link down", "node", "ip link set veth01 up", {"node": "ip link set veth01 down"}),
    Broken("l2.link-down", "link down", "node", "ip link set br01 up", {"node": "ip link set br01 down"}),
    Broken("l2.link-down", "link down", "node/ns02", EVERYTHING, {"node/ns02": "ip link set eth02 down"}),
    Broken("l2.link-down", "link down", "node", "ip link set veth02 up", {"node": "ip link set veth02 down"}, to=SIX),
    Broken(
        "l2.own-link-down",
        "link down",
        "node/ns01",
        "ip link set eth01 up && ip route add default via 10.40.80.1",
        {"node/ns01": "ip link set eth01 down"},
    ),
    Broken(
        "l2.own-link-down",
        "link down",
        "node/ns01",
        "ip link set eth01 up && ip address add 2001:db8:40::11/64 dev eth01 nodad && "
        "ip -6 route add default via 2001:db8:40::1",
        {"node/ns01": "ip link set eth01 down"},
        to=SIX,
    ),
]
BRIDGES = [
    Broken(
        "l2.no-bridge",
        "no bridge port",
        "node",
        f"ip link set {port} master br01",
        {"node": f"ip link set {port} nomaster"},
    )
    for port in ("veth01", "veth02")
] + [
    Broken(
        "l2.wrong-bridge",
        "wrong bridge",
        "node",
        f"ip link set {port} master br01",
        {"node": f"{BR02}ip link set {port} master br02"},
    )
    for port in ("veth01", "veth02")
] + [
    Broken(
        "l2.port-state",
        "port state disabled",
        "node",
        f"bridge link set dev {port} state 3",
        {"node": f"bridge link set dev {port} state 0"},
    )
    for port in ("veth01", "veth02")
] + [
    Broken(
        "l2.isolated",
        "port isolation",
        "node",
        "bridge link set dev veth02 isolated off",
        {"node": ISOLATED},
        to=to,
    )
    for to in ("10.40.80.12", SIX)
] + [
    Broken(
        "l2.locked",
        "port locked",
        "node",
        "bridge fdb add 02:12:19:63:dd:c2 dev veth01 master static",
        {"node": LOCKED},
    ),
    Broken(
        "l2.fdb",
        "fdb entry",
        "node",
        f"bridge fdb del {NS02} dev veth01 master",
        {"node": f"bridge fdb replace {NS02} dev veth01 master static sticky"},
    ),
    Broken(
        "l2.flood-off",
        "bcast_flood off",
        "node",
        "bridge link set dev veth02 bcast_flood on",
        {"node": "bridge link set dev veth02 bcast_flood off", **FORGOTTEN},
    ),
    Broken(
        "l2.flood-off",
        "mcast_flood off",
        "node",
        "bridge link set dev veth02 mcast_flood on",
        {"node": "bridge link set dev veth02 mcast_flood off", **FORGOTTEN},
        to=SIX,
    ),
    Broken(
        "l2.flood-off",
        "flood off",
        "node",
        "bridge link set dev veth02 flood on",
        {
            "node": "bridge link set dev veth02 flood off learning off; bridge fdb flush dev br01",
            "node/ns01": f"ip neigh replace 10.40.80.12 lladdr {NS02} dev eth01",
        },
    ),
]  # fmt: skip
NEIGHBOURS = [
    Broken(
        "l2.arp-off",
        "ARP off",
        place,
        f"ip link set {link} arp on",
        {place: f"ip link set {link} arp off"},
        to=to,
    )
    for place, link in (("node/ns02", "eth02"), ("node/ns01", "eth01"))
    for to in ("10.40.80.12", SIX)
] + [
    Broken(
        "l2.wrong-neighbour",
        "wrong neighbour",
        "node/ns01",
        f"ip neigh del {to} dev eth01",
        {"node/ns01": f"ip neigh replace {to} lladdr {mac} dev eth01"},
        to=to,
        setup={"node": "sysctl -w net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0"},
    )
    for to in ("10.40.80.12", SIX)
    for mac in ("02:00:00:00:00:99", "02:41:4c:fd:05:9f")  # nobody's, and the bridge's
] + [
    Broken(
        "l2.wrong-neighbour",
        "wrong neighbour",
        "node/ns02",
        "ip neigh del 10.40.80.11 dev eth02",
        {"node/ns02": "ip neigh replace 10.40.80.11 lladdr 02:00:00:00:00:99 dev eth02"},
    ),
    Broken(
        "l2.duplicate-mac",
        "duplicate MAC",
        "node/ns02",
        f"ip link set eth02 address {NS02}",
        {"node/ns02": "ip link set eth02 address 02:12:19:63:dd:c2", "node/ns01": "ip neigh flush dev eth01"},
    ),
    Broken(
        "l2.arp-ignore",
        "arp_ignore",
        "node/ns02",
        "sysctl -w net.ipv4.conf.eth02.arp_ignore=0",
        {"node/ns02": "sysctl -w net.ipv4.conf.eth02.arp_ignore=8", "node/ns01": "ip neigh flush dev eth01"},
    ),
    Broken(
        "l2.arp-ignore",
        "arp_ignore",
        "node/ns02",
        "sysctl -w net.ipv4.conf.all.arp_ignore=0",
        {"node/ns02": f"{ROUTED_LO}sysctl -w net.ipv4.conf.all.arp_ignore=1", "node/ns01": "ip neigh flush dev eth01"},
    ),
    Broken(
        "l2.elsewhere",
        "wrong subnet",
        "node/ns01",
        "ip route add 10.90.0.5 via 10.40.80.1",
        {"node/ns01": f"{WIDE}; ip route add default via 10.40.80.1"},
        to="10.90.0.5",
        setup={
            "router": "ip address add 10.90.0.5/32 dev lo; ip link set lo up; "
            "ip route add 10.40.80.0/24 via 192.168.80.100",
        },
    ),
]  # fmt: skip


OUT = {"node": "iptables -t nat -A POSTROUTING -s 10.40.80.0/24 -o ens33 -j MASQUERADE"}
NOBODYS = "lladdr 02:00:00:00:00:77"
FURTHER = [
    Broken(cause, dropped_by, place, remedy, {place: command}, to="8.8.8.8", setup=OUT)
    for cause, dropped_by, place, command, remedy in (
        ("l2.own-link-down", "link down", "node", "ip link set ens33 down",
         "ip link set ens33 up && ip route add default via 192.168.80.2"),
        ("l2.link-down", "link down", "internet", "ip link set eth0 down",
         "ip link set eth0 up && ip route add 192.168.80.0/24 via 198.51.100.1"),
        ("l2.arp-off", "ARP off", "internet", "ip link set eth0 arp off", "ip link set eth0 arp on"),
        ("l2.no-bridge", "no bridge port", "node", "ip link set veth01 nomaster", "ip link set veth01 master br01"),
        *(("l2.wrong-neighbour", "wrong neighbour", place, f"ip neigh replace {entry} {NOBODYS} dev {link}",
           f"ip neigh del {entry} dev {link}")
          for place, entry, link in (
              ("router", "198.51.100.2", "wan0"),
              ("internet", "198.51.100.1", "eth0"),
              ("router", "192.168.80.100", "lan0"),
              ("node", "10.40.80.11", "br01"),
          )),
    )
]  # fmt: skip
LAN = [
    # Node 2 has the address of node 3, too, and its MAC is what node 1 got.
    Broken(
        "l2.duplicate-address",
        "duplicate address",
        "node2",
        "ip address del 192.168.80.103/32 dev ens33",
        {
            "node2": "ip address add 192.168.80.103/32 dev ens33; sysctl -w net.ipv4.icmp_echo_ignore_all=1",
            "node1": "ip neigh replace 192.168.80.103 lladdr 02:4d:ad:c8:cf:57 dev ens33 nud reachable",
        },
        topology="three-nodes-one-lan",
        sender="node1",
        to="192.168.80.103",
        afterwards={"node1": "ip neigh flush dev ens33"},
    ),
    # Node 3 would send to node 1 by another link.
    Broken(
        "l2.arp-filter",
        "arp_filter",
        "node3",
        "sysctl -w net.ipv4.conf.ens33.arp_filter=0",
        {
            "node3": "sysctl -w net.ipv4.conf.ens33.arp_filter=1; ip link add spare type veth peer name other; "
            "ip link set spare up; ip link set other up; ip route add 192.168.80.101/32 dev spare",
            "node1": "ip neigh flush dev ens33",
        },
        topology="three-nodes-one-lan",
        sender="node1",
        to="192.168.80.103",
        afterwards={"node3": "ip route del 192.168.80.101/32 dev spare"},
    ),
    # The same, and it does not believe what comes by this one.
    Broken(
        "l2.arp-rp-filter",
        "rp_filter of ARP",
        "node3",
        "sysctl -w net.ipv4.conf.ens33.rp_filter=0",
        {
            "node3": "sysctl -w net.ipv4.conf.ens33.rp_filter=1; ip link add spare type veth peer name other; "
            "ip link set spare up; ip link set other up; ip route add 192.168.80.101/32 dev spare",
            "node1": "ip neigh flush dev ens33",
        },
        topology="three-nodes-one-lan",
        sender="node1",
        to="192.168.80.103",
        afterwards={"node3": "ip route del 192.168.80.101/32 dev spare"},
    ),
]
ODD = [
    # Spanning tree lets a port that has come up listen first.
    Broken(
        "l2.port-state",
        "port state listening",
        "node",
        "ip link set br01 type bridge stp_state 0 && bridge link set dev veth02 state 3",
        {
            "node": "ip link set br01 type bridge stp_state 1; ip link set veth02 down; ip link set veth02 up; "
            "ip link show veth02"
        },
    ),
    pytest.param(
        Broken(
            "l2.no-carrier",
            "no carrier",
            "node/ns01",
            "",
            {"node/ns01": "ip tuntap add tap0 mode tap; ip address add 10.99.0.1/24 dev tap0; ip link set tap0 up"},
            to="10.99.0.2",
        ),
        marks=pytest.mark.requires(kernel="tap"),
    ),
    Broken("l2.nobody", "address not in use", "node/ns01", "ip address add 10.40.80.99/… dev …", {}, to="10.40.80.99"),
    Broken(
        "l2.nobody",
        "address not in use",
        "node/ns01",
        "ip address add 2001:db8:40::99/… dev …",
        {},
        to="2001:db8:40::99",
    ),
]


@WARM
@pytest.mark.parametrize("broken", [*LINKS, *BRIDGES, *NEIGHBOURS], ids=str)
def test_what_lies_between_two_hops_is_named(broken, warm):
    """The cause, its place, what to do about it, and that this helps."""
    demand(broken, warm=warm)


@pytest.mark.parametrize("broken", ODD, ids=str)
def test_what_was_never_there_is_named(broken):
    """A link that leads nowhere, an address that nobody has."""
    demand(broken, warm=False)


@pytest.mark.parametrize("broken", LAN, ids=str)
def test_what_several_places_of_a_segment_have_is_named(broken):
    """An address that two have, and one that nobody answers for."""
    demand(broken, warm=True)


def test_a_port_outside_the_vlan_is_named():
    """Where the kernel filters by VLAN, the port that is not in the frame's is named."""
    with Lab(load(find("bridge-walkthrough"))) as lab:
        made = lab.host("node").execute(["ip", "link", "set", "br01", "type", "bridge", "vlan_filtering", "1"])
        if made.exit_code:
            pytest.skip(f"no VLAN filtering here: {made.stderr.decode().strip()}")
        lab.host("node").run(["bridge", "vlan", "del", "dev", "veth02", "vid", "1"])

        reach = lab.sandbox("ns01").ping("10.40.80.12")

        assert (reach.cause.id, reach.cause.place, reach.dropped_by) == ("l2.vlan", "node", "VLAN filtered")
        lab.host("node").run(reach.cause.remedy.split())
        assert lab.sandbox("ns01").ping("10.40.80.12")


@WARM
@pytest.mark.parametrize("broken", FURTHER, ids=str)
def test_what_breaks_further_on_the_way_is_named(broken, warm):
    """Behind a router, and on the reply's way back to a masqueraded source, the place is named where it ends."""
    demand(broken, warm=warm)


def test_a_link_without_arp_that_reaches_its_peer_is_not_blamed():
    """Ends of one MAC need no ARP: what drops the packet behind them is named."""
    ends = ", ".join(f"{{at: {name}, name: e0, addresses: [10.0.0.{n}/24]}}" for n, name in enumerate("ab", 1))
    with Lab(loads(f"name: same\nhosts: {{a: {{}}, b: {{}}}}\nveths: [{{ends: [{ends}]}}]\n")) as lab:
        run(lab, dict.fromkeys("ab", "ip link set e0 address 02:00:00:00:00:05 arp off"))
        assert lab.host("a").ping("10.0.0.2")
        run(lab, {"b": "sysctl -w net.ipv4.icmp_echo_ignore_all=1"})

        reach = lab.host("a").ping("10.0.0.2")

        assert reach.cause is not None and reach.cause.remedy == "sysctl -w net.ipv4.icmp_echo_ignore_all=0"
