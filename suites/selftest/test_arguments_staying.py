"""What a newcomer guesses wrong about programs, servers and connections that stay: each call says what to write."""

from __future__ import annotations

from pathlib import Path

import pytest
from cnitest.suites.selftest import two_hosts

from cnitest.errors import CnitestError
from cnitest.kernel.processes import programs

lab, node = two_hosts.lab, two_hosts.node


def over_one(node, call):
    """Call with an open connection."""
    node.run(["ip", "address", "replace", "127.0.0.1/8", "dev", "lo"])
    node.run(["ip", "link", "set", "lo", "up"])
    with node.connection("127.0.0.1", 8099, listener=node, protocol="udp") as connection:
        call(connection)


SLEEP = ["sleep", "9"]
ADDRESS = "10.99.0.1"

OF_WHAT_STAYS = {
    "a place as the other end": (lambda h: h.connection(h, 80), "connection(): address is an IP address as text"),
    "a name as the other end": (lambda h: h.throughput("example.org"), "names are not resolved here"),
    "a connection's port": (
        lambda h: h.connection(ADDRESS, "80"),
        "connection(): port is a number, not '80': write 80",
    ),
    "a protocol": (
        lambda h: h.connection(ADDRESS, 80, protocol="tpc"),
        "protocol is 'tcp' or 'udp', not 'tpc'. Did you",
    ),
    "a protocol's number": (lambda h: h.connection(ADDRESS, 80, protocol=6), "protocol is 'tcp' or 'udp', not 6"),
    "capitals": (lambda h: h.throughput(ADDRESS, protocol="UDP"), "not 'UDP'. Did you mean 'udp'?"),
    "a listener by name": (
        lambda h: h.connection(ADDRESS, 80, listener="other"),
        "listener is a host or sandbox of the",
    ),
    "two listeners": (
        lambda h: h.connection(ADDRESS, 80, listener=[h, h]),
        "is one host or sandbox of the lab, not several",
    ),
    "two of a stream": (lambda h: h.tcp(ADDRESS, 80, listener=[h, h]), "tcp(): listener is one host or sandbox"),
    "no wait": (lambda h: h.connection(ADDRESS, 80, wait=None), "wait is a number of seconds, such as 1.5, not None"),
    "a source port": (
        lambda h: h.connection(ADDRESS, 80, source_port="8"),
        "source_port is a number, not '8': write 8",
    ),
    "a mark as ip writes it": (
        lambda h: h.connection(ADDRESS, 80, mark="0x1"),
        "mark is a number, not '0x1': write 0x1",
    ),
    "a text to send": (
        lambda h: over_one(h, lambda c: c.send("abc")),
        "send(): data is bytes, not a text: write b'abc'",
    ),
    "a number to send": (
        lambda h: over_one(h, lambda c: c.far.send(5)),
        "send(): data is bytes, such as b'hello', not 5",
    ),
    "a size to receive": (lambda h: over_one(h, lambda c: c.receive(-1)), "size is a whole number of bytes, not -1"),
    "a wait to be alive": (lambda h: over_one(h, lambda c: c.alive(wait="1")), "alive(): wait is a number of seconds"),
    "seconds with a unit": (
        lambda h: h.throughput(ADDRESS, "1s"),
        "throughput(): seconds is a number of seconds, such as",
    ),
    "too many seconds": (lambda h: h.throughput(ADDRESS, 61), "seconds 61 is none: more than 0, at most 60"),
    "a rate's unit": (lambda h: h.throughput(ADDRESS, rate="10mbt"), "Did you mean '10mbit'?"),
    "a rate as a list": (
        lambda h: h.throughput(ADDRESS, rate=[1]),
        "rate is a number of bits a second, or a text such as",
    ),
    "no rate": (lambda h: h.throughput(ADDRESS, rate=0), "rate 0 is none: a number of bits a second"),
    "a program as a text": (
        lambda h: h.start("sleep 9"),
        "start(): argv is a list of words, not one text: write ['sleep'",
    ),
    "a port that is ready": (lambda h: h.start(SLEEP, ready=70000), "a port is a number from 1 to 65535, not 70000"),
    "a flag that is ready": (
        lambda h: h.start(SLEEP, ready=True),
        "ready is a port, a pattern or bytes of the output, a",
    ),
    "no pattern": (lambda h: h.start(SLEEP, ready="("), "'(' is no regular expression"),
    "an empty pattern": (lambda h: h.start(SLEEP, ready=""), "not '', which is in any output"),
    "a path from nowhere": (
        lambda h: h.start(SLEEP, ready=Path("x/y")),
        "'x/y' is not absolute: write where it is in the",
    ),
    "a function with arguments": (
        lambda h: h.start(SLEEP, ready=len),
        "function without arguments: write lambda: len(…)",
    ),
    "a time": (lambda h: h.start(SLEEP, timeout="1"), "timeout is a number of seconds, such as 1.5, not '1'"),
    "a sign of one that runs": (
        lambda h: h.start(SLEEP).wait_for("("),
        "wait_for(): ready '(' is no regular expression",
    ),
    "a service's port": (lambda h: h.service(0), "service(): port is a number from 1 to 65535, not 0"),
    "a service's protocol": (
        lambda h: h.service(80, "udp", "tpc"),
        "protocols is 'tcp' or 'udp', not 'tpc'. Did you mean",
    ),
    "protocols in a list": (lambda h: h.service(80, ["tcp"]), "is 'tcp' or 'udp', each a word of its own, not ['tcp']"),
    "an answer as a text": (lambda h: h.service(80, reply="x"), "reply is bytes, not a text: write b'x'"),
    "how many to wait for": (lambda h: h.service(80).wait_for("1"), "count is a whole number from 1, not '1'"),
    "a server's link": (
        lambda h: h.dhcp_server("dhcp"),
        "node has no link 'dhcp'; it has lo, dhcp0. Did you mean 'dhcp0'?",
    ),
    "a server's link itself": (
        lambda h: h.dhcp_server(h.link("dhcp0")),
        "link is the name of a link, such as 'eth0', not",
    ),
    "a link without addresses": (lambda h: h.dhcp_server("lo"), "lo has no IPv4 address"),
    "no address to give": (lambda h: h.dhcp_server("dhcp0", "abc"), "first 'abc' is not an IP address"),
    "a prefix to give": (lambda h: h.dhcp_server("dhcp0", "10.99.0.9/24"), "write '10.99.0.9', without the prefix"),
    "IPv6 to give": (
        lambda h: h.dhcp_server("dhcp0", last="2001:db8::1"),
        "last '2001:db8::1' is not in the subnet of dhcp0",
    ),
    "the subnet to give": (lambda h: h.dhcp_server("dhcp0", "10.99.0.0"), "which is 10.99.0.1 to 10.99.0.254"),
    "a range turned round": (
        lambda h: h.dhcp_server("dhcp0", "10.99.0.9", "10.99.0.8"),
        "first '10.99.0.9' comes after last '10.99.0.8'",
    ),
    "an option as a text": (lambda h: h.dhcp_server("dhcp0", options="3,1.2.3.4"), "not one: write ['3,1.2.3.4']"),
    "rules in a list": (lambda h: h.load_rules("iptables", ["-P INPUT DROP"]), "write a * before the list"),
    "a sysctl's number": (lambda h: h.sysctl(5), "sysctl(): name is a text, not 5"),
}


@pytest.mark.parametrize(("call", "words"), OF_WHAT_STAYS.values(), ids=OF_WHAT_STAYS)
def test_what_stays_says_what_to_write(lab, node, call, words):
    """Before anything is started that stays."""
    if "dhcp_server" in call.__code__.co_names and not programs.find("dnsmasq"):
        pytest.skip("no dnsmasq")
    if not any(link.name == "dhcp0" for link in node.links):
        node.run(["ip", "link", "add", "dhcp0", "type", "bridge"])
        node.run(["ip", "address", "add", f"{ADDRESS}/24", "dev", "dhcp0"])
        node.run(["ip", "link", "set", "dhcp0", "up"])
    before = len(lab.staying)

    with pytest.raises(CnitestError) as raised:
        call(node)

    assert words in str(raised.value)
    assert len(lab.staying) == before or "wait_for" in call.__code__.co_names
