"""A map of nftables that lacks the element by which a destination would be translated: it is named, and added."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import Broken, demand

from cnitest import Lab, load
from cnitest.topology import find

UPLINK, UPLINK6 = "192.168.80.100", "2001:db8:80::100"
POD, POD6 = "10.40.80.11", "2001:db8:40::11"


def table(family: str, rule: str, *more: str, hook: str = "prerouting") -> str:
    """A table of one's own with a rule at a hook, and chains or maps besides."""
    base = f"chain p {{ type nat hook {hook} priority -100; {rule}; }}"
    return f"nft 'table {family} x {{ {' '.join(more)} {base}; }}'"


def a_map(kind: str, element: str, name: str = "m") -> str:
    """A map of a type that has one element."""
    return f"map {name} {{ type {kind}; elements = {{ {element} }}; }};"


def added(family: str, element: str, name: str = "m") -> str:
    """The command that adds an element."""
    return f"nft 'add element {family} x {name} {{ {element} }}'"


def lacking(command: str, remedy: str, *, port: int = 80, kind: str = "tcp", **more: object) -> Broken:
    """Port 8080 of the node, which the router wants and no element of a map has."""

    def send(place, to):
        return getattr(place, kind)(to, 8080, listener=place.lab.sandbox("ns01"), listener_port=port)

    more = {"sender": "router", "to": UPLINK, "probe": send} | more
    return Broken("nat.dnat-missing", "no DNAT", "node", remedy, {"node": command}, **more)


PORTS, ENDS, ENDS6 = (
    "inet_service : ipv4_addr",
    "inet_service : ipv4_addr . inet_service",
    "inet_service : ipv6_addr . inet_service",
)
SERVICES = "ipv4_addr . inet_proto . inet_service : verdict"
CHAINS = f"chain pod {{ meta l4proto tcp dnat to {POD}:80; }}; chain other {{ meta l4proto tcp dnat to {POD}:81; }};"
SERVICE = "chain service { numgen inc mod 1 vmap { 0 : goto pod }; };"
BY_ALL = "ip daddr . meta l4proto . th dport vmap @m"
LOOKS_UP = f"chain services {{ {BY_ALL}; }};"
CASES = {
    "address": lacking(
        table("ip", "dnat to tcp dport map @m", a_map(PORTS, f"9090 : {POD}")), added("ip", f"8080 : {POD}"), port=8080
    ),
    "address and port": lacking(
        table("ip", "dnat ip addr . port to tcp dport map @m", a_map(ENDS, f"9090 : {POD} . 80")),
        added("ip", f"8080 : {POD} . 80"),
    ),
    "IPv6": lacking(
        table("ip6", "dnat ip6 addr . port to tcp dport map @m", a_map(ENDS6, f"9090 : {POD6} . 80")),
        added("ip6", f"8080 : {POD6} . 80"),
        to=UPLINK6,
    ),
    "both families": lacking(
        table(
            "inet",
            "dnat ip6 addr . port to tcp dport map @six; dnat ip addr . port to udp dport map @m",
            a_map(ENDS6, f"9090 : {POD6} . 80", "six"),
            a_map(ENDS, f"9090 : {POD} . 80"),
        ),
        added("inet", f"8080 : {POD} . 80"),
        kind="udp",
    ),
    "verdict": lacking(
        table("ip", BY_ALL, CHAINS, a_map(SERVICES, f"{UPLINK} . udp . 8080 : goto pod")),
        added("ip", f"{UPLINK} . tcp . 8080 : goto pod"),
    ),
    "chain of a chain": lacking(
        table("ip", BY_ALL, CHAINS, SERVICE, a_map(SERVICES, f"{UPLINK} . tcp . 9090 : jump other")),
        added("ip", f"{UPLINK} . tcp . 8080 : jump service"),
    ),
    # As kube-proxy has it: the base chains jump to the one that looks services up.
    "chain before": lacking(
        table("ip", "jump services", CHAINS, SERVICE, a_map(SERVICES, "10.9.9.9 . tcp . 80 : goto other"), LOOKS_UP),
        added("ip", f"{UPLINK} . tcp . 8080 : goto service"),
    ),
    "of its own": lacking(
        table("ip", "dnat ip addr . port to tcp dport map @m", a_map(ENDS, f"9090 : {POD} . 80"), hook="output"),
        added("ip", f"8080 : {POD} . 80"),
        sender="node",
    ),
    # What a map cannot say, or is not asked about this packet: a rule.
    "another port": lacking(
        table("ip", "dnat to tcp dport map @m", a_map(PORTS, f"9090 : {POD}")),
        f"iptables -t nat -A PREROUTING -d {UPLINK} -p tcp --dport 8080 -j DNAT --to-destination {POD}:80",
    ),
    "another address": lacking(
        table("ip", "ip daddr 10.9.9.9 dnat ip addr . port to tcp dport map @m", a_map(ENDS, f"9090 : {POD} . 80")),
        f"iptables -t nat -A PREROUTING -d {UPLINK} -p tcp --dport 8080 -j DNAT --to-destination {POD}:80",
    ),
    "no chain": lacking(
        table(
            "ip",
            BY_ALL,
            "chain other { meta l4proto tcp dnat to 10.40.80.12:80; };",
            a_map(SERVICES, "10.9.9.9 . tcp . 8080 : goto other"),
        ),
        f"iptables -t nat -A PREROUTING -d {UPLINK} -p tcp --dport 8080 -j DNAT --to-destination {POD}:80",
    ),
}


@pytest.mark.requires(binary="nft")
@pytest.mark.parametrize("name", CASES)
def test_the_missing_element_is_named_and_lets_it_pass(name):
    """With the key that the rule looks up, and the value that leads to the listener."""
    demand(CASES[name], warm=False)


@pytest.mark.requires(binary="nft")
def test_the_rule_that_translated_is_the_evidence():
    """A rule that names the same address, and that the packet did not meet, is none."""
    with Lab(load(find("bridge-walkthrough"))) as lab:
        rule = table("ip", "dnat to tcp dport map @m", CHAINS, a_map(PORTS, f"8080 : {POD}"))
        lab.host("node").run(["sh", "-ec", rule])

        reach = lab.host("router").tcp(UPLINK, 8080)

        assert (reach.cause.id, reach.cause.place) == ("nat.dnat-port", "node"), reach.explanation
        assert [line for line in reach.cause.evidence if "dnat" in line] == ["ip x p: dnat to tcp dport map @m"]
