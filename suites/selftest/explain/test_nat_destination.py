"""Destinations that lead nowhere, and replies that are not translated back: the rule, and what fixes it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cnitest.suites.selftest.explain.breaking import Broken, demand

from cnitest import Lab, Reach, load
from cnitest.lab.place import Place
from cnitest.topology import find

UPLINK, UPLINK6 = "192.168.80.100", "2001:db8:80::100"
CLOSED, MISSING, NOBODY = (
    ("nat.dnat-port", "DNAT to a closed port"),
    ("nat.dnat-missing", "no DNAT"),
    ("nat.dnat-nobody", "DNAT to nobody"),
)


def tcp(listener: str) -> Callable[[Place, str], Reach]:
    """A connection to port 8080, which is published for port 80 of a sandbox."""
    return lambda place, to: place.tcp(to, 8080, listener=place.lab.sandbox(listener), listener_port=80)


def udp(listener: str) -> Callable[[Place, str], Reach]:
    """The same with a datagram."""
    return lambda place, to: place.udp(to, 8080, listener=place.lab.sandbox(listener), listener_port=80)


def dnat(how: str, to: str, at: str = UPLINK, protocol: str = "tcp", chain: str = "PREROUTING") -> str:
    """A command that publishes the port."""
    program = "ip6tables" if ":" in at else "iptables"
    return f"{program} -t nat {how} {chain} -d {at} -p {protocol} --dport 8080 -j DNAT --to-destination {to}"


def broken(cause: tuple[str, str], command: str, remedy: str, **more: object) -> Broken:
    """The walkthrough, into which the router wants to come by the node's own address."""
    more = {"sender": "router", "to": UPLINK, "probe": tcp("ns01")} | more
    return Broken(*cause, "node", remedy, {"node": command}, **more)


RIGHT, RIGHT6 = "10.40.80.11:80", "[2001:db8:40::11]:80"
DESTINATIONS = [
    broken(MISSING, "true", dnat("-A", RIGHT)),
    broken(MISSING, "true", dnat("-A", RIGHT, protocol="udp"), probe=udp("ns01")),
    broken(MISSING, "true", dnat("-A", RIGHT6, UPLINK6), to=UPLINK6),
    # Published for IPv4, for another port, for another protocol.
    broken(MISSING, dnat("-A", RIGHT), dnat("-A", RIGHT6, UPLINK6), to=UPLINK6),
    broken(MISSING, dnat("-A", RIGHT).replace("8080", "8081"), dnat("-A", RIGHT)),
    broken(MISSING, dnat("-A", RIGHT, protocol="udp"), dnat("-A", RIGHT)),
    # A rule before it ends the way through the chain.
    broken(
        MISSING, f"iptables -t nat -A PREROUTING -d {UPLINK} -p tcp -j RETURN; {dnat('-A', RIGHT)}", dnat("-I", RIGHT)
    ),
    broken(
        MISSING,
        f"nft 'table ip6 n {{ chain c {{ type nat hook prerouting priority -100; iifname {{ ens33, eth9 }} "
        f"accept; tcp dport 8080 dnat to {RIGHT6}; }}; }}'",
        dnat("-I", RIGHT6, UPLINK6),
        to=UPLINK6,
    ),
    # From the node itself PREROUTING is not met.
    broken(MISSING, dnat("-A", RIGHT), dnat("-A", RIGHT, chain="OUTPUT"), sender="node"),
    broken(CLOSED, dnat("-A", "10.40.80.11:81"), dnat("-I", RIGHT)),
    broken(CLOSED, dnat("-A", "10.40.80.12:80"), dnat("-I", RIGHT)),
    broken(CLOSED, dnat("-A", "[2001:db8:40::11]:81", UPLINK6), dnat("-I", RIGHT6, UPLINK6), to=UPLINK6),
    broken(CLOSED, dnat("-A", "10.40.80.11:81", protocol="udp"), dnat("-I", RIGHT, protocol="udp"), probe=udp("ns01")),
    broken(NOBODY, dnat("-A", "10.40.80.99:80"), dnat("-I", RIGHT)),
    broken(NOBODY, dnat("-A", "[2001:db8:40::99]:80", UPLINK6), dnat("-I", RIGHT6, UPLINK6), to=UPLINK6),
    broken(NOBODY, dnat("-A", "10.40.80.99:80", protocol="udp"), dnat("-I", RIGHT, protocol="udp"), probe=udp("ns01")),
    broken(NOBODY, dnat("-A", "203.0.113.9:80"), dnat("-I", RIGHT)),
    broken(NOBODY, dnat("-A", "10.40.80.99:80", chain="OUTPUT"), dnat("-I", RIGHT, chain="OUTPUT"), sender="node"),
]


def nft(family: str, to: str) -> str:
    """The same by a table of one's own."""
    chain = f"add table {family} x; add chain {family} x p {{ type nat hook prerouting priority -100; }}"
    word = "ip to" if family == "inet" else "to"
    return f"nft '{chain}; add rule {family} x p tcp dport 8080 dnat {word} {to}'"


def inserted(family: str) -> str:
    """The command that has a table of one's own translate to the listener first."""
    word = "ip to" if family == "inet" else "to"
    return f"nft insert rule {family} x p ip daddr {UPLINK} tcp dport 8080 dnat {word} {RIGHT}"


