"""Reachability of many places: right verdicts whatever becomes of the packets, each with its cause."""

from __future__ import annotations

import random
import time

import pytest

from cnitest import Lab, ProbeUnproven, UsageError, Verdict
from cnitest.errors import UnknownName
from cnitest.topology import loads


def bridged(count, extra=""):
    """A topology of so many sandboxes on a bridge, of both families: node/c1 has 10.1.0.2 and 2001:db8::2."""
    names = [f"c{at}" for at in range(count)]
    veths = "".join(
        f"  - ends: [{{at: node, name: v{at}, bridge: br0}}, {{at: node/{name}, name: eth0, addresses: "
        f'[10.1.{(at + 1) >> 8}.{(at + 1) & 255}/16, "2001:db8::{at + 1:x}/64"]}}]\n'
        for at, name in enumerate(names)
    )
    return loads(
        "name: many\nhosts:\n  node:\n    bridges: {br0: {}}\n"
        f"    sandboxes: {{{', '.join(f'{name}: {{}}' for name in names)}}}\n"
        f"{extra}veths:\n{veths}"
    )


def routed():
    """Two networks and a router between them, of both families."""
    return loads(
        """name: routed
hosts:
  left: {routes: [default via 10.1.0.1, "default via 2001:db8:1::1"]}
  other: {routes: [default via 10.1.0.1, "default via 2001:db8:1::1"]}
  router: {role: router, bridges: {lan: {addresses: [10.1.0.1/24, "2001:db8:1::1/64"]}}}
  right: {routes: [default via 10.2.0.1, "default via 2001:db8:2::1"]}
veths:
  - ends:
      - {at: left, name: eth0, addresses: [10.1.0.2/24, "2001:db8:1::2/64"]}
      - {at: router, name: l0, bridge: lan}
  - ends:
      - {at: other, name: eth0, addresses: [10.1.0.3/24, "2001:db8:1::3/64"]}
      - {at: router, name: l1, bridge: lan}
  - ends:
      - {at: router, name: wan, addresses: [10.2.0.1/24, "2001:db8:2::1/64"]}
      - {at: right, name: eth0, addresses: [10.2.0.2/24, "2001:db8:2::2/64"]}
"""
    )


FILTER = "table inet f {{ chain c {{ type filter hook {hook} priority 0; {rule}; }}; }}"


def test_everyone_reaches_everyone():
    """All probes of both families, from each place to each other one; the cells are in reading order."""
    with Lab(routed()) as lab:
        matrix = lab.reachability(family=(4, 6))

        assert matrix
        assert matrix.probes == ("icmp", "icmp6", "tcp:80", "tcp6:80", "udp:53", "udp6:53")
        assert len(matrix) == 4 * 3 * 6
        assert next(iter(matrix)) == ("left", "other", "icmp")
        assert matrix["left", "right", "tcp:80"].source_seen == "10.1.0.2"
        assert matrix["left", "right", "udp6:53"].answered_by == "2001:db8:2::2"


def test_each_cell_has_its_own_verdict_and_cause():
    """Dropped, rejected, one way only, of one family only, all at the same time."""
    with Lab(routed()) as lab:
        lab.host("right").load_rules("nft", FILTER.format(hook="input", rule="meta nfproto ipv4 tcp dport 80 drop"))
        lab.host("router").load_rules(
            "nft", FILTER.format(hook="forward", rule="oifname wan ip6 saddr 2001:db8:1::2 meta l4proto icmpv6 reject")
        )
        lab.host("other").load_rules("nft", FILTER.format(hook="input", rule="udp dport 53 reject"))
        expected = {
            "*": {"right": {"tcp:80": False}, "other": {"udp*:53": False}},
            "left": {"right": {"icmp6": False}},
            # Its replies are what the router rejects.
            "right": {"left": {"icmp6": False}},
        }

        matrix = lab.reachability(family=(4, 6))

        assert matrix == expected
        assert matrix["left", "right", "tcp:80"].dropped_by
        assert "answered" in matrix["left", "other", "udp:53"].reason
        assert len(matrix.difference({}).differing) == 3 + 3 * 2 + 2


def test_verdicts_are_those_of_single_probes():
    """Drops, rejects and an isolated port: each cell is what the place alone would have got."""
    with Lab(bridged(6)) as lab:
        node, place = lab.host("node"), lab.sandbox
        for port in ("v4", "v5"):
            node.run(["bridge", "link", "set", "dev", port, "isolated", "on"])
        place("c0").load_rules("iptables", "-P INPUT DROP")
        place("c1").load_rules("nft", FILTER.format(hook="input", rule="tcp dport 80 reject with tcp reset"))
        place("c2").load_rules("nft", FILTER.format(hook="output", rule="ip daddr 10.1.0.4 drop"))
        matrix = lab.reachability(["node/*"])

        for (sender, receiver, probe), reach in matrix.cells.items():
            here, there = lab.place(sender), lab.place(receiver).addresses_on("eth0")[0]
            alone = {
                "icmp": lambda: here.ping(there),  # noqa: B023
                "tcp:80": lambda: here.tcp(there, 80),  # noqa: B023
                "udp:53": lambda: here.udp(there, 53),  # noqa: B023
            }[probe]()
            assert (reach.verdict, sender, receiver, probe) == (alone.verdict, sender, receiver, probe)


