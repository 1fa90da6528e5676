"""What comes back is classified: taken, lost at the door, forged, too late, doubled."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest import walkthrough

from cnitest import Lab, Topology, Verdict
from cnitest.errors import CommandError
from cnitest.topology import Host, Route, Veth, VethEnd

PROBES = ["ping", "tcp", "udp"]
FAR = {4: "10.40.80.12", 6: "2001:db8:40::12"}
GATEWAY = {4: "10.0.1.1", 6: "2001:db8:1::1"}
BEYOND = {4: "10.0.2.2", 6: "2001:db8:2::2"}
PROGRAM = {4: "iptables", 6: "ip6tables"}
#: What the sender of a ping, a connection or a datagram gets back.
REPLY = {
    ("ping", 4): "-p icmp --icmp-type echo-reply",
    ("ping", 6): "-p ipv6-icmp --icmpv6-type echo-reply",
    **{(kind, family): f"-p {kind} --sport 80" for kind in ("tcp", "udp") for family in (4, 6)},
}

lab = walkthrough.lab


def probe(place, kind, address, **options):
    """One probe of a kind; TCP and UDP to port 80."""
    return getattr(place, kind)(address, *(() if kind == "ping" else (80,)), **options)


@pytest.mark.parametrize("kind", PROBES)
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("chain", ["-A INPUT", "-t raw -A PREROUTING"])
def test_a_reply_that_the_senders_own_firewall_drops_is_a_drop(lab, kind, family, chain):
    """The reply was at the sender's link in good time and never got to its socket: dropped, seen there last."""
    ns01 = lab.sandbox("ns01")
    ns01.load_rules(PROGRAM[family], f"{chain} {REPLY[kind, family]} -j DROP")
    reach = probe(ns01, kind, FAR[family])

    assert reach.verdict is Verdict.DROPPED
    assert "the reply was last seen at node/ns01:eth01 in" in reach.reason
    assert (reach.path[-1], reach.return_path[-1]) == ("node/ns02:eth02 in", "node/ns01:eth01 in")


@pytest.mark.parametrize("kind", PROBES)
@pytest.mark.parametrize("family", [4, 6])
def test_a_reply_to_a_wrong_mac_is_a_drop(lab, kind, family):
    """A wrong permanent neighbour entry at the far end: the reply arrives, for somebody else."""
    own = lab.sandbox("ns01").addresses_on("eth01")
    address = next(ip for ip in own if (":" in ip) == (family == 6))
    assert lab.sandbox("ns01").ping(FAR[family])  # the way there is known; neighbour discovery loses its answer, too
    wrong = ["ip", "neigh", "replace", address, "lladdr", "02:00:00:00:00:99", "dev", "eth02", "nud", "permanent"]
    lab.sandbox("ns02").run(wrong)
    reach = probe(lab.sandbox("ns01"), kind, FAR[family])

    assert reach.verdict is Verdict.DROPPED
    assert "the reply was last seen at node/ns01:eth01 in, addressed to 02:00:00:00:00:99" in reach.reason


@pytest.mark.parametrize("kind", PROBES)
def test_an_advertisement_to_a_wrong_mac_is_a_drop(lab, kind):
    """Where neighbour discovery's own answer goes to a wrong MAC, the next hop counts as one that does not answer."""
    wrong = ["ip", "neigh", "replace", "2001:db8:40::11", "lladdr", "02:00:00:00:00:99", "dev", "eth02"]
    lab.sandbox("ns02").run([*wrong, "nud", "permanent"])
    reach = probe(lab.sandbox("ns01"), kind, FAR[6])

    assert reach.verdict is Verdict.DROPPED
    assert "2001:db8:40::12 does not answer neighbour discovery" in reach.reason


