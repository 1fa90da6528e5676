"""What a plugin does to packets of somebody else's containers is reported, once for each family that it is about."""

from __future__ import annotations

import json

import pytest

from cnitest.conformance.bench.bench import open_bench
from cnitest.conformance.checks.attachments import bystanders, delete_others
from cnitest.conformance.discover.examine import examine, source
from cnitest.conformance.model.finding import Finding
from cnitest.conformance.model.subject import Trial

REAL = "/usr/lib/cni"
NFT = "nft add table {0} own; nft add chain {0} own fw '{{ type filter hook forward priority 0; policy drop; }}'"
# What is done besides, on which command, which families it is about, and what is said of it.
HARM = {
    "policy": ("ADD", "iptables -w -P FORWARD DROP", ("IPv4",), "ip filter FORWARD policy DROP"),
    "policy of IPv6": ("ADD", "ip6tables -w -P FORWARD DROP", ("IPv6",), "ip6 filter FORWARD policy DROP"),
    "input": ("ADD", "iptables -w -A INPUT -p icmp -j DROP", ("IPv4",), "-j DROP"),
    "nftables": ("ADD", NFT.format("inet"), ("IPv4", "IPv6"), "inet own fw"),
    "forwarding": ("DEL", "sysctl -qw net.ipv4.ip_forward=0", ("IPv4",), "does not forward IPv4"),
    "forwarding of IPv6": ("DEL", "sysctl -qw net.ipv6.conf.all.forwarding=0", ("IPv6",), "does not forward IPv6"),
}

pytestmark = pytest.mark.requires(plugin=("bridge", "host-local"), binary=("iptables", "nft"))


# What is forgotten of connection tracking, on which command, and of which families and protocols that is.
FLUSHES = {
    "all": ("DEL", "conntrack -F >/dev/null 2>&1", {"IPv4": ("tcp", "udp"), "IPv6": ("tcp", "udp")}),
    "UDP": ("ADD", "conntrack -D -p udp >/dev/null 2>&1", {"IPv4": ("udp",), "IPv6": ("udp",)}),
    "IPv6": ("DEL", "conntrack -D -f ipv6 >/dev/null 2>&1", {"IPv4": (), "IPv6": ("tcp", "udp")}),
}


def details(tmp_path, family, command="", harm="", check=bystanders.packets_of_others_pass, **keys):
    """What is found of a bridge that runs a line of shell after a command, or after each of several."""
    (tmp_path / "bin").mkdir(exist_ok=True)
    program = tmp_path / "bin" / "bridge"
    harmed = f'case " {command} " in *" $CNI_COMMAND "*) {harm or ":"} ;; esac'
    program.write_text(f"#!/bin/sh\n{REAL}/bridge || exit\n{harmed}\n")
    program.chmod(0o755)
    path = (str(tmp_path / "bin"), REAL)
    ipam = {"type": "host-local", "subnet": "10.20.0.0/24"}
    file = tmp_path / "net.conf"
    file.write_text(json.dumps({"cniVersion": "1.0.0", "name": "net", "type": "bridge", "ipam": ipam, **keys}))
    one, *_ = examine([source(file, path)], path, versions=("1.0.0",))
    with open_bench(Trial(one, "1.0.0")) as bench:
        check(bench, *family.split())
        try:
            bench.conclude()
        except Finding as finding:
            return finding.details
    return ()


@pytest.mark.parametrize("name", HARM)
def test_harm_to_packets_of_others_is_reported(tmp_path, name):
    """In the families that it is about, with what drops them; in the other one nothing is."""
    command, harm, families, words = HARM[name]

    found = {family: details(tmp_path, family, command, harm) for family in ("IPv4", "IPv6")}

    assert [family for family, said in found.items() if said] == list(families)
    for family in families:
        assert all(f"after {command}, of others: node/cnitest-by" in detail for detail in found[family])
        assert any(words in detail for detail in found[family]), found[family]


@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
def test_a_plugin_that_leaves_others_alone_holds(tmp_path, family):
    """The same plugin without harm."""
    assert details(tmp_path, family) == ()


# What translates sources, on which command, and of which families and of packets to whom that is.
INTERNET = {"IPv4": " -> 8.8.8.8 udp", "IPv6": " -> 2001:4860:4860::8888 udp"}
TRANSLATED = {
    "what leaves by the uplink": ("ADD", "iptables -w -t nat -A POSTROUTING -o ens33 -j MASQUERADE", {"IPv4": 1}),
    "all of IPv6": ("ADD", "ip6tables -w -t nat -A POSTROUTING -j MASQUERADE", {"IPv6": 2}),
    "from DEL on": ("DEL", "iptables -w -t nat -A POSTROUTING ! -d 10.20.0.0/24 -j MASQUERADE", {"IPv4": 2}),
}


