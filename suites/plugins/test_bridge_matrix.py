"""Whom a container of a bridge network reaches: every destination and probe, with each setting of the host's firewall.

From a container go ping, TCP, UDP, and a datagram to a port that answers with an ICMP error; to a container of the same
bridge, one of another bridge, the host, and the internet. The host's FORWARD policy is ACCEPT or DROP, bridged packets
pass iptables or do not, and the firewall plugin is in the chain or is not.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest
from cnitest.suites.plugins.node_networks import INTERNET, UPLINK, network, other, without_dad

pytestmark = [
    pytest.mark.topology("node-with-uplink"),
    pytest.mark.requires(kernel=["br_netfilter", "conntrack"], plugin=["bridge", "host-local"], binary=["iptables"]),
]

#: The port that answers with an ICMP error, so that this has to find its way back.
REJECTED = 9
PROBES = ("icmp", "tcp:80", "udp:53", f"udp:{REJECTED}")
SAME_BRIDGE, OTHER_BRIDGE, HOST, OUTSIDE = "node/same", "node/other", "node", "internet"
EVERYWHERE = (SAME_BRIDGE, OTHER_BRIDGE, HOST, OUTSIDE)
MASQUERADING = {"isDefaultGateway": True, "ipMasq": True}


class Setting(NamedTuple):
    """What the host does with forwarded packets."""

    policy: str
    bridged: int
    firewall: bool

    def __str__(self) -> str:
        return f"{self.policy} br_netfilter={self.bridged} firewall={'yes' if self.firewall else 'no'}"


#: The truth: which destinations are lost, by the host's setting. What no line names is delivered.
LOST = {
    Setting("ACCEPT", 0, False): (),
    Setting("ACCEPT", 0, True): (),
    Setting("ACCEPT", 1, False): (),
    Setting("ACCEPT", 1, True): (),
    Setting("DROP", 0, False): (OTHER_BRIDGE, OUTSIDE),
    Setting("DROP", 0, True): (),
    Setting("DROP", 1, False): (SAME_BRIDGE, OTHER_BRIDGE, OUTSIDE),
    Setting("DROP", 1, True): (),
}
TABLES = {4: "iptables", 6: "ip6tables"}


@pytest.fixture
def container(lab, cni, setting, family):
    """A container in the setting, with a neighbour on its bridge and one on another."""
    node = without_dad(lab.host("node"))
    node.sysctl(f"net.bridge.bridge-nf-call-{TABLES[family]}", setting.bridged)
    node.load_rules(TABLES[family], f"-P FORWARD {setting.policy}")
    added = [
        cni.add(node.sandbox(name), _chain(wanted(family, **MASQUERADING), setting.firewall))
        for name, wanted in (("c1", network), ("same", network), ("other", other))
    ]
    _reject(lab, family)
    return added[0].sandbox


def _chain(wanted, firewall):
    identity = {key: wanted[key] for key in ("cniVersion", "name")}
    own = {key: value for key, value in wanted.items() if key not in identity}
    extra = [{"type": "firewall", "backend": "iptables"}] if firewall else []
    return {**identity, "plugins": [own, *extra]}


def _reject(lab, family):
    reject = f"-A INPUT -p udp --dport {REJECTED} -j REJECT"
    for name in EVERYWHERE:
        lab.place(name).load_rules(TABLES[family], reject)
        # Redirects, of bridged packets that are routed, use up what may be sent of errors (Icmp6OutRateLimitHost).
        lab.place(name).sysctl("net.ipv4.icmp_ratelimit" if family == 4 else "net.ipv6.icmp.ratelimit", 0)


@pytest.mark.requires(plugin="firewall")
@pytest.mark.covers("bridge", "packet")
@pytest.mark.covers("bridge.isDefaultGateway", "packet")
@pytest.mark.covers("bridge.ipMasq", "packet")
@pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("setting", LOST, ids=str)
def test_whom_a_container_reaches(lab, container, setting, family):
    """Just the destinations of the truth table are lost, for every probe, and FORWARD's policy is what drops them."""
    matrix = lab.reachability(
        [container], PROBES, to=EVERYWHERE, family=family, addresses={HOST: UPLINK[family], OUTSIDE: INTERNET[family]}
    )
    lost = LOST[setting]

    assert matrix == {
        "*": {**dict.fromkeys(lost, False), **{to: {"udp*:9": None} for to in EVERYWHERE if to not in lost}}
    }
    errors = {cell.receiver: reach.answered_by for cell, reach in matrix.cells.items() if reach.port == REJECTED}
    assert {to for to, by in errors.items() if by} == {*EVERYWHERE} - {*lost}


@pytest.mark.covers("bridge", "packet")
@pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("setting", [Setting("DROP", 1, False)], ids=str)
def test_what_loses_them(lab, container, setting, family):
    """What is lost names the policy of FORWARD on the node, and the host itself is reached all the same."""
    there = {SAME_BRIDGE: lab.place(SAME_BRIDGE), OTHER_BRIDGE: lab.place(OTHER_BRIDGE)}
    found = {name: _address(place, family) for name, place in there.items()} | {OUTSIDE: INTERNET[family]}
    cut = {name: container.tcp(to, 80) for name, to in found.items()}

    assert {name: reach.dropped_by for name, reach in cut.items()} == dict.fromkeys(
        cut, f"{'ip' if family == 4 else 'ip6'} filter FORWARD policy"
    )
    assert {reach.cause.place for reach in cut.values()} == {"node"}
    assert container.tcp(UPLINK[family], 80)


def _address(place, family):
    return next(found for found in place.addresses_on("eth0") if (":" in found) == (family == 6))


@pytest.mark.covers("bridge", "packet")
@pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("setting", [Setting("ACCEPT", 1, False)], ids=str)
def test_another_engine_drops_and_one_rule_cures(lab, container, setting, family):
    """FORWARD is set to DROP after the ADD: a rule for the bridge brings back neighbours, one more the way out."""
    node, same = lab.host("node"), _address(lab.place(SAME_BRIDGE), family)
    node.load_rules(TABLES[family], "-P FORWARD DROP")
    cut = container.tcp(same, 80)
    verdict = bool(cut), cut.dropped_by
    node.load_rules(TABLES[family], "-A FORWARD -i cni0 -j ACCEPT")
    neighbour = bool(container.tcp(same, 80))
    outside = container.tcp(INTERNET[family], 80)
    node.load_rules(TABLES[family], "-A FORWARD -o cni0 -j ACCEPT")

    assert verdict == (False, f"{'ip' if family == 4 else 'ip6'} filter FORWARD policy")
    assert neighbour
    assert not outside
    assert container.tcp(INTERNET[family], 80)


@pytest.mark.covers("bridge", "packet")
@pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("setting", [Setting("ACCEPT", bridged, False) for bridged in (0, 1)], ids=str)
def test_a_service_address_of_a_neighbour(lab, container, setting, family):
    """An address that the host translates to a neighbour on the same bridge works only where bridged replies pass the
    host's connection tracking; else they come back from an address that nobody asked."""
    node, service = lab.host("node"), {4: "10.96.0.1", 6: "2001:db8:96::1"}[family]
    same = _address(lab.place(SAME_BRIDGE), family)
    node.load_rules(TABLES[family], f"-t nat -A PREROUTING -d {service} -j DNAT --to-destination {same}")

    assert bool(container.tcp(service, 80, listener=lab.place(SAME_BRIDGE))) is bool(setting.bridged)