@pytest.mark.parametrize("kind", PROBES)
@pytest.mark.parametrize("family", [4, 6])
def test_a_reply_that_is_dropped_on_the_way_is_last_seen_there(lab, kind, family):
    """A bridge that drops replies is where they were last seen, and the way there is whole."""
    lab.host("node").load_rules("nft", _bridge_drop(kind, family))
    reach = probe(lab.sandbox("ns01"), kind, FAR[family])

    assert reach.verdict is Verdict.DROPPED
    assert reach.reason.endswith("the reply was last seen at node:veth02 in")
    assert reach.path == ("node/ns01:eth01 out", "node:veth01 in", "node:veth02 out", "node/ns02:eth02 in")
    assert reach.return_path == ("node/ns02:eth02 out", "node:veth02 in")


def _bridge_drop(kind, family):
    echo = "icmp type echo-reply" if family == 4 else "icmpv6 type echo-reply"
    what = echo if kind == "ping" else f"{kind} sport 80"
    return f"table bridge t {{ chain c {{ type filter hook forward priority filter; {what} drop; }}; }}"


@pytest.mark.parametrize("kind", PROBES)
def test_a_late_reply_is_no_drop(lab, kind):
    """A reply that a slow link holds back is delivered by another attempt or unproven, and the retry is counted."""
    slow = ["tbf", "rate", "16kbit", "burst", "200", "limit", "100000"]
    lab.host("node").run(["tc", "qdisc", "add", "dev", "veth01", "root", *slow])
    reach = probe(lab.sandbox("ns01"), kind, FAR[4], wait=0.02)

    assert reach.verdict is not Verdict.DROPPED


@pytest.mark.parametrize("family", [4, 6])
def test_a_reset_in_another_ones_name_is_reported(lab, family):
    """A firewall on the way that resets in the destination's name is named with its link; the destination is not."""
    node = lab.host("node")
    node.sysctl(f"net.bridge.bridge-nf-call-{PROGRAM[family]}", 1)
    node.load_rules(PROGRAM[family], "-A FORWARD -p tcp --dport 80 -j REJECT --reject-with tcp-reset")
    forged = lab.sandbox("ns01").tcp(FAR[family], 80)

    assert not forged
    assert forged.answered_by == "node"
    assert f"a reset in the name of {FAR[family]}, but sent by node (at node:veth01 out)" in forged.reason
    assert forged.path[-1] == "node:veth01 in"


@pytest.mark.parametrize("family", [4, 6])
def test_an_icmp_error_in_another_ones_name_is_reported(lab, family):
    """A bridge that rejects in the destination's name, as nft's bridge family does, is named."""
    word = "icmp" if family == 4 else "icmpv6"
    reject = f"udp dport 80 reject with {word} type port-unreachable"
    try:
        lab.host("node").load_rules(
            "nft", f"table bridge t {{ chain c {{ type filter hook prerouting priority 0; {reject}; }}; }}"
        )
    except CommandError as error:
        pytest.skip(f"this kernel's bridges cannot reject: {error}")
    forged = lab.sandbox("ns01").udp(FAR[family], 80)

    assert not forged
    assert (forged.answered_by, "but sent by node" in forged.reason) == ("node", True)


@pytest.mark.parametrize("family", [4, 6])
def test_the_destinations_own_no_is_its_own(lab, family):
    """A reset or an ICMP error of the destination itself names its address, at the first attempt."""
    icmp = "icmp-port-unreachable" if family == 4 else "icmp6-port-unreachable"
    rules = [
        f"-A INPUT -p {p} --dport 80 -j REJECT --reject-with {w}" for p, w in (("tcp", "tcp-reset"), ("udp", icmp))
    ]
    lab.sandbox("ns02").load_rules(PROGRAM[family], *rules)

    for kind in ("tcp", "udp"):
        reach = probe(lab.sandbox("ns01"), kind, FAR[family])

        assert not reach
        assert (reach.answered_by, reach.attempts) == (FAR[family], 1)
        assert "in the name of" not in reach.reason


