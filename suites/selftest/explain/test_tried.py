"""Losses behind losses: each cause in its turn, each remedy run, until the packet passes."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import PROBES, run

from cnitest import Lab, load
from cnitest.deadline import Deadline
from cnitest.explain.tried import tried
from cnitest.lab.place import Place
from cnitest.topology import find, loads

LAN = """
name: two-lans
hosts:
  a: {routes: [{via: 10.3.0.1}, {via: "fd00:3::1"}]}
  b: {routes: [{via: 10.3.0.1}, {via: "fd00:3::1"}]}
  r: {role: router}
  c: {routes: [{via: 10.4.0.1}, {via: "fd00:4::1"}]}
  sw: {bridges: {br0: {}}}
veths:
  - ends: [{at: a, name: eth0, addresses: [10.3.0.2/24, "fd00:3::2/64"]}, {at: sw, name: pa, bridge: br0}]
  - ends: [{at: b, name: eth0, addresses: [10.3.0.3/24, "fd00:3::3/64"]}, {at: sw, name: pb, bridge: br0}]
  - ends: [{at: r, name: lan, addresses: [10.3.0.1/24, "fd00:3::1/64"]}, {at: sw, name: pr, bridge: br0}]
  - ends:
      - {at: c, name: eth0, addresses: [10.4.0.2/24, "fd00:4::2/64"]}
      - {at: r, name: dmz, addresses: [10.4.0.1/24, "fd00:4::1/64"]}
