"""Connections that are tracked from before a rule translates their source go on as they were; new ones do not."""

from __future__ import annotations

import pytest

from cnitest import Lab, load
from cnitest.topology import find

TO = {4: "8.8.8.8", 6: "2001:4860:4860::8888"}
NETWORK = {4: "10.40.80.0/24", 6: "2001:db8:40::/64"}
SOURCE = {4: "10.40.80.11", 6: "fd40::11"}


def masquerade(program: str, family: int, condition: str) -> str:
    """The command that masquerades what leaves by the uplink."""
    if program == "nft":
        kind = "ip6" if family == 6 else "ip"
        made = f"add table {kind} x; add chain {kind} x p {{ type nat hook postrouting priority 100; }}"
        return f"nft '{made}; add rule {kind} x p oifname ens33 {condition} counter masquerade'"
    name = program.replace("iptables", "ip6tables") if family == 6 else program
    return f"{name} -t nat -A POSTROUTING -o ens33 {condition} -j MASQUERADE"


OTHERS = {"nft": "meta mark 0x40", "iptables": "-m mark --mark 0x40", "iptables-legacy": "-m mark --mark 0x40"}


@pytest.fixture(params=[4, 6])
def walkthrough(request):
    """The walkthrough's lab, where the container has a private address of either family, and that family."""
    with Lab(load(find("bridge-walkthrough"))) as lab:
        if request.param == 6:
            for place, words in (
                ("node", "addr add fd40::1/64 dev br01 nodad"),
                ("node/ns01", "addr add fd40::11/64 dev eth01 nodad"),
                ("node/ns01", "-6 route replace default via fd40::1 src fd40::11"),
            ):
                lab.place(place).run(["ip", *words.split()])
        yield lab, request.param


@pytest.mark.requires(binary="conntrack")
@pytest.mark.parametrize("program", OTHERS)
@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_a_connection_that_is_older_than_its_rule_is_named(walkthrough, kind, program):
    """Its entry, the rule that holds now, and the command that has the next packet begin anew."""
    lab, family = walkthrough
    node = lab.host("node")

    def probe():
        return getattr(lab.sandbox("ns01"), kind)(TO[family], 5353, source_port=5000, source=SOURCE[family])

    node.run(["sh", "-ec", masquerade(program, family, OTHERS[program])])
    before = probe()
    assert before.cause.id == "nat.masquerade-mismatch", before.explanation
    node.run(["sh", "-ec", masquerade(program, family, "")])

    reach = probe()

    assert (reach.cause.id, reach.cause.place) == ("nat.snat-stale", "node"), reach.explanation
    assert reach.dropped_by == "stale conntrack entry"
    assert f"-p {kind} -s {SOURCE[family]} -d {TO[family]}" in reach.cause.remedy
    assert "asquerade" in reach.cause.evidence[0].lower()
    node.run(["sh", "-ec", reach.cause.remedy])
    assert probe(), probe().explanation


def test_a_rule_that_holds_for_new_ones_alone_is_met_by_the_next_port(walkthrough):
    """Without a port of its own each probe begins a connection."""
    lab, family = walkthrough
    node = lab.host("node")
    node.run(["sh", "-ec", masquerade("iptables", family, OTHERS["iptables"])])
    assert not lab.sandbox("ns01").udp(TO[family], 5353, source=SOURCE[family])

    node.run(["sh", "-ec", masquerade("iptables", family, "")])

    assert lab.sandbox("ns01").udp(TO[family], 5353, source=SOURCE[family])
