"""What becomes of the packets that carry others in a tunnel: rules, routes, links and addresses of their own."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest

from cnitest import Lab, Verdict
from cnitest.topology import loads

pytestmark = pytest.mark.requires(kernel="vxlan")
BOTH = pytest.mark.parametrize("family", [4, 6])
ENDS = {
    4: {"a": "192.168.1.1", "b": "192.168.2.2", "r": "192.168.1.254", "to": "192.168.2.0/24"},
    6: {"a": "fd01::1", "b": "fd02::2", "r": "fd01::fe", "to": "fd02::/64"},
}
PODS = {4: "10.244.2.5", 6: "2001:db8:2::5"}


def topology(family: int) -> str:
    """Two nodes with a router between them and a VXLAN over it, whose packets are of one family; pods have both."""
    a, b = (f'"{ENDS[family][end]}"' for end in "ab")
    return f"""
name: carried
hosts:
  mid: {{role: router}}
{_node(1, 2, a, b)}{_node(2, 1, b, a)}
veths:
{_wire(1, "mid", 254)}{_wire(2, "mid", 254)}{_pod(1)}{_pod(2)}
"""


def _node(number: int, other: int, own: str, far: str) -> str:
    return f"""
  n{number}:
    role: router
    bridges: {{cni0: {{addresses: [10.244.{number}.1/24, "2001:db8:{number}::1/64"]}}}}
    vxlans:
      vx0: {{id: 1, local: {own}, parent: eth0, port: 8472, learning: false, mac: "02:00:00:00:f1:0{number}",
            addresses: [10.244.{number}.0/32, "fd09::{number}/128"]}}
    routes:
      - 192.168.{other}.0/24 via 192.168.{number}.254
      - fd0{other}::/64 via fd0{number}::fe
      - 10.244.{other}.0/24 via 10.244.{other}.0 dev vx0 onlink
      - fd09::{other} dev vx0
      - 2001:db8:{other}::/64 via fd09::{other} dev vx0 onlink
    neighbours:
      - 10.244.{other}.0 lladdr 02:00:00:00:f1:0{other} dev vx0
      - fd09::{other} lladdr 02:00:00:00:f1:0{other} dev vx0
    fdb: [02:00:00:00:f1:0{other} dev vx0 dst {far.strip('"')}]
    sandboxes: {{p{number}: {{routes: [{{via: 10.244.{number}.1}}, {{via: "2001:db8:{number}::1"}}]}}}}"""


def _wire(number: int, router: str, last: int) -> str:
    return f"""
  - ends:
      - {{at: n{number}, name: eth0, addresses: [192.168.{number}.{number}/24, "fd0{number}::{number}/64"]}}
      - {{at: {router}, name: eth{number}, addresses: [192.168.{number}.{last}/24, "fd0{number}::fe/64"]}}"""


def _pod(number: int) -> str:
    return f"""
  - ends:
      - {{at: n{number}/p{number}, name: eth0, addresses: [10.244.{number}.5/24, "2001:db8:{number}::5/64"]}}
      - {{at: n{number}, name: v{number}, bridge: cni0}}"""


class Row(NamedTuple):
    """A command that breaks the carrier, and the cause and remedy to be reported at its place; ``{t}`` is iptables or
    ip6tables, ``{ip}`` ip(8), ``{a}``, ``{b}`` and ``{r}`` are the first node, the second and the router."""

    cause: str
    place: str
    command: str
    remedy: str

    @property
    def name(self) -> str:
        """What a test of it is called."""
        return f"{self.cause}-{self.place}-{'-'.join(re.findall(r'[a-z]+', self.command)[:9])}"


_NFT = "nft 'table inet t {{ chain c {{ type filter hook HOOK priority 0; udp dport 8472 drop; }}; }}'"
_RULE = "nft delete rule inet t c handle 2"
ROWS = (
    Row("firewall.rule", "n1", "{t} -A OUTPUT -p udp --dport 8472 -j DROP", "{t} -D OUTPUT -p udp"),
    Row("firewall.rule", "n1", "{t}-legacy -A OUTPUT -p udp --dport 8472 -j DROP", "{t}-legacy -D OUTPUT -p udp"),
    Row("firewall.policy", "mid", "{t} -P FORWARD DROP", "{t} -A FORWARD -i eth1 -j ACCEPT"),
    Row("nftables.rule", "n1", _NFT.replace("HOOK", "output"), _RULE),
    Row("nftables.rule", "n1", _NFT.replace("HOOK", "postrouting"), _RULE),
    Row("nftables.rule", "n2", _NFT.replace("HOOK", "output"), _RULE),
    Row("nftables.rule", "n1", _NFT.replace("HOOK", "input"), _RULE),
    Row("routing.no-route", "n1", "{ip} route del {to}", "{ip} route add"),
    Row("routing.blackhole", "n1", "{ip} rule add to {b} blackhole", "{ip} rule del pref"),
    Row("routing.ipsec-policy", "n1", "ip xfrm policy add src {a} dst {b} dir out action block", "ip xfrm policy del"),
    Row("l2.own-link-down", "n1", "ip link set eth0 down", "ip link set eth0 up"),
    Row("l2.wrong-neighbour", "n1", "ip neigh replace {r} lladdr 02:00:00:00:00:99 dev eth0", "ip neigh del {r}"),
    Row("l2.vxlan-remote", "n1", "bridge fdb replace 02:00:00:00:f1:02 dev vx0 dst {r}",
        "bridge fdb replace 02:00:00:00:f1:02 dev vx0 dst {b}"),
    Row("l2.vxlan-remote", "n2", "bridge fdb replace 02:00:00:00:f1:01 dev vx0 dst {b}7",
        "bridge fdb replace 02:00:00:00:f1:01 dev vx0 dst {a}"),
    Row("l2.vxlan-port", "n2", "ip link set vx0 down", "ip link set vx0 up"),
    Row("l2.tunnel-local", "n1", "ip address flush to {a}; {ip} route replace {b} via {r} dev eth0 onlink",
        "ip address add {a}"),
    Row("l2.tunnel-itself", "n1", "{ip} route add {b} dev vx0", "{ip} route del {b}"),
    Row("l2.tunnel-itself", "n2", "{ip} route add {a} dev vx0", "{ip} route del {a}"),
    Row("limits.hop-limit", "n1", "ip link set vx0 type vxlan ttl 1", "ip link set dev vx0 type vxlan ttl 64"),
)  # fmt: skip


@BOTH
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_ends_the_carrier_is_reported(row, family):
    """Whatever ends the packet that carries another is named at its place, and its remedy fixes it."""
    words = {**ENDS[family], "t": f"ip{'6' if family == 6 else ''}tables", "ip": "ip -6" if family == 6 else "ip"}
    command, remedy = (text.format(**words) for text in (row.command, row.remedy))
    with Lab(loads(topology(family))) as lab:
        pod = lab.sandbox("p1")
        assert pod.ping(PODS[family])
        lab.host(row.place).run(["sh", "-ec", command])

        reach = pod.ping(PODS[family], wait=0.2)

        assert reach.verdict is not Verdict.DELIVERED
        assert reach.cause and (reach.cause.id, reach.cause.place) == (row.cause, row.place), reach.explanation
        assert reach.cause.remedy.startswith(remedy), reach.explanation
        lab.host(row.place).run(["sh", "-ec", reach.cause.remedy])
        assert pod.ping(PODS[family]), reach.cause.remedy


@BOTH
def test_another_family_inside_is_reported(family):
    """The carrier's cause is reported whatever the family of what it carries, also of a datagram and a connection."""
    with Lab(loads(topology(family))) as lab:
        other, pod = PODS[10 - family], lab.sandbox("p1")
        lab.host("n1").run(["sh", "-c", _NFT.format().replace("HOOK", "output")])

        for reach in (pod.udp(other, 53, wait=0.2), pod.tcp(other, 80, wait=0.2)):
            assert reach.cause and (reach.cause.id, reach.cause.place) == ("nftables.rule", "n1"), reach.explanation


@BOTH
@pytest.mark.parametrize("inside", [4, 6])
def test_a_connection_is_followed_in_its_tunnel(inside, family):
    """A segment without a payload of ours is seen where it travels in a tunnel: what ends it there is reported."""
    tables = "iptables" if family == 4 else "ip6tables"
    with Lab(loads(topology(family))) as lab:
        pod = lab.sandbox("p1")
        assert "mid:eth2 out" in pod.tcp(PODS[inside], 80, watch="all").path
        lab.host("mid").run([tables, "-A", "FORWARD", "-p", "udp", "--dport", "8472", "-j", "DROP"])

        reach = pod.tcp(PODS[inside], 80)

        assert reach.cause and (reach.cause.id, reach.cause.place) == ("firewall.rule", "mid"), reach.explanation
        assert reach.path[-1] == "mid:eth1 in"