"""
FAMILIES = {"IPv4": ("10.3.0.", "10.4.0.", "", 32), "IPv6": ("fd00:3::", "fd00:4::", "-6 ", 128)}
# Asked for by ping, it answers itself.
OWN = "the sender has its destination"
ADDED = "ip address add {lan}1/{length} dev eth0{nodad}"
TINY = "root tbf rate 8bit burst 1 limit 1"
# Who sends to which address of the LAN (or, from a place there, of c), what breaks that, the causes in their order (by
# family, where it is another one), and the places where their remedies are run.
CASES = {
    OWN: ("r", 3, {"r": "ip address add {lan}3/{length} dev dmz{nodad}"},
                                       ["routing.duplicate-address"], ["r"]),
    "the asked has the asker's address": ("r", 2, {"a": ADDED},
                                          {"IPv4": ["l2.asker-address"], "IPv6": ["routing.duplicate-address"]}, ["a"]),
    "a router has its sender's, which is the copy": (
        "c", 3, {"c": f"{ADDED}; ip {{six}}route replace default via {{dmz}}1 src {{lan}}1"},
        {"IPv4": ["l2.asker-address", "routing.no-route"], "IPv6": ["routing.duplicate-address"]}, ["c", "c"]),
    "the queue of the asked": ("r", 2, {"a": f"tc qdisc add dev eth0 {TINY}"}, ["limits.qdisc"], ["a"]),
    "the queue of a port on the way there": ("a", 3, {"sw": f"tc qdisc add dev pb {TINY}"}, ["limits.qdisc"], ["sw"]),
    "the queue of a port on the way back": ("a", 3, {"sw": f"tc qdisc add dev pa {TINY}"}, ["limits.qdisc"], ["sw"]),
    "a route to no router": (
        "r", 3, {"r": "ip {six}route add {lan}3/{length} via {dmz}2"}, ["routing.no-router"], ["r"]),
    "a rule to no router": (
        "r", 3, {"r": "ip {six}rule add to {lan}3 lookup 7 pref 9; ip {six}route add default via {dmz}2 table 7"},
        ["routing.no-router"], ["r"]),
    "forwarding, a rule behind it, and the reply": (
        "c", 2, {"r": "sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0; "
                      "nft 'table inet t { chain c { type filter hook forward priority 0; iif dmz drop; "
                      "oif dmz ct state established drop; }; }'"},
        ["routing.forwarding-off", "nftables.rule", "nftables.rule"], ["r", "r", "r"]),
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("case", "probe"), [(case, probe) for case in CASES for probe in PROBES if (case, probe) != (OWN, "ping")]
)
def test_what_is_lost_passes_in_the_end(case, probe, family):
    """Each cause and the place of its remedy, in order; then the packet is delivered."""
    sender, to, commands, causes, places = CASES[case]
    lan, dmz, six, length = FAMILIES[family]
    given = {"lan": lan, "dmz": dmz, "six": six, "length": length, "nodad": " nodad" if six else ""}
    with Lab(loads(LAN)) as lab:
        here, address = lab.place(sender), f"{lan}{to}"
        if case == OWN:
            assert PROBES[probe](here, address)
        run(lab, {place: _filled(command, given) for place, command in commands.items()})
        for place in commands:
            _await_local_routes(lab.place(place))

        reach = PROBES[probe](here, address)
        trials = list(tried(lab, reach, lambda: PROBES[probe](here, address)))

        found = [reach, *(trial.reach for trial in trials)]
        wanted = causes[family] if isinstance(causes, dict) else causes
        assert [one.cause.id for one in found if one.cause] == wanted, _told(found)
        assert [trial.place for trial in trials] == places[: len(wanted)], _told(found)
        assert trials[-1].delivered


def _await_local_routes(place: Place) -> None:
    """Wait until what is for an address of IPv6 stays at its place: the kernel adds that route after the address."""

    def there() -> bool:
        routes = place.run(["ip", "-6", "route", "show", "table", "local"]).stdout
        return all(f"local {row.ip} " in routes for row in place.addresses if ":" in row.ip)

    Deadline.after(5, f"{place.full_name}: local routes of its addresses").poll(there, 0.02)


def _filled(command: str, given: dict[str, object]) -> str:
    """A command with its addresses; the braces of nftables stay."""
    for name, value in given.items():
        command = command.replace(f"{{{name}}}", str(value))
    return command


def _told(found: list) -> str:
    return "\n".join(str(one.explanation) for one in found)


@pytest.mark.parametrize("probe", PROBES)
def test_what_is_no_command_is_not_run(probe):
    """A rule of the asker's own spoils the answers for MACs: that is named, and advice is all there is."""
    with Lab(loads(LAN)) as lab:
        here = lab.place("c")
        run(lab, {"c": "ip6tables -t mangle -A PREROUTING -j HL --hl-set 1"})

        reach = PROBES[probe](here, "fd00:3::2")

        cause = reach.cause
        assert (cause.id, cause.place) == ("limits.discovery-hop-limit", "c"), str(reach.explanation)
        assert cause.evidence == ("it gets an answer, and does not take it",)
        assert (cause.command, list(tried(lab, reach, lambda: reach))) == ("", [])


LOST = {
    "the global ones": ("ip -6 address flush dev eth0 scope global", ["routing.link-local"]),
    "all": ("ip -6 address flush dev eth0", ["l2.no-link-local"]),
}


@pytest.mark.parametrize("case", LOST)
def test_who_lost_its_addresses_of_ipv6_gets_them_again(case):
    """What the topology declares of the sender is the remedy, and not advice."""
    command, causes = LOST[case]
    with Lab(loads(LAN)) as lab:
        here = lab.place("c")
        run(lab, {"c": command})

        reach = here.ping("fd00:3::2")
        trials = list(tried(lab, reach, lambda: here.ping("fd00:3::2")))

        found = [reach, *(trial.reach for trial in trials)]
        assert [one.cause.id for one in found if one.cause] == causes, _told(found)
        assert trials[-1].delivered
        assert all(trial.place == "c" and "fd00:4::2/64" in trial.command for trial in trials)


