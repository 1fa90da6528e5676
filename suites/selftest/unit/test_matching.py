"""A packet is held to layers, fields and values that exist; anything else is an error that says what was meant."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from scapy.config import conf
from scapy.layers.inet import ICMP, IP, TCP, UDP, ICMPerror, IPerror
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6ND_NS, IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether

from cnitest.errors import CnitestError, UsageError
from cnitest.kernel.packet_socket import Frame
from cnitest.lab.frames.matching import matches, wanted
from cnitest.lab.probe.kinds.sctp import SctpProbe

MAC = "02:00:00:00:00:0a"
ECHO = Ether() / IP(src="192.0.2.1", dst="192.0.2.2", flags="DF") / ICMP(type=8) / b"hello"
UNREACHABLE = Ether() / IP() / ICMP(type=3, code=1) / IPerror(dst="192.0.2.9") / ICMPerror()
SYN = Ether(src=MAC) / IP() / TCP(dport=8080, flags="S", options=[("MSS", 1460)])
WHO_HAS = Ether() / ARP(op=1, psrc="192.0.2.1", pdst="192.0.2.2", hwsrc=MAC)
SIX = Ether() / IPv6(src="2001:db8::1", dst="2001:db8::2") / ICMPv6EchoRequest()
SOLICITATION = Ether() / IPv6() / ICMPv6ND_NS(tgt="fe80::1")
TAGGED = Ether() / Dot1Q(vlan=42) / IP(src="192.0.2.3") / UDP() / IP(src="192.0.2.4")


def holds(packet, layer, **fields):
    """Whether a packet, dissected from its bytes, matches."""
    return matches(type(packet)(bytes(packet)), wanted(layer, fields))


@pytest.mark.parametrize(
    ("packet", "layer", "fields"),
    [
        (ECHO, "ICMP", {"type": "echo-request"}),
        (ECHO, "ICMP", {"type": 8}),
        (ECHO, "ICMP", {"type": "8"}),
        (ECHO, ICMP, {"type": "echo-request", "code": 0}),
        (ECHO, "IP", {"flags": "DF", "proto": "icmp"}),
        (ECHO, "Raw", {"load": b"hello"}),
        (ECHO, "Raw", {"load": "hello"}),
        (UNREACHABLE, "ICMP", {"type": "dest-unreach", "code": "host-unreachable"}),
        (UNREACHABLE, "ICMP", {"code": "host-unreachable"}),
        (SYN, "TCP", {"flags": "S", "dport": 8080}),
        (SYN, "TCP", {"flags": 2}),
        (SYN, "TCP", {"options": [("MSS", 1460)]}),
        (SYN, "Ethernet", {"src": MAC.upper(), "type": "IPv4"}),
        (SYN, "Ether", {"src": MAC.replace(":", "-"), "type": "0x800"}),
        (WHO_HAS, "ARP", {"op": "who-has", "psrc": "192.0.2.1", "hwsrc": MAC}),
        (SIX, "IPv6", {"src": "2001:DB8:0::1", "nh": "ICMPv6"}),
        (SIX, "ICMPv6EchoRequest", {"type": "Echo Request"}),
        (SOLICITATION, "ICMPv6ND_NS", {"tgt": "fe80::1"}),
        (TAGGED, "802.1Q", {"vlan": 42}),
    ],
)
def test_a_value_is_the_fields_own_or_as_scapy_shows_it(packet, layer, fields):
    """Numbers, words of the field's table, flags, addresses in any spelling match; another packet does not."""
    assert holds(packet, layer, **fields)
    assert not holds(Ether() / IP(src="198.51.100.1") / UDP(dport=9), layer, **fields)


def test_a_layer_inside_another_of_its_kind_is_seen():
    """A packet in a tunnel is held to the values, too."""
    inner = Ether() / IP(src="192.0.2.3", proto=4) / IP(src="192.0.2.4") / UDP()

    assert holds(inner, "IP", src="192.0.2.3")
    assert holds(inner, "IP", src="192.0.2.4")
    assert not holds(inner, "IP", src="192.0.2.5")


def test_a_field_that_the_packet_does_not_have_is_not_its_default():
    """ICMP has a gateway in redirects only; an echo request has none, not 0.0.0.0."""
    assert not holds(ECHO, "ICMP", gw="0.0.0.0")
    assert holds(Ether() / IP() / ICMP(type=5, gw="0.0.0.0"), "ICMP", gw="0.0.0.0")


