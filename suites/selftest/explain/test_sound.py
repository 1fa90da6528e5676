"""Sound networks are never explained away: whatever passes has no cause, wherever on its way one asks."""

from __future__ import annotations

import random
from typing import NamedTuple

import pytest

from cnitest import Lab, load
from cnitest.explain.causes.registry import recognised
from cnitest.explain.evidence.loss import Loss
from cnitest.explain.evidence.rows import LastSeen
from cnitest.lab.probe.base import Probe
from cnitest.lab.probe.kinds.datagram import DatagramProbe
from cnitest.lab.probe.kinds.echo import EchoProbe
from cnitest.lab.probe.kinds.stream import StreamProbe
from cnitest.lab.probe.verdict.inquiry import prove
from cnitest.lab.probe.verdict.watching import watched_attempt
from cnitest.topology import find

_SEED = 20261128
_COUNT = 40
_PORT = 8080


class Way(NamedTuple):
    """Two places of a topology, and the host between them."""

    topology: str
    sender: str
    receiver: str
    host: str


WAYS = (
    Way("bridge-walkthrough", "node/ns01", "node/ns02", "node"),
    Way("bridge-walkthrough", "node/ns02", "internet", "node"),
    Way("bridge-walkthrough", "node/ns01", "node", "node"),
    Way("bridge-walkthrough", "node", "internet", "node"),
    Way("two-nodes-routed", "node1", "node2", "router"),
    Way("three-nodes-one-lan", "node1", "node3", "node3"),
    Way("three-nodes-one-lan", "node2", "internet", "gateway"),
    Way("macvlan-modes-lan", "node", "peer", "peer"),
)
_LETS_PASS = {
    "nothing": (),
    "iptables": (
        ("{ip}tables", "-P FORWARD DROP"),
        ("{ip}tables", "-P INPUT DROP"),
        ("{ip}tables", "-N PASS"),
        ("{ip}tables", "-A PASS -j ACCEPT"),
        ("{ip}tables", "-A FORWARD -j PASS"),
        ("{ip}tables", "-A INPUT -j PASS"),
    ),
    "stateful": (
        ("{ip}tables", "-P FORWARD DROP"),
        ("{ip}tables", "-A FORWARD -m conntrack --ctstate INVALID -j DROP"),
        ("{ip}tables", "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"),
        ("{ip}tables", "-A FORWARD -p {icmp} -j ACCEPT"),
        ("{ip}tables", "-A FORWARD -p tcp --dport 8080 -j ACCEPT"),
        ("{ip}tables", "-A FORWARD -p udp --dport 8080 -j ACCEPT"),
        ("{ip}tables", "-A FORWARD -j DROP"),
    ),
    "legacy": (("{ip}tables-legacy", "-P FORWARD DROP"), ("{ip}tables-legacy", "-A FORWARD -j ACCEPT")),
    "nftables": (
        (
            "nft",
            "table inet x {\nset ports { type inet_service; elements = { 9, 10 }; }\n"
            "chain f { type filter hook forward priority 0; policy drop; tcp dport @ports drop; accept; }\n"
            "chain i { type filter hook input priority 0; udp dport 9 drop; }\n}",
        ),
    ),
}
_SYSCTLS = (
    (),
    (("net.ipv4.conf.all.rp_filter", 1),),
    (("net.bridge.bridge-nf-call-iptables", 1), ("net.bridge.bridge-nf-call-ip6tables", 1)),
    (("net.ipv4.conf.all.arp_ignore", 1),),
)


class Drawn(NamedTuple):
    """A sound network and the packet to send through it."""

    way: Way
    rules: str
    sysctls: int
    six: bool
    transport: str

    @property
    def name(self) -> str:
        """For a person."""
        way, family = f"{self.way.topology} {self.way.sender} {self.way.receiver}", 6 if self.six else 4
        return f"{way} {self.rules} {self.sysctls} {self.transport}{family}"


def drawn(count: int, seed: int) -> list[Drawn]:
    """Networks and packets, the same for one seed."""
    chance = random.Random(seed)
    return [
        Drawn(
            chance.choice(WAYS),
            chance.choice(sorted(_LETS_PASS)),
            chance.randrange(len(_SYSCTLS)),
            chance.random() < 0.4,
            chance.choice(("icmp", "tcp", "udp")),
        )
        for _ in range(count)
    ]


def furnish(lab: Lab, one: Drawn) -> None:
    """Give a lab its rules and sysctls; the LAN's node masquerades, so that answers come back."""
    host, node = lab.host(one.way.host), lab.hosts.get("node") if "node" in lab.hosts else None
    words = {"ip": "ip6" if one.six else "ip", "icmp": "icmpv6" if one.six else "icmp"}
    for program, line in _LETS_PASS[one.rules]:
        host.load_rules(program.format(**words), line if program == "nft" else line.format(**words))
    if node and one.way.topology == "bridge-walkthrough":
        node.load_rules(f"{words['ip']}tables", "-t nat -A POSTROUTING -o ens33 -j MASQUERADE")
    for name, value in _SYSCTLS[one.sysctls]:
        if host.sysctl(name) is not None:
            host.sysctl(name, value)


def probe_of(lab: Lab, one: Drawn) -> Probe:
    """The probe to send."""
    sender, receiver = lab.place(one.way.sender), lab.place(one.way.receiver)
    address = next(a.ip for a in reversed(receiver.addresses) if a.scope == "global" and (":" in a.ip) == one.six)
    if one.transport == "icmp":
        return EchoProbe(sender, address)
    kind = StreamProbe if one.transport == "tcp" else DatagramProbe
    return kind(sender, address, _PORT, receiver, _PORT)


@pytest.mark.requires(binary=["iptables", "iptables-legacy", "nft"], kernel=["br_netfilter", "conntrack"])
@pytest.mark.parametrize("one", drawn(_COUNT, _SEED), ids=lambda one: one.name)
def test_what_passes_has_no_cause(one):
    """A probe through a sound network is delivered, and no cause is recognised anywhere on its way there and back."""
    with Lab(load(find(one.way.topology))) as lab:
        furnish(lab, one)
        probe = probe_of(lab, one)

        reach = prove(probe)
        attempt, seen = watched_attempt(probe, {place: lab.sniffer(place) for place in lab.places}, 1.0, probe.far)
        spots = [LastSeen(lab.place(s.place), s.frame.link, s.frame.out, s.returning, s.frame) for s in seen.sightings]
        found = {str(spot): cause for spot in spots if (cause := recognised(Loss(reach, probe, attempt, seen, spot)))}

        assert reach, reach.explanation
        assert reach.dropped_by == ""
        assert attempt.answered
        assert found == {}