TINY_ROOT = f"tc qdisc add dev eth0 {TINY}"
# In a shipped topology: who sends which probe where, what breaks that, the causes and where their remedies are run.
SHIPPED = {
    "a service's chain, and a loss elsewhere": (
        "kube-proxy-iptables", "node", "8.8.8.8", "tcp", {"internet": TINY_ROOT}, ["limits.qdisc"], ["internet"]),
    "the destination's address is gone from a router": (
        "two-uplinks", "internet", "192.168.80.2", "ping", {"router1": "ip address flush dev lan0"},
        ["host.address-missing"], ["router1"]),
    "the same of IPv6": (
        "two-uplinks", "internet", "2001:db8:80::2", "ping", {"router1": "ip -6 address flush dev lan0"},
        ["host.address-missing"], ["router1"]),
    "a router without addresses of IPv6": (
        "two-nodes-routed", "node2", "2001:db8:81::100", "udp", {"router": "ip -6 address flush dev lan1"},
        ["host.address-missing", "l2.no-link-local"], ["router", "router"]),
    "an answer for a MAC that goes to a wrong one": (
        "two-nodes-routed", "node1", "2001:db8:81::1", "ping",
        {"router": "ip -6 neigh replace 2001:db8:81::100 lladdr 02:00:00:00:be:ef dev lan1 nud permanent"},
        ["l2.wrong-neighbour"], ["router"]),
    "a port that left the bridge that is asked for": (
        "bridge-walkthrough", "node/ns02", "2001:db8:40::1", "tcp", {"node": "ip link set veth02 nomaster"},
        ["l2.no-bridge"], ["node"]),
    "a route by a port": (
        "bridge-walkthrough", "node/ns01", "8.8.8.8", "tcp", {"node": "ip route add 8.8.8.8/32 dev veth02"},
        ["l2.port-address", "nat.masquerade-missing"], ["node", "node"]),
}  # fmt: skip


@pytest.mark.parametrize("case", SHIPPED)
def test_what_is_lost_in_a_larger_network_passes_in_the_end(case):
    """The same with services, several ways to the internet, and routers."""
    topology, sender, to, probe, commands, causes, places = SHIPPED[case]
    with Lab(load(find(topology))) as lab:
        here = lab.place(sender)
        run(lab, commands)

        reach = PROBES[probe](here, to)
        trials = list(tried(lab, reach, lambda: PROBES[probe](here, to)))

        found = [reach, *(trial.reach for trial in trials)]
        assert [one.cause.id for one in found if one.cause] == causes, _told(found)
        assert [trial.place for trial in trials] == places, _told(found)
        assert trials[-1].delivered


OFF = "net.ipv6.conf.all.disable_ipv6"
UNDECLARED = {
    "its address": ("ip -6 address flush dev eth0", "routing.no-source", "ip address add … dev eth0"),
    "IPv6": (f"sysctl -qw {OFF}=1", "host.ipv6-disabled", f"sysctl -w {OFF}=0"),
}


@pytest.mark.parametrize("case", UNDECLARED)
def test_a_sandbox_that_lost_what_no_topology_has(case):
    """What a plugin gave it is not known: the cause is named, the address is not."""
    command, cause, remedy = UNDECLARED[case]
    with Lab(load(find("node-with-uplink"))) as lab:
        sandbox = lab.host("node").sandbox("c1")
        run(lab, {"node": f"ip link add v0 type veth peer name eth0 netns {sandbox.path.rpartition('/')[2]}; "
                          "ip link set v0 up; ip address add fd00:9::1/64 dev v0 nodad"})  # fmt: skip
        run(lab, {"node/c1": "ip link set eth0 up; ip address add fd00:9::2/64 dev eth0 nodad; "
                             "ip -6 route add default via fd00:9::1 dev eth0 onlink"})  # fmt: skip
        assert sandbox.ping("fd00:9::1")
        run(lab, {"node/c1": command})

        reach = sandbox.ping("2001:db8:80::2")

        assert (reach.cause.id, reach.cause.place) == (cause, "node/c1"), str(reach.explanation)
        assert reach.cause.remedy == remedy
