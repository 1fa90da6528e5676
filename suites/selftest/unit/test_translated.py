"""What a destination becomes by translation, and which tracked connection a packet is of."""

from __future__ import annotations

import pytest

from cnitest.explain.evidence.ip import translated
from cnitest.explain.evidence.rows import MetRule
from cnitest.kernel.netfilter.conntrack import Flow
from cnitest.lab.probe import wire

ECHO = wire.Headers(wire.ETH_IPV4, "10.0.0.1", "10.0.0.2", wire.ICMP, kind=8, echo=7)
SCTP = wire.Headers(wire.ETH_IPV4, "10.0.0.1", "10.0.0.2", wire.SCTP, source_port=4000, destination_port=2905)


def _flow(protocol: str, port: str, to: str, number: int = 0) -> Flow:
    asked = ("10.0.0.1:4000", f"10.0.0.2:{port}") if port else ("10.0.0.1", "10.0.0.2")
    return Flow(protocol, *asked, f"{to}:{port}" if port else to, asked[0], number)


def _step(rule: str) -> MetRule:
    return MetRule("node", "iptables", "ip nat", "PREROUTING", ("PREROUTING",), "PREROUTING", rule, "accept")


def test_an_echo_is_of_the_connection_with_its_identifier() -> None:
    """Other pings between the same addresses say nothing of it."""
    flows = [_flow("icmp", "", "10.0.0.8", 6), _flow("icmp", "", "10.0.0.9", 7)]

    assert translated.by_connection(ECHO, flows) == "10.0.0.9"
    assert translated.flow_of(ECHO, flows) == flows[1]
    assert translated.by_connection(ECHO._replace(echo=5), flows) == ""


def test_of_several_connections_that_go_elsewhere_none_is_chosen() -> None:
    """An echo that was never seen has no identifier."""
    flows = [_flow("icmp", "", "10.0.0.8", 6), _flow("icmp", "", "10.0.0.9", 7)]

    assert translated.by_connection(ECHO._replace(echo=0), flows) == ""
    assert translated.flow_of(ECHO._replace(echo=0), flows) is None
    assert translated.by_connection(ECHO._replace(echo=0), flows[:1]) == "10.0.0.8"


def test_a_connection_of_another_protocol_is_not_a_packets() -> None:
    """TCP and SCTP may use the same ports."""
    flows = [_flow("tcp", "2905", "10.0.0.8"), _flow("sctp", "2905", "10.0.0.9")]

    assert translated.by_connection(SCTP, flows) == "10.0.0.9"


@pytest.mark.parametrize(
    ("rule", "address", "written"),
    [
        ("-j DNAT --to-destination 10.0.0.1:80", "10.0.0.1", "10.0.0.1"),
        ("-j DNAT --to-destination 10.0.0.1:80-90", "10.0.0.1", "10.0.0.1"),
        ("-j DNAT --to-destination 10.0.0.1-10.0.0.9:80", "", "10.0.0.1-10.0.0.9"),
        ("-j DNAT --to-destination [2001:db8::1]:80", "2001:db8::1", "2001:db8::1"),
        ("-j DNAT --to-destination [2001:db8::1]-[2001:db8::9]:80", "", "2001:db8::1-2001:db8::9"),
        ("-j DNAT --to-destination 2001:db8::1-2001:db8::9", "", "2001:db8::1-2001:db8::9"),
        ("dnat ip6 to [2001:db8::1]:80", "2001:db8::1", "2001:db8::1"),
        ("dnat to 10.0.0.1-10.0.0.9", "", "10.0.0.1-10.0.0.9"),
        ("-j ACCEPT", "", ""),
    ],
)
def test_a_rule_with_a_range_names_no_single_address(rule: str, address: str, written: str) -> None:
    """Ports, and ranges of them, are no part of the address."""
    assert translated.by_rule([_step(rule)]) == address
    assert translated.written(rule) == written


def test_of_a_range_the_one_that_is_asked_for_in_vain_was_chosen() -> None:
    """Where that is more than one, nobody knows."""
    steps = [_step("-j DNAT --to-destination 10.0.0.5-10.0.0.9")]

    assert translated.by_range(steps, ["10.0.0.4", "10.0.0.7", "2001:db8::7"]) == "10.0.0.7"
    assert translated.by_range(steps, ["10.0.0.6", "10.0.0.7"]) == ""


def test_sctp_has_ports() -> None:
    """RFC 9260, section 3.1: both ports, the verification tag, the checksum."""
    from scapy.layers import sctp
    from scapy.layers.inet import IP
    from scapy.layers.l2 import Ether

    packet = sctp.SCTP(sport=4000, dport=2905, tag=9) / b"x"
    read = wire.read(bytes(Ether() / IP(src="10.0.0.1", dst="10.0.0.2") / packet))

    assert (read.protocol, read.source_port, read.destination_port) == (wire.SCTP, 4000, 2905)
    assert (read.sequence, read.payload[:1]) == (9, b"x")
