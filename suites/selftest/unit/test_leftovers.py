"""Differences and leftovers are data: rows before and after; words are made at the end, and nobody reads them."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import pytest

from cnitest.cni.calls.invoke import Call
from cnitest.conformance.bench.leftovers import Leftover, leftovers, removals
from cnitest.conformance.bench.record import BenchRecord
from cnitest.conformance.bench.steps import (
    Arrival,
    Ask,
    Complaint,
    DelegateCommands,
    Look,
    NoAnswer,
    NoArrival,
    Saw,
    SourceHidden,
    SysctlChange,
)
from cnitest.conformance.model import protocol
from cnitest.conformance.model.finding import Detail, Doubt
from cnitest.conformance.repro.signs import Signs
from cnitest.kernel.files import File
from cnitest.kernel.rows.records import Link, Neighbour, Route
from cnitest.lab.snapshot.difference import Change, Difference, difference
from cnitest.lab.snapshot.firewall_line import FirewallLine
from cnitest.lab.snapshot.state import State

LINK = Link("veth0", 7, "veth", "02:00:00:00:00:01", 1500, True, True, "", "@2", 0, 1000, "")
ROUTE = Route(6, 254, "2001:db8::/64", "fe80::1", "eth0", "", "unicast", "global", "static", 1024, 0)
RULE = "nat: -A CNI-DN-1 -s 10.1.0.0/24 -p tcp -m tcp --dport 8000 -j DNAT --to-destination 10.1.0.2:80"
CALL = Call("bridge", "DEL", "node", (), {"CNI_CONTAINERID": "c1"}, "", b"", b"", 1, 0.1)
MACHINES: Any = type("Machines", (), {"name": staticmethod(lambda place: {"node": "-"}.get(place, f"m-{place}"))})


def test_a_change_holds_both_rows_and_the_fields_that_differ():
    """The rows are there whole; only what differs is said."""
    (item,) = difference(State(links=(LINK,)), State(links=(LINK._replace(mtu=1400),)))

    assert (item.before, item.after) == (LINK, LINK._replace(mtu=1400))
    assert item.changes == (Change("mtu", 1500, 1400),)
    assert (item.changed, item.appeared, item.vanished) == (True, False, False)
    assert str(item) == "~ links veth0: mtu=1500 -> mtu=1400"


def test_what_reads_the_same_is_the_same():
    """The carrier of a link that came is its other end's matter: two such differences are one in a set."""
    with_carrier, without = (Difference("links", "veth0", None, LINK._replace(carrier=on)) for on in (True, False))

    assert {with_carrier, without} == {with_carrier}
    assert with_carrier != Difference("links", "veth0", None, LINK._replace(mtu=1400))


def test_what_vanishes_is_what_appeared_undone():
    """The same row with another sign is another difference; undone it is the same."""
    came, went = Difference("links", "veth0", None, LINK), Difference("links", "veth0", LINK, None)

    assert came != went
    assert came == went.undone
    assert {Leftover("node", came)} == {Leftover("node", went).undone}


def test_the_former_names_of_rows_warn():
    """``old`` and ``new`` still are the rows."""
    item = Difference("links", "veth0", None, LINK)

    with pytest.warns(DeprecationWarning, match=r"Difference\.after"):
        assert item.new is LINK
    with pytest.warns(DeprecationWarning, match=r"Difference\.before"):
        assert item.old is None


def test_lines_of_firewalls_have_parts():
    """Of iptables its table and arguments, of nftables its chain."""
    saved, nft = FirewallLine(RULE), FirewallLine("table inet x chain y: tcp dport 80 accept")

    assert (saved.parent, saved.words[:2], saved.follows("--dport")) == ("nat", ("-A", "CNI-DN-1"), "8000")
    assert (nft.nft_chain, nft.statement) == (("inet", "x", "y"), "tcp dport 80 accept")
    assert (saved.nft_chain, nft.words, saved.follows("-d")) == (None, (), "")
    assert [FirewallLine(f"filter: {said}").chain_made for said in (":CNI-ADMIN -", "-A CNI-ADMIN")] == [
        "CNI-ADMIN",
        "",
    ]
    assert FirewallLine("filter: -A INPUT -m comment --comment it's -j DROP").follows("-j") == "DROP"


