"""Neighbours behind a VXLAN that learns nothing, as flannel has them: entries that are stale, and that are gone."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import PROBES, Broken, demand

from cnitest import Lab, Reach
from cnitest.lab.place import Place
from cnitest.topology import loads


def node(number: int, other: int) -> str:
    """A node with a bridge for one pod in both families, whose neighbours are behind a VXLAN."""
    return f"""
  n{number}:
    role: router
    bridges: {{cni0: {{addresses: [10.244.{number}.1/24, "fd00:{number}::1/64"]}}}}
    vxlans:
      flannel.1: {{id: 1, local: 192.168.{number}.1, port: 8472, learning: false,
                  mac: "02:00:00:00:f1:0{number}", addresses: [10.244.{number}.0/32, "fd00:{number}::/128"]}}
    routes:
      - {{via: 192.168.{number}.254}}
      - 10.244.{other}.0/24 via 10.244.{other}.0 dev flannel.1 onlink
      - "fd00:{other}::/64 via fd00:{other}:: dev flannel.1 onlink"
    neighbours:
      - "10.244.{other}.0 lladdr 02:00:00:00:f1:0{other} dev flannel.1"
      - "fd00:{other}:: lladdr 02:00:00:00:f1:0{other} dev flannel.1"
    fdb: ["02:00:00:00:f1:0{other} dev flannel.1 dst 192.168.{other}.1"]
    sandboxes: {{p{number}: {{routes: [{{via: 10.244.{number}.1}}, {{via: "fd00:{number}::1"}}]}}}}"""


def wires(number: int) -> str:
    """The wires of a node: to its pod, and to the router."""
    return f"""
  - ends:
      - {{at: n{number}/p{number}, name: eth0, addresses: [10.244.{number}.5/24, "fd00:{number}::5/64"]}}
      - {{at: n{number}, name: v{number}, bridge: cni0}}
  - ends:
      - {{at: n{number}, name: eth0, addresses: [192.168.{number}.1/24]}}
      - {{at: rt, name: e{number}, addresses: [192.168.{number}.254/24]}}"""


OVERLAY = f"""
name: overlay
hosts:{node(1, 2)}{node(2, 1)}
  rt: {{role: router}}
veths:{wires(1)}{wires(2)}
"""

TO = {4: "10.244.2.5", 6: "fd00:2::5"}
HOP = {4: "10.244.2.0", 6: "fd00:2::"}
BACK = {4: "10.244.1.0", 6: "fd00:1::"}
FAMILY = pytest.mark.parametrize("family", [4, 6])
PROBE = pytest.mark.parametrize("probe", PROBES)


def ip(family: int) -> str:
    """The command ip(8) for a family."""
    return "ip" if family == 4 else "ip -6"


@FAMILY
@PROBE
@pytest.mark.requires(kernel="vxlan")
@pytest.mark.parametrize("remote", ["", "192.168.2.77", "192.168.2.254"], ids=["none", "nobody", "router"])
def test_a_stale_mac_of_the_other_end_is_named(family, probe, remote):
    """Of a node that came back with another MAC, wherever its old one leads by the forwarding table, if anywhere: a
    remote for that would help nobody."""
    stale = f"{ip(family)} neigh replace {HOP[family]} lladdr 02:00:00:00:f1:99 dev flannel.1"
    entry = f"; bridge fdb append 02:00:00:00:f1:99 dev flannel.1 dst {remote}" if remote else ""
    remedy = f"ip neigh replace {HOP[family]} lladdr 02:00:00:00:f1:02 dev flannel.1"
    broken = Broken("l2.wrong-neighbour", "wrong neighbour", "n1", remedy, {"n1": stale + entry}, "n1/p1", TO[family],
                    OVERLAY, probe=PROBES[probe])  # fmt: skip

    demand(broken, warm=True)


@FAMILY
@PROBE
@pytest.mark.requires(kernel="vxlan")
@pytest.mark.parametrize("returning", [False, True], ids=["request", "reply"])
def test_a_permanent_neighbour_that_is_gone_is_named(family, probe, returning):
    """With the topology's entry, and not with a remote for questions that nobody has asked before."""
    place, hop, mac = ("n2", BACK[family], "01") if returning else ("n1", HOP[family], "02")
    remedy = f"ip neigh replace {hop} lladdr 02:00:00:00:f1:{mac} dev flannel.1 nud permanent"
    broken = Broken("l2.neighbour-gone", "neighbour gone", place, remedy,
                    {place: f"{ip(family)} neigh del {hop} dev flannel.1"}, "n1/p1", TO[family], OVERLAY,
                    probe=PROBES[probe])  # fmt: skip

    demand(broken, warm=True)


