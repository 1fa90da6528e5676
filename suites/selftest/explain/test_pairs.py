"""Two faults on one way: the one that the packet meets first is named."""

from __future__ import annotations

import random
from itertools import combinations
from typing import NamedTuple

import pytest

from cnitest import Lab, Reach, load
from cnitest.topology import find

_SEED = 20261128
_COUNT = 80
FAMILIES = {
    4: {
        "ip": "ip",
        "tables": "iptables",
        "rules": "ip",
        "to": "8.8.8.8",
        "back": "10.40.80.11",
        "lan": "192.168.80.0/24",
        "icmp": "icmp",
        "request": "icmp --icmp-type echo-request",
        "forwarding": "net.ipv4.ip_forward",
        "ignore": "net.ipv4.icmp_echo_ignore_all",
    },
    6: {
        "ip": "ip -6",
        "tables": "ip6tables",
        "rules": "ip6",
        "to": "2001:4860:4860::8888",
        "back": "2001:db8:40::11",
        "lan": "2001:db8:80::/64",
        "icmp": "icmpv6",
        "request": "icmpv6 --icmpv6-type echo-request",
        "forwarding": "net.ipv6.conf.all.forwarding",
        "ignore": "net.ipv6.icmp.echo_ignore_all",
    },
}
"""What a family calls the things that faults are made of."""


class Fault(NamedTuple):
    """A command that breaks the way from ns01 to the internet, where it runs, and the family and short name of its
    cause. ``at`` says how far along the way it strikes; faults of one place that strike at once share a number."""

    at: int
    place: str
    family: str
    dropped_by: str
    command: str


FAULTS = (
    Fault(10, "node/ns01", "routing", "no route", "{ip} route del default"),
    Fault(20, "node/ns01", "firewall", "{rules} filter OUTPUT", "{tables} -A OUTPUT -d {to} -j DROP"),
    Fault(
        30, "node", "firewall", "{rules} raw PREROUTING", "{tables} -t raw -A PREROUTING -i br01 -p {request} -j DROP"
    ),
    Fault(
        31,
        "node",
        "firewall",
        "{rules} mangle PREROUTING",
        "{tables} -t mangle -A PREROUTING -i br01 -p {request} -j DROP",
    ),
    Fault(40, "node", "routing", "blackhole", "{ip} route add blackhole {to}"),
    Fault(40, "node", "routing", "no route", "{ip} route del default"),
    Fault(40, "node", "routing", "forwarding off", "sysctl -qw {forwarding}=0"),
    Fault(50, "node", "firewall", "{rules} filter FORWARD policy", "{tables} -P FORWARD DROP"),
    Fault(
        51,
        "node",
        "nftables",
        "{rules} own late",
        "nft 'table {rules} own {{ chain late {{ type filter hook forward priority 20; "
        "{rules} daddr {to} drop; }}; }}'",
    ),
    Fault(
        60,
        "node",
        "firewall",
        "{rules} mangle POSTROUTING",
        "{tables} -t mangle -A POSTROUTING -o ens33 -p {request} -j DROP",
    ),
    Fault(
        70, "router", "firewall", "{rules} raw PREROUTING", "{tables} -t raw -A PREROUTING -i lan0 -p {request} -j DROP"
    ),
    Fault(80, "router", "routing", "unreachable", "{ip} route add unreachable {to}"),
    Fault(80, "router", "routing", "forwarding off", "sysctl -qw {forwarding}=0"),
    Fault(90, "router", "firewall", "{rules} filter FORWARD policy", "{tables} -P FORWARD DROP"),
    Fault(100, "internet", "firewall", "{rules} filter INPUT", "{tables} -A INPUT -p {request} -j DROP"),
    Fault(110, "internet", "host", "echo", "sysctl -qw {ignore}=1"),
    Fault(120, "internet", "routing", "route", "{ip} route del {lan}"),
    Fault(130, "router", "firewall", "{rules} filter FORWARD", "{tables} -A FORWARD -s {to} -j DROP"),
    Fault(140, "node", "firewall", "{rules} raw PREROUTING", "{tables} -t raw -A PREROUTING -s {to} -j DROP"),
    Fault(150, "node", "firewall", "{rules} filter FORWARD", "{tables} -A FORWARD -d {back} -j DROP"),
    Fault(160, "node/ns01", "firewall", "{rules} filter INPUT", "{tables} -A INPUT -s {to} -j DROP"),
)


class Pair(NamedTuple):
    """Two faults of a family that strike one after the other, the first one first."""

    family: int
    first: Fault
    second: Fault

    @property
    def name(self) -> str:
        """For a person."""
        return f"IPv{self.family} {name(self.first)}, {name(self.second)}"


def pairs(count: int, seed: int) -> list[Pair]:
    """Pairs of faults; the same for one seed."""
    ordered = [Pair(six, one, other) for six in FAMILIES for one, other in combinations(FAULTS, 2) if one.at < other.at]
    return random.Random(seed).sample(ordered, count)


def name(fault: Fault) -> str:
    """For a person."""
    return f"{fault.place} {fault.dropped_by.replace('{rules} ', '')}"


def broken(lab: Lab, family: int, *faults: Fault) -> Reach:
    """A lab whose node masquerades is broken; the probe that is lost."""
    words = FAMILIES[family]
    lab.host("node").load_rules(words["tables"], "-t nat -A POSTROUTING -o ens33 -j MASQUERADE")
    assert lab.sandbox("ns01").ping(words["to"])
    for fault in faults:
        lab.place(fault.place).run(["sh", "-c", fault.command.format(**words)])
    return lab.sandbox("ns01").ping(words["to"])


def demand(reach: Reach, fault: Fault, family: int) -> None:
    """Demand the place, the family of causes and the short name of a fault."""
    assert reach.verdict.value != "delivered"
    assert reach.cause is not None, str(reach.explanation)
    found = (reach.cause.place, reach.cause.id.partition(".")[0])
    assert found == (fault.place, fault.family), str(reach.explanation)
    assert fault.dropped_by.format(**FAMILIES[family]) in reach.dropped_by, str(reach.explanation)


@pytest.mark.requires(binary=["iptables", "nft"], kernel="conntrack")
@pytest.mark.parametrize("pair", pairs(_COUNT, _SEED), ids=lambda pair: pair.name)
def test_the_first_of_two_faults_is_named(pair):
    """Each of two faults would drop the packet, or its answer; what is named is where it ended."""
    with Lab(load(find("bridge-walkthrough"))) as lab:
        demand(broken(lab, pair.family, pair.second, pair.first), pair.first, pair.family)


@pytest.mark.requires(binary=["iptables", "nft"], kernel="conntrack")
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("fault", FAULTS, ids=name)
def test_each_of_the_faults_alone_is_named(fault, family):
    """What pairs are made of is recognised alone, too."""
    with Lab(load(find("bridge-walkthrough"))) as lab:
        demand(broken(lab, family, fault), fault, family)