@pytest.mark.parametrize("name", TRANSLATED)
def test_a_source_of_others_that_is_translated_is_reported(tmp_path, name):
    """In the families that it is about, with what is seen instead; in the other one nothing is."""
    command, harm, families = TRANSLATED[name]
    check = bystanders.sources_of_others_are_seen

    found = {family: details(tmp_path, family, command, harm, check) for family in ("IPv4", "IPv6")}

    assert {family: len(said) for family, said in found.items() if said} == families, found
    for family in families:
        assert all(f"after {command}, of others: node/cnitest-by1 -> " in detail for detail in found[family])
        assert any(INTERNET[family] in detail and "arrives from " in detail for detail in found[family]), found


@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
def test_who_translates_its_own_alone_holds(tmp_path, family):
    """The same plugin with a rule for its own containers."""
    harm = "iptables -w -t nat -A POSTROUTING -s 10.20.0.0/24 -j MASQUERADE"

    assert details(tmp_path, family, "ADD", harm, bystanders.sources_of_others_are_seen) == ()


# Which packets to ports of the host that belong to other addresses are led astray or dropped, of which family, and of
# what that is said: senders, protocol, how many receivers.
ASTRAY = {
    "DNAT": (
        "iptables -w -t nat -A PREROUTING -p tcp --dport 20080 -j DNAT --to 10.20.0.2:80",
        "IPv4",
        "by1",
        "tcp",
        2,
    ),
    "DNAT of the host's own": (
        "iptables -w -t nat -A OUTPUT -p udp --dport 20081 -j DNAT --to 10.20.0.2:53",
        "IPv4",
        "node ->",
        "udp",
        1,
    ),
    "REDIRECT of IPv6": ("ip6tables -w -t nat -A PREROUTING -p udp -j REDIRECT --to-ports 53", "IPv6", "by1", "udp", 2),
    "DROP": ("iptables -w -A FORWARD -p tcp --dport 20080 -j DROP", "IPv4", "by1", "tcp", 2),
}
PORTS = {"isGateway": True, "capabilities": {"portMappings": True}}


@pytest.mark.parametrize("name", ASTRAY)
def test_packets_to_a_port_of_others_that_are_led_astray_are_reported(tmp_path, name):
    """In the family that it is about, of each sender and receiver that it is about; in the other one nothing is."""
    harm, of, sender, protocol, receivers = ASTRAY[name]
    check = bystanders.ports_of_others_are_reached

    found = {family: details(tmp_path, family, "ADD", harm, check, **PORTS) for family in ("IPv4", "IPv6")}

    assert {family: len(said) for family, said in found.items() if said} == {of: receivers}, found
    assert all(sender in detail and f" {protocol} 2008" in detail for detail in found[of]), found


@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
def test_who_leads_ports_of_the_host_alone_holds(tmp_path, family):
    """The same plugin with rules for addresses of the host."""
    rule = "tables -w -t nat -A {} -m addrtype --dst-type LOCAL -p tcp --dport 20080 -j REDIRECT --to-ports 80"
    harm = "; ".join(f"{of}{rule.format(hook)}" for of in ("ip", "ip6") for hook in ("PREROUTING", "OUTPUT"))

    assert details(tmp_path, family, "ADD", harm, bystanders.ports_of_others_are_reached, **PORTS) == ()


RESTORED = "if [ $CNI_COMMAND = ADD ]; then iptables-save >/run/saved; else iptables-restore </run/saved; fi"


def test_rules_of_others_that_came_after_add_are_missed(tmp_path):
    """DEL restores the rules that were there at ADD: those of somebody else that came later are gone, and no others."""
    said = details(tmp_path, "", "ADD DEL", RESTORED, delete_others.what_others_have_on_the_host_stays)

    assert len(said) == 5, said
    assert all("gone, though not the plugin's: node: - iptables rule" in detail for detail in said)
    assert all("--dport 65002" in detail for detail in said), said


def test_who_takes_its_own_rules_away_leaves_those_of_others(tmp_path):
    """The same plugin without harm."""
    assert details(tmp_path, "", check=delete_others.what_others_have_on_the_host_stays) == ()


@pytest.mark.requires(binary="conntrack")
@pytest.mark.parametrize("name", FLUSHES)
def test_a_connection_of_others_that_is_forgotten_is_reported(tmp_path, name):
    """In the families and for the protocols that are flushed, with the command after which it is missed."""
    command, flush, protocols = FLUSHES[name]

    found = {
        family: details(tmp_path, family, command, f"{flush} || :", bystanders.connections_of_others_stay)
        for family in protocols
    }

    for family, said in found.items():
        assert len(said) == len(protocols[family]), found
        for detail, protocol in zip(said, protocols[family], strict=True):
            assert f"after {command} the host no longer tracks a connection of others: -p {protocol} -s " in detail


@pytest.mark.requires(binary="conntrack")
@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
def test_who_forgets_no_connection_holds(tmp_path, family):
    """The same plugin, which flushes nothing, with a connection of each protocol."""
    assert details(tmp_path, family, check=bystanders.connections_of_others_stay) == ()
