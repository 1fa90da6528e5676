"""Neighbours that a kernel believes in, or cannot ask for: what we ask ourselves changes none of it."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from cnitest.suites.selftest.explain.ways import Broken, must_be_explained

from cnitest import Lab, load
from cnitest.lab.probe import wire
from cnitest.lab.probe.verdict.neighbour import as_before
from cnitest.topology import find

FAR = {4: "10.40.80.12", 6: "2001:db8:40::12"}
FAR_PACKED = {family: ipaddress.ip_address(address).packed for family, address in FAR.items()}
# Answers no question for a neighbour.
QUIET = """table netdev quiet {
  chain c {
    type filter hook ingress device eth02 priority 0;
    ether type arp drop
    icmpv6 type nd-neighbor-solicit drop
  }
}"""
NOBODYS = "02:00:00:00:00:77"
QUESTIONS = {
    4: "nft 'table arp own { chain c { type filter hook output priority 0; arp operation request drop; }; }'",
    6: "ip6tables -A OUTPUT -p ipv6-icmp -m icmp6 --icmpv6-type neighbour-solicitation -j DROP",
}
BY = {4: "arp own c rule 1", 6: "ip6 filter OUTPUT rule 1"}
REMEDY = {4: "nft delete rule arp own c handle", 6: "ip6tables -D OUTPUT -p ipv6-icmp"}


def _unasked(place: str, link: str, family: int, probe: str) -> Broken:
    """A rule of the place that is to ask drops what it asks."""
    forget = f"{place}: {{ip}} neigh flush dev {link}"
    rule = f"{place}: {QUESTIONS[family]}"
    # Who is asked would ask itself after a while, and be known by that.
    other, near = ("r1", "eth1") if place == "client" else ("server", "eth3")
    late = f"{other}: sysctl -qw net.{{v}}.neigh.{near}.delay_first_probe_time=60 || true"
    said = BY[family], place, REMEDY[family], (family,), (late,)
    return Broken("firewall.neighbour", (rule, forget), *said, probe=probe)


def _wrong(place: str, hop: str, link: str, probe: str) -> Broken:
    """An entry that came by itself has the MAC of a machine that was there before."""
    return Broken(
        "l2.wrong-neighbour",
        (f"{place}: {{ip}} neigh replace {hop} lladdr {NOBODYS} dev {link} nud reachable",),
        "wrong neighbour",
        place,
        f"ip neigh del {hop} dev {link}",
        probe=probe,
    )


BROKEN = [
    (broken, family)
    for family in (4, 6)
    for probe in ("ping", "tcp", "udp")
    for broken in (
        _unasked("client", "eth1", family, probe),
        _unasked("r1", "eth3", family, probe),
        _wrong("client", "{1.2}", "eth1", probe),
        _wrong("r1", "{1.1}", "eth1", probe),
        _wrong("server", "{3.2}", "eth3", probe),
    )
]


@pytest.mark.parametrize(("broken", "family"), BROKEN, ids=[f"{broken.label}-{family}" for broken, family in BROKEN])
def test_what_we_ask_mends_nothing(broken, family):
    """The probe is not delivered since we asked in the kernel's stead, and the cause is there when it is looked for."""
    must_be_explained(broken, family)


@pytest.mark.parametrize("family", [4, 6])
def test_a_kernel_asks_only_for_packets_of_its_own(family):
    """After a question of ours it asks with its next packet, from that one's address. One that asks without any does
    it from its link-local address, which others may know better."""
    with Lab(load(find("bridge-walkthrough"))) as lab:
        ns01, ns02 = lab.sandbox("ns01"), lab.sandbox("ns02")
        ns02.run(["nft", QUIET])
        sniffer = lab.sniffer(ns01)
        ns01.namespace.run(lambda: _send(family))
        sniffer.forget()
        count = sniffer.count
        with as_before(ns01, "eth01", FAR[family]):
            pass
        about = [one for one in sniffer.since(count) if one.link == "eth01" and FAR_PACKED[family] in one.data]
        asked = {wire.read(one.data).source for one in about}
        states = [row.state for row in ns01.neighbours if row.ip == FAR[family]]

    assert (asked, states) == (set(), ["none"])


def _send(family: int) -> None:
    with socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as opened:
        opened.sendto(b"", (FAR[family], 9))