@pytest.mark.parametrize(("state", "left"), [("permanent", 1), ("noarp", 0), ("stale", 0)])
def test_only_a_neighbour_entered_by_hand_is_a_leftover(state: str, left: int):
    """The others come and go with the traffic."""
    entry = Neighbour("10.0.0.1", "eth0", "02:00:00:00:00:01", state)

    found = leftovers({"node": State()}, {"node": State(neighbours=(entry,))})

    assert [each.difference.after for each in found] == [entry] * left


def test_a_route_that_was_joined_with_another_is_no_removal():
    """The kernel makes one IPv6 route of two hops out of two; a route elsewhere that goes is one."""
    joined = ROUTE._replace(via="", link="", hops=("via fe80::1 dev eth0 weight 1", "via fe80::2 dev eth1 weight 1"))
    other = ROUTE._replace(to="2001:db8:1::/64")

    found = removals({"node": State(routes=(ROUTE, other))}, {"node": State(routes=(joined,))})

    assert [each.difference.before for each in found] == [other]


def test_a_complaint_keeps_what_it_is_about():
    """Whatever stands before its words; a doubt is no complaint."""
    record, left = BenchRecord(), Leftover("node", Difference("links", "veth0", None, LINK))
    record.complain([left, *protocol.success(CALL), Doubt("it is not known")], prefix="after DEL: ")

    assert [complaint.about for complaint in record.complaints] == [left, CALL]
    assert record.violation[0] == f"after DEL: {left}"
    assert record.doubts == ["after DEL: it is not known"]


def test_details_travel_without_their_record():
    """A worker sends the words and the condition; what they were made of stays."""
    sent = pickle.loads(pickle.dumps(Detail("it is so", "true", CALL)))

    assert (sent, sent.kernel, sent.about) == ("it is so", "true", None)


LOOKS = [Look("look1", (), {"node": State()}, 0.0), Look("look2", (), {"node": State(links=(LINK,))}, 1.0)]
SEEN = Saw("/x", "cnitest-ipam", ())


@pytest.mark.parametrize(
    ("about", "condition"),
    [
        (Leftover("node", Difference("links", "veth0", None, LINK)), "came look1 look2 '^node link veth0 '"),
        (NoAnswer("node/c1", "10.1.0.1"), "lost m-node/c1 10.1.0.1"),
        (NoAnswer("node", "10.1.0.1", 0.5), "unanswered 1 - 10.1.0.1"),
        (NoArrival("node", "192.0.2.1", "internet"), "! arrives - 192.0.2.1 m-internet"),
        (NoArrival("node", "192.0.2.1", "node/c1", "udp", 53), "! arrives - 192.0.2.1 m-node/c1 udp 53"),
        (Arrival("node", "192.0.2.1", "node/c1", "tcp", 80), "arrives - 192.0.2.1 m-node/c1 tcp 80"),
        (SourceHidden("node/c1", "192.0.2.1", "10.1.0.2"), "hides m-node/c1 192.0.2.1 10.1.0.2"),
        (SysctlChange("net.ipv4.ip_forward", "0", "1"), "sysctl_is - net.ipv4.ip_forward 1"),
        (SysctlChange("net.ipv4.ip_forward", "0", "1", "node/c1"), "sysctl_is m-node/c1 net.ipv4.ip_forward 1"),
        (CALL, "answered 1 1 ''"),
        (replace(CALL, exit_code=-9), "answered 1 1 ''"),  # that call was not made here: those that were count
        (DelegateCommands(), "commands /x cnitest-ipam ''"),
        (None, "calls /x cnitest-ipam ''"),
    ],
)
def test_a_script_decides_by_what_a_complaint_is_about(about: Any, condition: str):
    """Its words say nothing to the script."""
    steps = [Ask(CALL), *LOOKS, *([SEEN] if about is None or isinstance(about, DelegateCommands) else [])]
    signs = Signs(steps, "bridge", "node", MACHINES)

    sign = signs.of(Complaint("the words: node -> 192.0.2.9 icmp was called", len(steps), about=about))

    assert sign.condition == condition


