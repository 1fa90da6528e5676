"""Networks that are broken at random: how often a cause is found, and how often its commands let the packet pass.

python benchmarks/broken.py [--networks N] [--breaks K] [--first SEED] [--only TOPOLOGY]

Each network has K breaks, of rules, routes, addresses, neighbours, links, queues and sysctls, at places of its own
choice; those that do not keep the packet are passed over. One that stays lost is printed with its breaks and each
explanation: it is advice that no shell runs, or a cause that is wrong or missing. Exit code 1 where more than one in
twenty has a step without a cause.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_interface
from typing import NamedTuple

import isolate

from cnitest import Lab, load
from cnitest.errors import CnitestError
from cnitest.explain.tried import Trial, tried
from cnitest.kernel.rows.records import Address
from cnitest.lab.place import Place
from cnitest.lab.reach import Reach, Verdict
from cnitest.topology import find

TOPOLOGIES = ("bridge-walkthrough", "node-with-uplink", "docker-host", "two-nodes-routed", "two-uplinks")
MOST_WITHOUT = 0.05
_TRIES = 20
_HOOKS = ("prerouting", "input", "forward", "output", "postrouting")
#: What breaks a network, as a shell runs it; the words in braces are chosen anew each time (see `_words`).
BREAKS = (
    "{iptables} -A {chain} -p {protocol} -j DROP",
    "{iptables} -A {chain} -s {address} -j REJECT",
    "{iptables} -P {chain} DROP",
    "{iptables} -t raw -A PREROUTING -d {address} -j DROP",
    "{iptables} -t mangle -A POSTROUTING -o {link} -j DROP",
    "{iptables} -P FORWARD DROP; {iptables} -A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT",
    "{iptables} -t nat -A PREROUTING -d {address} -j DNAT --to-destination {other}",
    "{iptables} -t nat -I POSTROUTING -s {network} -j SNAT --to-source {other}",
    "{iptables} -t nat -F",
    "nft 'table inet t {{ chain c {{ type filter hook {hook} priority 0; {family} saddr {address} drop; }}; }}'",
    "nft 'table inet t {{ chain c {{ type filter hook {hook} priority 0; policy drop; iifname {link} accept; }}; }}'",
    "nft 'table netdev t {{ chain c {{ type filter hook ingress device {link} priority 0; drop; }}; }}'",
    "nft 'table bridge t {{ chain c {{ type filter hook forward priority 0; {family} daddr {address} drop; }}; }}'",
    "sysctl -qw {sysctl}",
    "{ip} route del default",
    "{ip} route del {network}",
    "{ip} route add {refusal} {address} metric 1",
    "{ip} route add {address} dev {link} metric 1",
    "{ip} route add {network} via {other} metric 1",
    "{ip} route replace default via {other}",
    "{ip} rule add to {network} pref 100 {refusal}",
    "{ip} rule add from {address} pref 101 lookup 77; {ip} route add default via {other} table 77",
    "{ip} neigh replace {address} lladdr 02:00:00:00:be:ef dev {link} nud permanent",
    "{ip} address flush dev {link}",
    "{ip} address add {address}/{length} dev {link}{nodad}",
    "ip link set {link} down",
    "ip link set {link} address 02:00:00:00:00:77",
    "ip link set {link} nomaster",
    "ip link set {link} mtu {mtu}",
    "ip link set {link} arp off",
    "tc qdisc add dev {link} root tbf rate 8bit burst 1 limit 1",
    "bridge link set dev {link} isolated on",
    "bridge link set dev {link} state 0",
)
SYSCTLS = {
    4: ("net.ipv4.ip_forward=0", "net.ipv4.icmp_echo_ignore_all=1", "net.ipv4.conf.{link}.rp_filter=1",
        "net.ipv4.conf.{link}.arp_ignore=8", "net.ipv4.ip_default_ttl=1", "net.ipv4.conf.{link}.forwarding=0"),
    6: ("net.ipv6.conf.all.forwarding=0", "net.ipv6.icmp.echo_ignore_all=1", "net.ipv6.conf.{link}.disable_ipv6=1",
        "net.ipv6.conf.{link}.hop_limit=1"),
}  # fmt: skip
PROBES: dict[str, Callable[[Place, str], Reach]] = {
    "ping": lambda place, to: place.ping(to),
    "tcp": lambda place, to: place.tcp(to, 4711),
    "udp": lambda place, to: place.udp(to, 4711),
}


class Broken(NamedTuple):
    """A network whose packet was lost: what was sent, what broke it, and each explanation with what was tried."""

    title: str
    breaks: tuple[str, ...]
    lost: Reach
    trials: tuple[Trial, ...]

    @property
    def passes(self) -> bool:
        """Whether the packet is delivered in the end."""
        return bool(self.trials) and self.trials[-1].delivered

    @property
    def reaches(self) -> list[Reach]:
        """What became of each packet, in order."""
        return [self.lost, *(trial.reach for trial in self.trials if trial.reach is not None)]

    @property
    def is_explained(self) -> bool:
        """Whether each packet that was lost has a cause."""
        return all(one.verdict is Verdict.DELIVERED or one.cause for one in self.reaches)

    def __str__(self) -> str:
        lines = [self.title, *(f"  broken by {each}" for each in self.breaks), str(self.lost.explanation)]
        for trial in self.trials:
            lines += [f"tried at {trial.place}: {trial.command}", trial.failure]
            lines += [] if trial.reach is None else [str(trial.reach.explanation)]
        return "\n".join(filter(None, lines))


def broken(seed: int, breaks: int, topologies: Sequence[str]) -> Broken | None:
    """The network of a number; None where its packet passes all the same, or did not before."""
    chance = random.Random(seed)
    name, family, kind = chance.choice(topologies), chance.choice((4, 6)), chance.choice(list(PROBES))
    with Lab(load(find(name))) as lab:
        ends = [(place, row.ip) for place in lab.places for row in _addresses(place, family)]
        (sender, _), (_, to) = chance.sample(ends, 2)
        if _send(kind, sender, to).verdict is not Verdict.DELIVERED:
            return None
        done = tuple(_break(chance, lab.places, family, kind, breaks))
        lost = _send(kind, sender, to)
        if lost.verdict is Verdict.DELIVERED:
            return None
        title = f"#{seed} {name}: {lost.explanation.head}"
        return Broken(title, done, lost, tuple(tried(lab, lost, lambda: _send(kind, sender, to))))


def _send(kind: str, sender: Place, to: str) -> Reach:
    return PROBES[kind](sender, to)


def _addresses(place: Place, family: int) -> list[Address]:
    return [row for row in place.addresses if row.scope == "global" and (":" in row.ip) == (family == 6)]


def _break(chance: random.Random, places: Sequence[Place], family: int, kind: str, wanted: int) -> Iterator[str]:
    """Run breaks, each at a place where it can be, and say which; those that cannot are passed over."""
    for _ in range(wanted * _TRIES):
        place = chance.choice(places)
        links = [link.name for link in place.links if link.name != "lo"]
        if place.role == "switch" or not links:
            continue
        command = chance.choice(BREAKS).format_map(_words(chance, places, chance.choice(links), family, kind))
        if place.run(["sh", "-ec", command], check=False).exit_code == 0:
            yield f"{place.full_name}: {command}"
            wanted -= 1
        if not wanted:
            return


def _words(chance: random.Random, places: Sequence[Place], link: str, family: int, kind: str) -> dict[str, object]:
    six = family == 6
    known = [ip_interface(row.address) for place in places for row in _addresses(place, family)]
    return {
        "link": link,
        "address": chance.choice(known).ip,
        "other": chance.choice(known).ip,
        "network": chance.choice(known).network,
        "length": 128 if six else 32,
        "nodad": " nodad" if six else "",
        "family": "ip6" if six else "ip",
        "ip": "ip -6" if six else "ip",
        "iptables": ("ip6tables" if six else "iptables") + chance.choice(("", "-legacy")),
        "protocol": ("ipv6-icmp" if six else "icmp") if kind == "ping" else kind,
        "chain": chance.choice(("INPUT", "FORWARD", "OUTPUT")),
        "hook": chance.choice(_HOOKS),
        "refusal": chance.choice(("blackhole", "unreachable", "prohibit")),
        "mtu": 1280 if six else 576,
        "sysctl": chance.choice(SYSCTLS[family]).format(link=link),
    }


def main(argv: Sequence[str]) -> int:
    """Break the networks, print those that stay lost, and count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=300)
    parser.add_argument("--breaks", type=int, default=2)
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    parser.add_argument("--only", choices=TOPOLOGIES, action="append")
    options = parser.parse_args(argv)
    isolate.enter()
    found = []
    for seed in range(options.first, options.first + options.networks):
        try:
            one = broken(seed, options.breaks, options.only or TOPOLOGIES)
        except CnitestError as error:
            print(f"#{seed}: not sent: {error}")
            continue
        found += [one] if one else []
        if one and not one.passes:
            print(f"{one}\n", flush=True)
    passing, explained = (sum(map(ask, found)) for ask in (lambda one: one.passes, lambda one: one.is_explained))
    print(f"{len(found)} lost: {explained} with a cause for each step, {passing} pass with what was tried")
    return int(len(found) - explained > MOST_WITHOUT * len(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
