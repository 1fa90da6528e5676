"""A connection that stays open: bytes both ways, and whether it survives what happens around it."""

from __future__ import annotations

import time

import pytest

from cnitest import Lab, Verdict
from cnitest.errors import DeadlineExceeded, KernelError, UsageError
from cnitest.topology import find, load

NS02 = {4: "10.40.80.12", 6: "2001:db8:40::12"}
BOTH = pytest.mark.parametrize("family", [4, 6])
KINDS = pytest.mark.parametrize("protocol", ["tcp", "udp"])


@pytest.fixture
def lab():
    """Two sandboxes on a bridge whose frames pass iptables."""
    with Lab(load(find("bridge-walkthrough"))) as built:
        for family in ("iptables", "ip6tables"):
            built.host("node").sysctl(f"net.bridge.bridge-nf-call-{family}", 1)
        yield built


@pytest.fixture
def ns01(lab):
    """The client."""
    return lab.sandbox("ns01")


@BOTH
@KINDS
def test_bytes_go_both_ways(ns01, protocol, family):
    """What one end sends the other receives, and the listener sees who the client is."""
    with ns01.connection(NS02[family], 7000, protocol=protocol, source_port=4500) as connection:
        connection.send(b"there")
        there = connection.far.receive(5)
        connection.far.send(b"and back")
        back = connection.receive()

    assert (there, back) == (b"there", b"and back")
    assert connection.source_port == 4500
    assert connection.source_seen in ns01.addresses_on("eth01")


@BOTH
@KINDS
def test_alive_takes_none_of_the_users_bytes(ns01, protocol, family):
    """A check in between does not show in what is received afterwards."""
    with ns01.connection(NS02[family], 7000, protocol=protocol) as connection:
        connection.send(b"before")
        reach = connection.alive()
        connection.send(b"after")

        assert reach
        assert reach.path[0] == "node/ns01:eth01 out"
        assert connection.far.receive(11) == b"beforeafter"


@BOTH
@KINDS
def test_a_firewall_that_cuts_it_is_seen_and_one_that_heals_it(lab, ns01, protocol, family):
    """A rule against it is a proved drop, last seen where it came in; without the rule it goes on."""
    node, program = lab.host("node"), "iptables" if family == 4 else "ip6tables"
    with ns01.connection(NS02[family], 7000, protocol=protocol) as connection:
        node.load_rules(program, f"-A FORWARD -p {protocol} -j DROP")
        cut = connection.alive()
        node.load_rules(program, f"-D FORWARD -p {protocol} -j DROP")
        healed = connection.alive(wait=5)

    assert cut.verdict is Verdict.DROPPED, cut.story()
    assert "last seen at node:veth01 in" in cut.reason
    assert healed, healed.story()


@BOTH
def test_established_connections_pass_where_new_ones_do_not(lab, ns01, family):
    """A rule that lets only what is established pass keeps the connection, and no other is made."""
    node, program = lab.host("node"), "iptables" if family == 4 else "ip6tables"
    node.load_rules(program, "-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT")
    with ns01.connection(NS02[family], 7000) as connection:
        node.load_rules(program, "-A FORWARD -p tcp -j DROP")

        assert connection.alive()
        assert not ns01.tcp(NS02[family], 7001)
        with pytest.raises(DeadlineExceeded, match="waiting for the connection tcp"):
            ns01.connection(NS02[family], 7001, wait=0.3).__enter__()


@BOTH
def test_a_reset_is_the_end(lab, ns01, family):
    """A connection that was reset is dropped with that reason, whenever one asks; using it is an error."""
    program = "iptables" if family == 4 else "ip6tables"
    with ns01.connection(NS02[family], 7000) as connection:
        lab.sandbox("ns02").load_rules(program, "-A INPUT -p tcp -j REJECT --reject-with tcp-reset")
        first, second = connection.alive(), connection.alive()

        assert (first.verdict, second.verdict) == (Verdict.DROPPED, Verdict.DROPPED)
        assert "reset" in second.reason
        with pytest.raises(KernelError, match="tcp .* port 7000 from node/ns01: the connection was reset"):
            connection.receive()


def test_the_end_of_the_link_is_the_end_of_both_ways(lab, ns01):
    """With the far end's link gone nothing goes through, and that is reported as of any probe."""
    with ns01.connection(NS02[4], 7000) as connection:
        lab.host("node").run(["ip", "link", "del", "veth02"])
        reach = connection.alive()

    assert reach.verdict is Verdict.DROPPED


def test_what_does_not_come_ends_at_the_deadline(ns01):
    """Waiting for bytes ends with a sentence that says how many came."""
    with ns01.connection(NS02[4], 7000) as connection:
        connection.far.send(b"abc")
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded, match="waiting for 5 bytes at tcp .*: 3 came"):
            connection.receive(5, timeout=0.1)

    assert time.monotonic() - began < 2


def test_a_connection_that_cannot_be_is_an_error(lab, ns01):
    """A protocol that there is not, an address that nobody has, use outside the block: each says what to do."""
    with pytest.raises(UsageError, match="Did you mean 'tcp'"):
        ns01.connection(NS02[4], 7000, protocol="tpc")
    with pytest.raises(UsageError, match="listener="):
        ns01.connection("192.0.2.1", 7000)
    with pytest.raises(UsageError, match="inside `with"):
        ns01.connection(NS02[4], 7000).send(b"x")
    lab.sandbox("ns02").load_rules("iptables", "-A INPUT -p tcp -j REJECT --reject-with tcp-reset")
    with pytest.raises(KernelError, match="Connection refused"):
        ns01.connection(NS02[4], 7000).__enter__()


def test_a_host_port_is_connected_through(lab):
    """Where a rule translates the destination the listener is named, and the connection is the translated one."""
    node = lab.host("node")
    node.load_rules("iptables", "-t nat -A PREROUTING -p tcp --dport 8080 -j DNAT --to-destination 10.40.80.11:80")
    with lab.host("router").connection(
        "192.168.80.100", 8080, listener=lab.sandbox("ns01"), listener_port=80
    ) as connection:
        assert connection.alive()
        assert connection.source_seen == "192.168.80.2"