def test_translated_addresses_are_followed():
    """A connection that a router rewrites is distinguished from others all the way, and its loss is proved."""
    with Lab(routed()) as lab:
        lab.host("router").load_rules("iptables", "-t nat -A POSTROUTING -o wan -j MASQUERADE --random")
        lab.host("right").load_rules("iptables", "-A INPUT -p tcp -j DROP")

        matrix = lab.reachability(["left", "other"], to="right")

        assert matrix == {"*": {"right": {"tcp:80": False}}}
        assert matrix["left", "right", "udp:53"].source_seen == "10.2.0.1"
        assert {reach.path[-1] for reach in matrix.dropped.values()} == {"right:eth0 in"}


def test_late_answers_are_no_drops():
    """Packets that a shaper holds back for longer than a batch waits are delivered, be there many at once."""
    with Lab(bridged(6)) as lab:
        lab.sandbox("c0").run(
            ["tc", "qdisc", "add", "dev", "eth0", "root", "tbf", *["rate", "24kbit", "burst", "1600", "limit", "4000"]]
        )
        lab.sandbox("c1").load_rules("iptables", "-P INPUT DROP")

        matrix = lab.reachability(["node/*"], "icmp")

        assert not [cell for cell in matrix.dropped if "node/c1" not in cell[:2]]
        assert len(matrix.dropped) >= 5


def test_servers_of_the_test_are_used():
    """A port that somebody listens on already is probed as it is."""
    with Lab(bridged(3)) as lab, lab.sandbox("c0").service(port=80):
        assert lab.reachability(["node/*"], ["tcp:80", "udp:80"])


def test_nothing_is_proved_by_who_is_blind():
    """No cell has a verdict, no comparison passes, whatever is expected."""
    with Lab(bridged(3), blind=True) as lab:
        matrix = lab.reachability(["node/c0", "node/c1"])

        assert {reach.verdict for reach in matrix.cells.values()} == {Verdict.UNPROVEN}
        for outcome in (True, False):
            with pytest.raises(ProbeUnproven):
                matrix == {"*": {"*": outcome}}  # noqa: B015


def test_who_cannot_send_is_not_dropped():
    """Without a path nothing is proved."""
    with Lab(bridged(3)) as lab:
        lab.sandbox("c0").run(["ip", "link", "set", "eth0", "down"])

        matrix = lab.reachability(["node/*"], "icmp", addresses={"c0": "10.1.0.1"})

        assert matrix["node/c1", "node/c2", "icmp"]
        assert all("node/c0" in cell[:2] for cell in (*matrix.unproven, *matrix.dropped))
        assert len(matrix.delivered) == 2


def test_addresses_can_be_chosen():
    """The first global one of the family, or the one that is named, by itself or by its link."""
    with Lab(routed()) as lab:
        first = lab.reachability(["left", "router"], "icmp")
        named = lab.reachability(["left", "router"], "icmp", addresses={"router": "10.2.0.1"})
        link = lab.reachability(["left", "router"], "icmp6", addresses={lab.host("router"): "wan"})

        usual = next(each.ip for each in lab.host("router").addresses if each.scope == "global")
        assert first["left", "router", "icmp"].destination == usual
        assert named["left", "router", "icmp"].destination == "10.2.0.1"
        assert link["left", "router", "icmp6"].destination == "2001:db8:2::1"


def test_no_other_link_takes_the_place_of_a_named_one():
    """Where that has no address of the family, the place is not probed over it."""
    with Lab(routed()) as lab:
        router = lab.host("router")
        router.run(["ip", "-6", "address", "flush", "dev", "wan"])

        matrix = lab.reachability(["left", "router"], ("icmp", "icmp6"), addresses={router: "wan"})

        assert matrix["left", "router", "icmp"]
        assert ("left", "router", "icmp6") in matrix.absent


def test_an_answer_of_somebody_else_does_not_count():
    """Where two places have one address, the one that is probed has to have received it."""
    with Lab(bridged(3)) as lab:
        lab.sandbox("c2").run(["ip", "address", "replace", "10.1.0.2/16", "dev", "lo"])
        lab.sandbox("c2").run(["ip", "address", "del", "10.1.0.3/16", "dev", "eth0"])
        lab.sandbox("c2").run(["sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1"])

        matrix = lab.reachability(["node/c0"], "icmp", to=["node/c1", "node/c2"])

        assert matrix == {"*": {"c2": False}}
        assert matrix["node/c0", "node/c2", "icmp"].dropped_by == "shared address of node/c1"


