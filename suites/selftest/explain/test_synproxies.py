"""Rules that answer TCP connections instead of their server (SYNPROXY), before a server or on it."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import Broken, demand
from cnitest.suites.selftest.explain.test_measures import TO, TOPOLOGY

from cnitest.lab.place import Place

PORT = "-p tcp --dport 4711"
IPTABLES = f"""
{{0}} -t raw -A PREROUTING {PORT} --syn -j CT --notrack
{{0}} -A {{1}} {PORT} -m conntrack --ctstate INVALID,UNTRACKED -j SYNPROXY --mss 1460 --wscale 7"""
NFT = """
nft add table {0} t
nft add chain {0} t r '{{ type filter hook prerouting priority raw; }}'
nft add rule {0} t r tcp dport 4711 tcp flags syn notrack
nft add chain {0} t c '{{ type filter hook {1} priority 0; }}'
nft add rule {0} t c tcp dport 4711 ct state invalid,untracked synproxy mss 1460 wscale 7"""
RULES = {
    "iptables": (IPTABLES, "iptables", "ip filter {} rule 1", 4),
    "ip6tables": (IPTABLES, "ip6tables", "ip6 filter {} rule 1", 6),
    "legacy": (IPTABLES, "iptables-legacy", "ip filter {} rule 1", 4),
    "legacy6": (IPTABLES, "ip6tables-legacy", "ip6 filter {} rule 1", 6),
    "nft": (NFT, "inet", "inet t c rule 1", 6),
    "nft4": (NFT, "ip", "ip t c rule 1", 4),
    "nft6": (NFT, "ip6", "ip6 t c rule 1", 6),
}
OWN = {4: "10.0.1.2", 6: "fd00:1::2"}
LOOSE = "net.netfilter.nf_conntrack_tcp_loose"


def tcp(place: Place, to: str):
    """A connection that is given little time."""
    return place.tcp(to, 4711, wait=0.3)


@pytest.mark.parametrize("hook", ["INPUT", "FORWARD"])
@pytest.mark.parametrize("how", RULES)
def test_a_proxy_whose_acks_are_taken_for_new_connections_is_named(how, hook):
    """The rule and the setting are named, whatever wrote it; the server was said not to listen, or the packet to be
    INVALID."""
    rules, word, dropped_by, family = RULES[how]
    setup = rules.format(word, hook if rules is IPTABLES else hook.lower()).strip()
    to = OWN[family] if hook == "INPUT" else TO[family]

    demand(
        Broken(
            "conntrack.synproxy",
            dropped_by.format(hook),
            "node",
            f"sysctl -w {LOOSE}=0",
            {"node": f"sysctl -qw {LOOSE}=1"},
            "a",
            to,
            TOPOLOGY,
            probe=tcp,
            setup={"node": f"{setup}\nsysctl -qw {LOOSE}=0"},
        ),
        warm=True,
    )