@pytest.mark.parametrize("kind", PROBES)
@pytest.mark.parametrize("family", [4, 6])
def test_copies_are_counted(lab, kind, family):
    """One copy is normal; a rule on the way that duplicates what leaves for the receiver makes two."""
    ns01, node = lab.sandbox("ns01"), lab.host("node")

    assert probe(ns01, kind, FAR[family]).copies == 1

    proto = {"ping": ("icmp", "ipv6-icmp")[family == 6]}.get(kind, kind)
    doubled = f"meta l4proto {proto} dup to veth02"
    node.load_rules(
        "nft", f"table netdev t {{ chain c {{ type filter hook ingress device veth01 priority 0; {doubled}; }}; }}"
    )
    reach = probe(ns01, kind, FAR[family])

    assert reach
    assert reach.copies == 2
    assert "received 2 copies" in reach.story()


@pytest.fixture
def narrow():
    """a - r - b; the link between r and b has an MTU of 1400."""
    wires = [
        Veth(
            ends=[
                VethEnd(at=name, name=link, mtu=mtu, addresses=[f"10.0.{net}.{n}/24", f"2001:db8:{net}::{n}/64"])
                for name, link, n in ((host, "eth0", 2), ("r", f"l{net}", 1))
            ]
        )
        for host, net, mtu in (("a", 1, None), ("b", 2, 1400))
    ]
    hosts = {
        name: Host(routes=[Route(via=f"10.0.{n}.1"), Route(via=f"2001:db8:{n}::1")]) for name, n in (("a", 1), ("b", 2))
    }
    with Lab(Topology(name="narrow", hosts={**hosts, "r": Host(role="router")}, veths=wires)) as built:
        yield built


@pytest.mark.parametrize("family", [4, 6])
def test_who_finds_it_too_large_is_named(narrow, family):
    """A router's "too big" is reported with its address, link and MTU, with the way there, and once more later."""
    a = narrow.host("a")
    for _ in range(2):
        reach = a.ping(BEYOND[family], size=1420, df=True)

        assert not reach
        assert f"it is larger than the path allows: {GATEWAY[family]} (r:l1) answered" in reach.reason
        assert reach.reason.endswith("MTU 1400")
    first = narrow.host("b").ping("10.0.1.2", size=1300, df=True)

    assert first


@pytest.mark.parametrize("family", [4, 6])
def test_the_way_of_a_packet_that_is_too_large_ends_at_who_says_so(narrow, family):
    """The path shows the request up to the router and the error on its way back."""
    reach = narrow.host("a").ping(BEYOND[family], size=1420, df=True, wait=5.0)  # one attempt, on a busy machine too

    assert reach.path == ("a:eth0 out", "r:l1 in")
    assert reach.return_path == ("r:l1 out", "a:eth0 in")


@pytest.mark.parametrize("family", [4, 6])
def test_a_datagram_that_is_too_large_at_first_is_delivered_in_parts(narrow, family):
    """Once the sender's kernel knows the MTU, the next datagram gets through."""
    reach = narrow.host("a").udp(BEYOND[family], 9, size=1420)

    assert reach
    assert reach.attempts == 2


@pytest.mark.parametrize("family", [4, 6])
def test_the_senders_own_limit_is_named(narrow, family):
    """What is larger than the own link or route allows never leaves: the reason names that, and its MTU."""
    a = narrow.host("a")
    reach = a.ping(GATEWAY[family], size=1500, df=True)

    assert not reach
    assert reach.reason == "it is larger than the path allows: the MTU of a:eth0 is 1500"

    net = "10.0.2.0/24" if family == 4 else "2001:db8:2::/64"
    a.run(["ip", "route", "add", net, "via", GATEWAY[family], "mtu", "1350"])
    reach = a.ping(BEYOND[family], size=1340, df=True)

    assert not reach
    assert reach.reason == f"it is larger than the path allows: the route of a to {BEYOND[family]} has MTU 1350"
