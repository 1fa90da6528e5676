"""What is lost inside a tunnel: rules for the packets that carry it, and tables that lead to another end."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import PROBES, Broken, demand

from cnitest import Lab
from cnitest.topology import loads


def node(number: int, other: int) -> str:
    """A node with a bridge for one pod, whose neighbours are behind a VXLAN as flannel makes it."""
    return f"""
  n{number}:
    sysctls: {{net.ipv4.ip_forward: 1}}
    bridges: {{cni0: {{addresses: [10.244.{number}.1/24]}}}}
    vxlans:
      flannel.1: {{id: 1, local: 192.168.1.{number}, parent: eth0, port: 8472, learning: false,
                  mac: "02:00:00:00:f1:0{number}", addresses: [10.244.{number}.0/32]}}
    routes: [10.244.{other}.0/24 via 10.244.{other}.0 dev flannel.1 onlink]
    neighbours: ["10.244.{other}.0 lladdr 02:00:00:00:f1:0{other} dev flannel.1"]
    fdb: ["02:00:00:00:f1:0{other} dev flannel.1 dst 192.168.1.{other}"]
    sandboxes: {{p{number}: {{routes: [{{via: 10.244.{number}.1}}]}}}}"""


def wire(number: int) -> str:
    """The wire from a node's bridge to its pod."""
    return f"""
  - ends:
      - {{at: n{number}/p{number}, name: eth0, addresses: [10.244.{number}.5/24]}}
      - {{at: n{number}, name: v{number}, bridge: cni0}}"""


OVERLAY = f"""
name: overlay
hosts:{node(1, 2)}{node(2, 1)}
veths:
  - ends:
      - {{at: n1, name: eth0, addresses: [192.168.1.1/24]}}
      - {{at: n2, name: eth0, addresses: [192.168.1.2/24]}}{wire(1)}{wire(2)}
"""

BRIDGED = """
name: bridged
hosts:
  n1:
    bridges: {br0: {}}
    vxlans: {vx0: {id: 7, local: 192.168.1.1, remote: 192.168.1.2, bridge: br0}}
    sandboxes: {p1: {}}
  n2:
    bridges: {br0: {}}
    vxlans: {vx0: {id: 7, local: 192.168.1.2, remote: 192.168.1.1, bridge: br0}}
    sandboxes: {p2: {}}
veths:
  - ends: [{at: n1, name: eth0, addresses: [192.168.1.1/24]}, {at: n2, name: eth0, addresses: [192.168.1.2/24]}]
  - ends: [{at: n1/p1, name: eth0, addresses: [10.9.0.1/24, "fd09::1/64"]}, {at: n1, name: v1, bridge: br0}]
  - ends: [{at: n2/p2, name: eth0, addresses: [10.9.0.2/24, "fd09::2/64"]}, {at: n2, name: v2, bridge: br0}]
"""


def broken(cause: str, dropped_by: str, place: str, remedy: str, commands: str) -> Broken:
    """The overlay with commands run on one node; the pod of the first wants to the other's."""
    return Broken(cause, dropped_by, place, remedy, {place: commands}, "n1/p1", "10.244.2.5", OVERLAY)


OUTER = [
    broken("firewall.rule", "ip filter INPUT rule 1", "n2", "iptables -D INPUT -p udp -m udp --dport 8472 -j DROP",
           "iptables -A INPUT -p udp --dport 8472 -j DROP"),
    broken("nftables.rule", "inet f i rule 1", "n2", "nft delete rule inet f i handle 2",
           "nft 'table inet f { chain i { type filter hook input priority 0; udp dport 8472 drop; }; }'"),
]  # fmt: skip


@pytest.mark.parametrize("broken", OUTER, ids=str)
@pytest.mark.requires(kernel="vxlan")
def test_a_rule_for_the_carrier_is_named(broken):
    """A rule that drops the datagrams of a VXLAN is what ended the packet inside, with the command that fixes it."""
    demand(broken, warm=False)


TABLES = [
    broken(
        "l2.vxlan-remote",
        "no VXLAN remote",
        "n1",
        "bridge fdb append 02:00:00:00:f1:02 dev flannel.1 dst 192.168.1.2",
        "bridge fdb del 02:00:00:00:f1:02 dev flannel.1 dst 192.168.1.2",
    ),
    broken(
        "l2.wrong-neighbour",
        "wrong neighbour",
        "n1",
        "ip neigh replace 10.244.2.0 lladdr 02:00:00:00:f1:02 dev flannel.1",
        "ip neigh replace 10.244.2.0 lladdr 02:00:00:00:f1:99 dev flannel.1; "
        "bridge fdb append 02:00:00:00:f1:99 dev flannel.1 dst 192.168.1.2",
    ),
]


@pytest.mark.parametrize("broken", TABLES, ids=str)
@pytest.mark.requires(kernel="vxlan")
def test_a_table_that_leads_nowhere_is_named(broken):
    """A neighbour's MAC that the other end does not have, or has no remote for, is what ended the packet."""
    demand(broken, warm=False)


@pytest.mark.requires(kernel="vxlan")
@pytest.mark.parametrize(
    ("cause", "link", "evidence"),
    [
        ("l2.vxlan-id", "id 2 dstport 8472", "flannel.1 has id 2"),
        ("l2.vxlan-port", "id 1 dstport 4789", "flannel.1 receives on port 4789"),
    ],
)
def test_another_identifier_or_port_is_named(cause, link, evidence):
    """Ends of a VXLAN with two identifiers or ports are named, and made anew with the sender's the receiver's works."""
    with Lab(loads(OVERLAY)) as lab:
        lab.host("n2").run(["ip", "link", "del", "flannel.1"])
        lab.host("n2").run(f"ip link add flannel.1 type vxlan {link} local 192.168.1.2 dev eth0 nolearning".split())
        lab.host("n2").run(["ip", "link", "set", "flannel.1", "address", "02:00:00:00:f1:02", "up"])

        reach = lab.sandbox("p1").ping("10.244.2.5")

        assert (reach.cause.id, reach.cause.place) == (cause, "n2"), reach.explanation
        assert reach.cause.evidence == (evidence,)
        lab.host("n2").run(["sh", "-ec", reach.cause.remedy])
        assert lab.sandbox("p1").ping("10.244.2.5"), reach.cause.remedy


@pytest.mark.requires(kernel="vxlan")
@pytest.mark.parametrize("to", ["10.9.0.2", "fd09::2"])
@pytest.mark.parametrize(
    ("cause", "link"), [("l2.vxlan-id", "id 9 dstport 4789"), ("l2.vxlan-port", "id 7 dstport 47")]
)
@pytest.mark.parametrize("probe", PROBES.values(), ids=PROBES)
def test_questions_are_lost_in_a_tunnel_as_other_packets(probe, cause, link, to):
    """A question for a MAC that a bridged VXLAN does not take to its other end is explained by that end, not by the
    sender's subnet or by a translation (the group of a solicitation is none)."""
    with Lab(loads(BRIDGED)) as lab:
        lab.host("n2").run(["ip", "link", "del", "vx0"])
        lab.host("n2").run(f"ip link add vx0 type vxlan {link} local 192.168.1.2 remote 192.168.1.1".split())
        lab.host("n2").run(["ip", "link", "set", "vx0", "master", "br0", "up"])

        reach = probe(lab.sandbox("p1"), to)

        assert reach.cause.id == cause, reach.explanation
        assert reach.cause.place == "n2"
        lab.host("n2").run(["sh", "-ec", reach.cause.remedy])
        assert probe(lab.sandbox("p1"), to), reach.cause.remedy