@pytest.mark.requires(kernel="vxlan")
@FAMILY
def test_a_neighbour_that_is_there_again_with_another_mac_is_not_gone(family):
    """The same entry, with a MAC that nobody has: it is wrong, and not gone."""
    stale = (
        f"{ip(family)} neigh del {HOP[family]} dev flannel.1; "
        f"{ip(family)} neigh add {HOP[family]} lladdr 02:00:00:00:f1:98 dev flannel.1"
    )
    remedy = f"ip neigh replace {HOP[family]} lladdr 02:00:00:00:f1:02 dev flannel.1"

    demand(Broken("l2.wrong-neighbour", "wrong neighbour", "n1", remedy, {"n1": stale}, "n1/p1", TO[family], OVERLAY),
           warm=False)  # fmt: skip


@pytest.mark.parametrize("probe", PROBES)
def test_the_only_way_to_a_gateway_that_answers_nobody_is_named(probe):
    """A container whose gateway is known by a permanent entry alone, once that is gone."""
    topology = """
name: entries
hosts:
  node:
    role: router
    routes: [10.0.5.9/32 dev eni1]
    sandboxes:
      c1:
        routes: [169.254.1.1/32 dev eth0, default via 169.254.1.1]
        neighbours: ["169.254.1.1 lladdr 02:00:00:00:01:01 dev eth0"]
  far: {routes: [{via: 192.168.7.1}]}
veths:
  - ends:
      - {at: node/c1, name: eth0, addresses: [10.0.5.9/32]}
      - {at: node, name: eni1, mac: "02:00:00:00:01:01"}
  - ends: [{at: node, name: up, addresses: [192.168.7.1/24]}, {at: far, name: eth0, addresses: [192.168.7.2/24]}]
"""
    remedy = "ip neigh replace 169.254.1.1 lladdr 02:00:00:00:01:01 dev eth0 nud permanent"

    demand(Broken("l2.neighbour-gone", "neighbour gone", "node/c1", remedy,
                  {"node/c1": "ip neigh del 169.254.1.1 dev eth0"}, "node/c1", "192.168.7.2", topology,
                  probe=PROBES[probe]), warm=True)  # fmt: skip


SERVICE = {4: "10.96.0.10", 6: "fd96::10"}
GONE = {4: "10.244.2.99", 6: "fd00:2::99"}


@FAMILY
@pytest.mark.requires(kernel="vxlan")
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize(("sender", "chain"), [("n1", "OUTPUT"), ("n1/p1", "PREROUTING")])
def test_who_translates_to_nobody_is_the_node_before_the_tunnel(family, protocol, sender, chain):
    """A service whose pod is gone: the other node, where it is looked for, has it from the tunnel only."""
    service, program = SERVICE[family], "iptables" if family == 4 else "ip6tables"
    end, right = (address if family == 4 else f"[{address}]" for address in (GONE[family], TO[family]))
    rule = f"{program} -t nat {{}} {chain} -d {service} -p {protocol} --dport 80 -j DNAT --to-destination {{}}:80"
    way = f"ip route replace {service} via {HOP[family]} dev flannel.1 onlink; "

    def send(place: Place, to: str) -> Reach:
        probe = place.tcp if protocol == "tcp" else place.udp
        return probe(to, 80, listener=place.lab.sandbox("p2"), listener_port=80)

    commands = {"n1": way + rule.format("-A", end)}
    given = {"sender": sender, "to": service, "topology": OVERLAY, "probe": send}
    demand(Broken("nat.dnat-nobody", "DNAT to nobody", "n1", rule.format("-I", right), commands, **given), warm=False)


@FAMILY
@PROBE
@pytest.mark.requires(kernel="vxlan")
def test_a_packet_for_nobody_is_not_translated_by_the_end_of_a_tunnel(family, probe):
    """No rule is anywhere: nobody has the address behind the other node."""
    with Lab(loads(OVERLAY)) as lab:
        cause = PROBES[probe](lab.place("n1/p1"), GONE[family]).cause

    assert cause and (cause.id, cause.place) == ("l2.nobody", "n2")
