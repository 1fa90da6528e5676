"""Captures, and packets of one's own making: scapy where the frame matters."""

from __future__ import annotations

import subprocess

import pytest
from cnitest.suites.selftest import walkthrough
from cnitest.suites.selftest.walkthrough import NS01, NS02

from cnitest.errors import DeadlineExceeded, UsageError

lab, ns01 = walkthrough.lab, walkthrough.ns01


def test_capture_matches_by_layer_and_field(ns01):
    """An ARP request is found by scapy's names and values, and by its class."""
    from scapy.layers.l2 import ARP

    with ns01.capture("eth01") as wire:
        ns01.ping(NS02)

    assert len(wire.matching("ARP", op="who-has", pdst=NS02)) == 1
    assert len(wire.matching(ARP, op=1)) == 1
    assert wire.matching("ICMP", type="echo-reply")[0].sniffed_on == "eth01"


def test_wait_for_returns_at_the_first_match_or_says_what_it_waited_for(ns01):
    """A match that is there returns at once; one that never comes ends with a sentence at the deadline."""
    with ns01.capture("eth01") as wire:
        ns01.ping(NS02)

        assert wire.wait_for("ARP", op="is-at")
        with pytest.raises(DeadlineExceeded, match=r"timed out after 0.1 s: waiting for a packet UDP\(dport=99\)"):
            wire.wait_for("UDP", timeout=0.1, dport=99)


def test_a_typo_is_no_packet_that_did_not_come(ns01):
    """What no packet has is an error of ours with what was meant, so that ``assert not`` cannot pass by it."""
    with ns01.capture("eth01") as wire:
        for seek in (wire.matching, wire.wait_for):
            with pytest.raises(UsageError, match="Did you mean 'echo-request'"):
                seek("ICMP", type="echo-reqest")
        with pytest.raises(UsageError, match="Did you mean 'dport'"):
            wire.matching("UDP", dprt=53)


@pytest.mark.requires(binary="tshark")
def test_a_capture_becomes_a_file_that_others_read(ns01, tmp_path):
    """The pcapng file holds each frame with its time and its interface's name."""
    with ns01.capture("eth01") as wire:
        ns01.ping(NS02)
    path = wire.write(tmp_path / "ping.pcapng")
    fields = subprocess.run(
        ["tshark", "-r", str(path), "-T", "fields", "-e", "frame.interface_name"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()

    assert fields == ["node/ns01:eth01"] * len(wire)


def test_exchange_returns_what_answers(lab, ns01):
    """A packet without addresses gets the sandbox's; the answer is scapy's own notion of one."""
    from scapy.layers.inet import ICMP, IP
    from scapy.layers.l2 import ARP, Ether

    echo = ns01.exchange(IP(dst=NS02) / ICMP() / b"hello")
    arp = ns01.exchange(Ether(dst="ff:ff:ff:ff:ff:ff") / ARP(pdst=NS02), on="eth01")

    assert echo["ICMP"].type == 0
    assert bytes(echo["ICMP"].payload)[:5] == b"hello"
    assert arp["ARP"].hwsrc == lab.sandbox("ns02").link("eth02").mac
    assert ns01.exchange(ARP(pdst="10.40.80.99"), on="eth01", wait=0.1) is None


def test_a_spoofed_source_is_sent_as_it_is(lab, ns01):
    """send() puts on the wire what it was given, and the far end sees it."""
    from scapy.layers.inet import IP, UDP

    with lab.sandbox("ns02").capture("eth02") as wire:
        ns01.send(IP(src="10.40.80.66", dst=NS02) / UDP(sport=1, dport=9) / b"spoof", on="eth01")

        assert wire.wait_for("IP", src="10.40.80.66")


def test_a_vlan_tag_is_seen(lab, ns01):
    """A tag that the kernel strips on receipt is back in the captured frame."""
    from scapy.layers.l2 import Dot1Q, Ether

    with lab.host("node").capture("veth01") as wire:
        ns01.send(Ether(dst="ff:ff:ff:ff:ff:ff", type=0x8100) / Dot1Q(vlan=42, type=0x88B5) / b"tagged", on="eth01")

        assert wire.wait_for("802.1Q", vlan=42)


def test_fragments_are_seen(lab, ns01):
    """A large echo arrives in fragments, the later ones with their offset."""
    with lab.sandbox("ns02").capture("eth02") as wire:
        ns01.ping(NS02, size=3000)

    assert [packet["IP"].frag for packet in wire.matching("IP", src=NS01)] == [0, 185, 370]