@pytest.mark.parametrize(
    ("layer", "fields", "words"),
    [
        ("ICMP", {"type": "echo-reqest"}, r"ICMP\.type: 'echo-reqest' is no value of it\. Did you mean 'echo-request'"),
        ("ARP", {"op": "who-hass"}, "Did you mean 'who-has'"),
        ("ICMP", {"code": "host-unreachble"}, "Did you mean 'host-unreachable'"),
        ("ICMP", {"type": "echo-request", "code": "host-unreachable"}, "does not go with type='echo-request'"),
        ("IPv6", {"nh": "ICMPv66"}, "Did you mean 'ICMPv6'"),
        ("Ether", {"type": "IPv44"}, "Did you mean 'IPv4'"),
        ("UDPP", {}, "Did you mean 'UDP'"),
        ("tcp", {}, "Did you mean 'TCP'"),
        ("ICMPv6", {}, "there are ICMPv6DestUnreach"),
        ("DCHP", {}, "Did you mean 'DHCP'"),
        (ICMP(), {}, "pass ICMP"),
        (8, {}, "8 is no layer"),
        ("TCP", {"dprt": 80}, "TCP has no field 'dprt'; it has sport, .* Did you mean 'dport'"),
        ("TCP", {"dport": 70000}, "70000 does not fit: it takes 0 to 65535"),
        ("TCP", {"dport": "70000"}, "does not fit"),
        ("TCP", {"dport": -1}, "does not fit"),
        ("TCP", {"dport": [80]}, r"\[80\] is of type list; it takes a number"),
        ("TCP", {"dport": None}, "None is no value"),
        ("TCP", {"flags": "X"}, "'X' is no flag of it; it takes letters: 'F', 'S'"),
        ("TCP", {"flags": "SYN"}, "'Y' is no flag"),
        ("TCP", {"flags": "s"}, "Did you mean 'S'"),
        ("TCP", {"flags": 512}, "does not fit"),
        ("TCP", {"options": [("MSSS", 1460)]}, "Did you mean 'MSS'"),
        ("TCP", {"options": "MSS"}, "it takes a list"),
        ("IP", {"flags": "DFF"}, "Did you mean 'DF'"),
        ("IP", {"ttl": 256}, "0 to 255"),
        ("IP", {"ttl": 1.5}, "is of type float; it takes a number"),
        ("IP", {"version": 16}, "0 to 15"),
        ("IP", {"src": "192.0.2.300"}, "'192.0.2.300' is not an IPv4 address"),
        ("IP", {"src": "192.0.2.1/24"}, "Did you mean '192.0.2.1'"),
        ("IP", {"src": "2001:db8::1"}, "is an IPv6 address; it takes an IPv4 one"),
        ("IP", {"src": "dns.google"}, "is not an IPv4 address"),
        ("IP", {"src": 7}, "is of type int; it takes an IPv4 address"),
        ("IPv6", {"dst": "192.0.2.1"}, "is an IPv4 address; it takes an IPv6 one"),
        ("IPv6", {"dst": "fe80::1%eth0"}, "names a link, which no packet does. Did you mean 'fe80::1'"),
        ("ARP", {"psrc": "192.0.2"}, "'192.0.2' is not an IPv4 address"),
        ("ARP", {"hwsrc": "02:00:00:00:00"}, "is not a MAC"),
        ("Ether", {"dst": "gg:00:00:00:00:00"}, "is not a MAC"),
        ("Raw", {"load": 5}, "5 is of type int; it takes bytes"),
        ("802.1Q", {"vlan": 5000}, "0 to 4095"),
    ],
)
def test_what_no_packet_has_is_an_error_with_what_was_meant(layer, fields, words):
    """An unknown layer, field or value, a wrong type or a number too large is an error before any packet is read."""
    with pytest.raises(UsageError, match=words) as raised:
        wanted(layer, fields)

    assert isinstance(raised.value, CnitestError | ValueError)


def test_a_layer_that_is_not_loaded_yet_is_found_by_its_name():
    """DHCP and DNS need no import in the test."""
    assert wanted("DHCP", {"options": [("message-type", 1)]})
    assert wanted("DNSQR", {"qname": "example.org"})


@pytest.mark.parametrize("layer", sorted(conf.layers, key=str), ids=lambda layer: layer.__name__)
def test_what_a_packet_has_is_accepted_and_matches(layer):
    """Of each layer that scapy knows, each field's own value as dissected is a value that it can have."""
    try:
        packet = layer(bytes(layer()))
    except Exception:
        pytest.skip(f"scapy does not build an empty {layer.__name__}")
    for name, value in packet.fields.items() if type(packet) is layer else ():
        if value:
            assert matches(packet, wanted(layer, {name: value})), (name, value)


def test_sctp_is_recognised_by_its_ports_or_its_payload():
    """An association's frames are those of our port, and behind a translation those with our payload."""
    sctp = pytest.importorskip("scapy.layers.sctp")
    probe = SctpProbe.__new__(SctpProbe)
    client = SimpleNamespace(getsockname=lambda: ("192.0.2.1", 4000))
    matcher = probe.matcher(client, b"unique-payload")

    def frame(sport, data=b""):
        chunk = sctp.SCTPChunkData(data=data) if data else sctp.SCTPChunkInit()
        for layer in (IP(dst="192.0.2.2"), IPv6(dst="2001:db8::2")):
            packet = Ether(dst=MAC, src=MAC) / layer / sctp.SCTP(sport=sport, dport=80) / chunk
            yield Frame(0, "eth0", True, bytes(packet))

    assert all(map(matcher, frame(4000)))
    assert all(map(matcher, frame(61000, b"unique-payload")))
    assert not any(map(matcher, frame(61000)))
    assert not any(matcher(Frame(0, "eth0", True, bytes(packet))) for packet in (SYN, ECHO, UNREACHABLE))