@pytest.mark.parametrize(
    ("changes", "gateways"),
    [
        ({"via": "10.0.0.1"}, ("10.0.0.1",)),
        ({"via": "", "link": "eth0"}, ()),
        (
            {"via": "", "hops": ("via fe80::1 dev eth0 weight 1", "via fe80::2 dev eth1 weight 1")},
            ("fe80::1", "fe80::2"),
        ),
        ({"via": "", "hops": ("dev eth0 weight 1", "via 10.0.0.2 dev eth1 weight 2 onlink")}, ("10.0.0.2",)),
    ],
)
def test_the_gateways_of_a_route_are_those_of_all_its_hops(changes, gateways):
    """One gateway, none of a link's own network, or one of each hop that has one."""
    assert ROUTE._replace(**changes).gateways == gateways


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        ("ip daddr 224.0.0.0/4 return", 0),
        ("ip6 daddr ff00::/8 return", 0),
        ("ip daddr 10.1.0.0/24 return", 1),
        ("ip6 daddr 2001:db8::/64 return", 1),
        ("ip saddr 10.1.0.2 ip daddr 224.0.0.0/4 accept", 1),
    ],
)
def test_a_rule_about_all_multicast_is_no_containers(rule: str, left: int):
    """A shared chain of nftables may name the networks of all multicast, and no other address."""
    after = {"node": State(firewall={"nft": (f"table inet cni chain postrouting: {rule}",)})}

    assert len(leftovers({"node": State()}, after)) == left


@pytest.mark.parametrize("strict", [False, True], ids=["alone", "beside another"])
@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("/var/log/mine/add.log", 0),
        ("/var/log/mine.log", 0),
        ("/tmp/mine.log", 0),
        ("/var/lib/mine/log", 1),
        ("/tmp/mine.log.1/c1", 1),
    ],
)
def test_a_log_may_stay_and_grow(path: str, left: int, *, strict: bool):
    """What a plugin writes below /var/log, or to a log elsewhere, is neither left nor disturbed; other files are."""
    short, long = (File(path, "file", 0o600, size, f"of {size}", "") for size in (5196, 9662))
    states = [{"node": State(files=files)} for files in ((), (short,), (long,))]

    assert len(leftovers(states[0], states[1], strict=strict)) == left
    assert len(leftovers(states[1], states[2], strict=strict)) == left
    assert len(removals(states[1], states[2])) == left


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    ("path", "preview", "left"),
    [
        ("/var/lib/mine/cni.db", "SQLite format 3\x00\x10", 0),
        ("/var/lib/mine/cni.db-wal", "7\x7f", 0),
        ("/var/lib/mine/cni.db-shm", "", 0),
        ("/var/lib/mine/cni.db", '{"10.1.0.2": "c1"}', 2),
        ("/var/lib/mine/c1-wal", "", 2),
    ],
)
def test_a_database_may_stay_and_change(path: str, preview: str, left: int, *, strict: bool):
    """One of SQLite and its journals are made once, and differ after each call; any other file of state counts."""
    one, other = (File(path, "file", 0o600, 8192, digest, preview) for digest in ("a", "b"))
    none, first, then = (State(files=files) for files in ((), (one,), (other,)))

    found = [leftovers({"n": before}, {"n": after}, strict=strict) for before, after in ((none, first), (first, then))]

    assert sum(map(len, found)) == left
