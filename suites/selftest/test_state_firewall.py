"""The rules of each firewall are in the state: nftables with its sets, maps and objects, and its older neighbours."""

from __future__ import annotations

import shutil

import pytest

from cnitest import difference
from cnitest.errors import CommandError
from cnitest.kernel.netfilter.firewall import ipset_lines, nft_rules
from cnitest.topology import Host, Topology

pytestmark = pytest.mark.topology(Topology(name="one", hosts={"node": Host()}))

TABLE = """
add table inet t
add set inet t s { type ipv4_addr; elements = { 192.0.2.1 } }
add map inet t m { type ipv4_addr : verdict; }
add counter inet t n
add chain inet t c { type filter hook input priority 0; }
add rule inet t c ip saddr 192.0.2.9 counter accept
"""
NFT = [
    ("add element inet t s { 192.0.2.7 }", "+ nft rule: table inet t set s: element 192.0.2.7"),
    ("delete element inet t s { 192.0.2.1 }", "- nft rule: table inet t set s: element 192.0.2.1"),
    ("add set inet t s2 { type inet_service; }", "+ nft rule: table inet t set s2: type inet_service"),
    ("add set inet t s2 { type ipv4_addr; flags interval; }", "+ nft rule: table inet t set s2: flags interval"),
    ("add set inet t s2 { type ipv4_addr; timeout 1h; }", "+ nft rule: table inet t set s2: timeout 1h"),
    ("add element inet t m { 192.0.2.7 : drop }", "+ nft rule: table inet t map m: element 192.0.2.7 : drop"),
    ("add counter inet t n2", "+ nft rule: table inet t counter n2"),
    ("add quota inet t q { over 10 mbytes; }", "+ nft rule: table inet t quota q: over 10 mbytes"),
    ("add limit inet t l { rate 5/second; }", "+ nft rule: table inet t limit l: rate 5/second"),
    ("add chain inet t e", "+ nft rule: table inet t chain e"),
    (
        "chain inet t c { policy drop; }",
        "+ nft rule: table inet t chain c: type filter hook input priority filter; policy drop",
    ),
    ("add rule inet t c tcp dport 9 drop", "+ nft rule: table inet t chain c: tcp dport 9 drop"),
    ("add flowtable inet t f { hook ingress priority 0; devices = { lo }; }", "+ nft rule: table inet t flowtable f"),
    ("add table netdev d", "+ nft rule: table netdev d"),
]
PROGRAMS = [
    (
        "ebtables -A FORWARD -p arp -j DROP",
        "+ nft rule: table bridge filter chain FORWARD: ether type arp counter drop",
    ),
    (
        "arptables -A OUTPUT -j mangle --mangle-ip-s 192.0.2.1",
        "+ arptables rule: filter: -A OUTPUT -j mangle --mangle-ip-s",
    ),
    ("ipset create s hash:ip", "+ ipset rule: create s hash:ip"),
    ("iptables-legacy -t mangle -A OUTPUT -j MARK --set-mark 7", "+ iptables-legacy rule: mangle: -A OUTPUT -j MARK"),
]


@pytest.mark.parametrize(("command", "words"), NFT, ids=[command for command, _ in NFT])
def test_nftables_are_seen(lab, command, words):
    """One element, set, map, object, chain or rule more or less is a difference that says it."""
    node = lab.host("node")
    node.load_rules("nft", TABLE)
    before = node.state()
    try:
        node.load_rules("nft", command)
    except CommandError as error:
        if "No such file or directory" in str(error) or "not supported" in str(error):
            pytest.skip(str(error).replace("\n", " "))
        raise
    lines = [str(item) for item in difference(before, node.state())]

    assert any(line.startswith(words) for line in lines), lines


@pytest.mark.parametrize(("command", "words"), PROGRAMS, ids=[command for command, _ in PROGRAMS])
def test_rules_of_older_programs_are_seen(lab, command, words):
    """A rule or set of ebtables, arptables, ipset, and of legacy iptables, where the program is there."""
    node, program = lab.host("node"), command.split()[0]
    if not shutil.which(program, path="/usr/sbin:/sbin:/usr/bin:/bin"):
        pytest.skip(f"there is no {program} on this machine")
    before = node.state()
    node.run(command.split())
    lines = [str(item) for item in difference(before, node.state())]

    assert any(line.startswith(words) for line in lines), lines


def test_counters_are_left_out_unless_asked_for(lab):
    """Packets change what rules and objects have counted, and no rule; ``counters`` shows it."""
    node = lab.host("node")
    node.run(["ip", "link", "set", "lo", "up"])
    node.load_rules("nft", TABLE, "add rule inet t c counter name n")
    node.load_rules("iptables", "-A INPUT -s 127.0.0.1 -j ACCEPT")
    node.load_rules("iptables-legacy", "-A INPUT -s 127.0.0.1 -j ACCEPT")
    before, counted = (node.state(connections=False, counters=each) for each in (False, True))
    node.ping("127.0.0.1")
    after, counted_after = (node.state(connections=False, counters=each) for each in (False, True))

    assert difference(before, after) == ()
    assert {item.table for item in difference(counted, counted_after)} == {"nft", "iptables", "iptables-legacy"}


def test_sets_beside_the_chains_of_iptables_are_seen():
    """In a table that iptables-nft keeps, its own tools show the chains, and a set that nft added there, too."""
    text = "table ip nat {\n\tset s {\n\t\ttype ipv4_addr\n\t}\n\tchain OUTPUT {\n\t\tcounter\n\t}\n}\n"

    assert nft_rules(text, frozenset({"ip nat"})) == ("table ip nat set s: type ipv4_addr",)


def test_elements_that_fill_lines_are_single():
    """The elements of a set are one line each, however nft wraps them."""
    text = "table ip t {\n\tset s {\n\t\telements = { 192.0.2.1,\n\t\t\t     192.0.2.2 }\n\t}\n}\n"

    assert nft_rules(text)[1:] == ("table ip t set s: element 192.0.2.1", "table ip t set s: element 192.0.2.2")


def test_entries_of_ipset_lose_what_passes():
    """The time that is left to an entry, and what it has counted, is no part of it."""
    text = "create s hash:ip family inet timeout 60\nadd s 192.0.2.1 timeout 41 packets 3 bytes 252\n"

    assert ipset_lines(text) == ("create s hash:ip family inet timeout 60", "add s 192.0.2.1")


def test_a_table_with_an_owner_is_read_like_others():
    """nft says behind the brace which program owns a table."""
    text = "table inet t { # progname firewalld\n\tflags owner\n\tchain c {\n\t\taccept\n\t}\n}\n"

    assert nft_rules(text) == ("table inet t", "table inet t: flags owner", "table inet t chain c: accept")


@pytest.mark.parametrize(
    ("program", "line"), [("iptables", "-A FORWRD -j DROP"), ("ip6tables", "-A FORWRD -j DROP"), ("nft", "add rule")]
)
def test_a_rule_that_is_rejected_names_the_place_and_the_program(lab, program, line):
    """Whoever has several hosts sees which one it was."""
    with pytest.raises(CommandError, match=rf"^node: {program} .*exit code [12]: "):
        lab.host("node").load_rules(program, line)