LEGACY = "iptables-legacy"
OTHER_PROGRAMS = [
    *(broken(NOBODY, nft(family, "10.40.80.99:80"), inserted(family)) for family in ("ip", "inet")),
    *(broken(CLOSED, nft(family, "10.40.80.11:81"), inserted(family)) for family in ("ip", "inet")),
    broken(
        NOBODY, dnat("-A", "10.40.80.99:80").replace("iptables", LEGACY), dnat("-I", RIGHT).replace("iptables", LEGACY)
    ),
    broken(
        CLOSED, dnat("-A", "10.40.80.11:81").replace("iptables", LEGACY), dnat("-I", RIGHT).replace("iptables", LEGACY)
    ),
]
HAIRPIN = "hairpin NAT off"
# A bridge that asks iptables translates replies back itself.
PLAIN = {"node": "sysctl -e -w net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0"}
MASQUERADE = "POSTROUTING -s 10.40.80.0/24 -d"
REPLIES = [
    broken(
        ("nat.hairpin", HAIRPIN),
        dnat("-A", "10.40.80.12:80"),
        f"iptables -t nat -I {MASQUERADE} 10.40.80.12 -j MASQUERADE",
        sender="node/ns01",
        setup=PLAIN,
        probe=tcp("ns02"),
    ),
    broken(
        ("nat.hairpin", HAIRPIN),
        dnat("-A", "10.40.80.12:80", protocol="udp"),
        f"iptables -t nat -I {MASQUERADE} 10.40.80.12 -j MASQUERADE",
        sender="node/ns01",
        setup=PLAIN,
        probe=udp("ns02"),
    ),
    broken(
        ("nat.hairpin", HAIRPIN),
        dnat("-A", "[2001:db8:40::12]:80", UPLINK6),
        "ip6tables -t nat -I POSTROUTING -s 2001:db8:40::/64 -d 2001:db8:40::12 -j MASQUERADE",
        sender="node/ns01",
        setup=PLAIN,
        to=UPLINK6,
        probe=tcp("ns02"),
    ),
    broken(
        ("nat.hairpin-self", HAIRPIN),
        dnat("-A", RIGHT),
        f"iptables -t nat -I {MASQUERADE} 10.40.80.11 -j MASQUERADE",
        sender="node/ns01",
        setup=PLAIN,
    ),
    Broken(
        "nat.hairpin-port",
        "hairpin off",
        "node",
        "bridge link set dev veth01 hairpin on",
        {"node": f"sysctl -w net.bridge.bridge-nf-call-iptables=1; {dnat('-A', RIGHT)}"},
        sender="node/ns01",
        to=UPLINK,
        probe=tcp("ns01"),
        needs="net.bridge.bridge-nf-call-iptables",
        afterwards={"node": f"iptables -t nat -A {MASQUERADE} 10.40.80.11 -j MASQUERADE"},
    ),
    # The reply comes by the gateway, and not by node 2, which translated the request.
    Broken(
        "nat.reply-bypasses",
        "reply not translated back",
        "node2",
        "iptables -t nat -I POSTROUTING -s 192.168.80.0/24 -d 198.51.100.2 -j MASQUERADE",
        {
            "node2": "sysctl -w net.ipv4.ip_forward=1; iptables -t nat -A PREROUTING -p tcp --dport 8080 "
            "-j DNAT --to-destination 198.51.100.2:80"
        },
        sender="node1",
        to="192.168.80.102",
        topology="three-nodes-one-lan",
        probe=lambda place, to: place.tcp(to, 8080, listener=place.lab.host("internet"), listener_port=80),
    ),
]


@pytest.mark.parametrize("broken", [*DESTINATIONS, *OTHER_PROGRAMS, *REPLIES], ids=str)
def test_a_destination_that_leads_nowhere_is_named(broken):
    """The rule that is missing or wrong, or the reply that it does not get back, with the command that fixes it."""
    demand(broken, warm=False)


def test_a_connection_from_before_a_change_is_named():
    """UDP from one port goes on to the old target after the rule has changed, until the entry is deleted."""
    with Lab(load(find("bridge-walkthrough"))) as lab:
        node, router = lab.host("node"), lab.host("router")

        def ask(listener: str) -> Reach:
            at = lab.sandbox(listener)
            return router.udp(UPLINK, 8080, listener=at, listener_port=80, source_port=5353)

        node.run(["sh", "-ec", dnat("-A", "10.40.80.12:80", protocol="udp")])
        assert ask("ns02")
        node.run(["sh", "-ec", f"iptables -t nat -F; {dnat('-A', RIGHT, protocol='udp')}"])

        reach = ask("ns01")

        assert (reach.cause.id, reach.cause.place, reach.dropped_by) == (
            "nat.dnat-stale",
            "node",
            "stale conntrack entry",
        )
        assert reach.cause.remedy == "conntrack -D -f ipv4 -p udp --dport 8080"
        node.run(reach.cause.remedy.split())
        assert ask("ns01")


def test_what_is_published_rightly_has_no_cause():
    """The unbroken twin delivers, by the other's address and back."""
    with Lab(load(find("bridge-walkthrough"))) as lab:
        lab.host("node").run(["sh", "-ec", dnat("-A", RIGHT)])

        reach = tcp("ns01")(lab.host("router"), UPLINK)

        assert reach
        assert reach.dropped_by == ""


def test_only_rules_for_the_protocol_are_evidence():
    """Of rules that translate to one address those for another protocol have nothing to do with it."""
    with Lab(load(find("bridge-walkthrough"))) as lab:
        for protocol in ("tcp", "udp"):
            lab.host("node").run(dnat("-A", "10.40.80.11:53", protocol=protocol).split())

        reach = lab.host("router").udp(UPLINK, 8080)

        assert reach.cause.id == "nat.dnat-port"
        assert reach.cause.remedy == "listen on udp port 53 at node/ns01"
        assert not any("-p tcp" in line for line in reach.cause.evidence)