def test_a_place_without_an_address_is_reported():
    """It is neither reached nor dropped; a probe that fits nobody is an error."""
    with Lab(bridged(3)) as lab:
        lab.sandbox("c0").run(["ip", "-6", "address", "flush", "dev", "eth0"])

        matrix = lab.reachability(["node/*"], "icmp6")

        assert matrix.absent[("node/c1", "node/c0", "icmp6")] == "node/c0 has no IPv6 address"
        assert matrix != {"*": {"c0": False}, "c0": {"*": False}}
        with pytest.raises(UsageError, match="write 'icmp'"):
            lab.reachability(["node/c0", "node/c0", "node"], "icmp6")


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        ({"places": ["node/x"]}, UnknownName, "node/x"),
        ({"places": []}, UsageError, "one or more hosts or sandboxes"),
        ({"places": "node/c0"}, UsageError, "no two places"),
        ({"probes": "tpc:80"}, UsageError, "Did you mean 'tcp:80'?"),
        ({"probes": ()}, UsageError, "one or more"),
        ({"family": 5}, UsageError, "family is 4, 6 or (4, 6)"),
        ({"family": ()}, UsageError, "one or more"),
        ({"addresses": {"c0": "eth1"}}, UsageError, "Did you mean 'eth0'?"),
        ({"addresses": {"c9": "eth0"}}, UnknownName, "c9"),
        ({"places": [3]}, UsageError, "not 3"),
    ],
)
def test_what_cannot_be_probed_is_said(given, kind, words):
    """One clear sentence, before anything is sent."""
    with Lab(bridged(3)) as lab:
        with pytest.raises(kind) as caught:
            lab.reachability(**given)

        assert words in str(caught.value)


def test_two_hundred_places_fit_the_neighbour_tables():
    """The kernel has room for about a thousand neighbours; what the probes brought is gone afterwards."""
    with Lab(bridged(40)) as lab:
        before = {place: len(place.neighbours) for place in lab.places}

        matrix = lab.reachability(["node/*"], "icmp")

        assert matrix
        assert len(matrix) == 40 * 39
        assert all(len(place.neighbours) <= before[place] + 1 for place in lab.places)


def test_batches_are_many_times_faster_than_single_probes():
    """Half of all pairs are dropped; one by one each would take as long as silence has to last."""
    with Lab(bridged(12)) as lab:
        for at in range(0, 12, 2):
            lab.sandbox(f"c{at}").load_rules("iptables", "-P INPUT DROP")
        began = time.perf_counter()
        matrix = lab.reachability(["node/*"], "icmp")
        together = time.perf_counter() - began

        assert len(matrix.dropped) == 132 - 30
        assert together < len(matrix.dropped) * 0.6 / 4


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_drawn_policies_are_reported_cell_by_cell(seed):
    """Each place drops, rejects or takes what each other one sends it, drawn from a seed: the matrix is just that."""
    draw = random.Random(seed)
    kinds = {
        "icmp": "ip saddr {} icmp type echo-request",
        "icmp6": "ip6 saddr {} icmpv6 type echo-request",
        "tcp:80": "ip saddr {} tcp dport 80",
        "tcp6:80": "ip6 saddr {} tcp dport 80",
        "udp:53": "ip saddr {} udp dport 53",
        "udp6:53": "ip6 saddr {} udp dport 53",
    }
    names = [f"node/c{at}" for at in range(7)]
    expected = {}
    with Lab(bridged(7)) as lab:
        for there in names:
            rules = []
            for at, here in enumerate(names):
                for probe, match in kinds.items() if here != there else ():
                    fate = draw.choice(["accept", "accept", "drop", "reject"])
                    address = f"2001:db8::{at + 1:x}" if "6" in probe else f"10.1.0.{at + 1}"
                    rules.append(f"{match.format(address)} {fate}")
                    expected.setdefault(here, {}).setdefault(there, {})[probe] = fate == "accept"
            lab.place(there).load_rules("nft", FILTER.format(hook="input", rule="; ".join(rules)))

        matrix = lab.reachability(names, family=(4, 6))

        assert matrix == expected
        assert not matrix.unproven


def test_a_dead_link_is_soon_reported():
    """Who has no path at all proves nothing, which is not found out anew for each of his pairs."""
    with Lab(bridged(12)) as lab:
        lab.host("node").run(["ip", "link", "set", "v3", "down"])
        began = time.perf_counter()
        lab.reachability(["node/c1", "node/c3"], "icmp")
        both_ways = time.perf_counter() - began
        began = time.perf_counter()
        matrix = lab.reachability("node/*", "icmp")
        took = time.perf_counter() - began

        assert len(matrix.delivered) == 11 * 10
        assert all("node/c3" in cell[:2] for cell in (*matrix.dropped, *matrix.unproven))
        assert took < 11 * both_ways / 2, f"{took:.1f} s, one pair {both_ways:.1f} s"
