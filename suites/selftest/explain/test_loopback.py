"""Who does not reach itself: lo is down or has no address, as where no plugin made it up, or its table is empty."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import PROBES, Broken, demand, run

from cnitest import Lab, Verdict, load
from cnitest.topology import find

NS01, OWN, OWN6 = "node/ns01", "10.40.80.11", "2001:db8:40::11"
UP, DOWN = "ip link set lo up", "ip link set lo down"


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize(
    ("to", "remedy", "command"),
    [
        (OWN, UP, DOWN),
        (OWN6, UP, DOWN),
        ("127.0.0.1", UP, f"ip address flush dev lo; {DOWN}"),
        ("::1", UP, f"ip address flush dev lo; {DOWN}"),
        ("127.0.0.1", "ip address add 127.0.0.1/8 dev lo", "ip address flush dev lo"),
        ("::1", "ip address add ::1/128 dev lo", "ip address flush dev lo"),
    ],
)
def test_a_loopback_link_that_is_not_up_is_named(to: str, remedy: str, command: str, probe: str) -> None:
    """Its own address, too, is behind lo; one of lo's own goes elsewhere without it."""
    broken = Broken("host.no-loopback", "no loopback", NS01, remedy, {NS01: command}, NS01, to, probe=PROBES[probe])

    demand(broken, warm=False)


@pytest.mark.parametrize(("ip", "to"), [("ip", OWN), ("ip -6", OWN6)])
def test_an_own_address_without_a_local_route_is_named(ip: str, to: str) -> None:
    """The place looks for its own address on the wire."""
    remedy = f"{ip} route add local {to} dev eth01 table local"
    commands = {NS01: f"{ip} route flush table local"}

    demand(Broken("host.no-local-route", "no local route", NS01, remedy, commands, NS01, to), warm=False)


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize(("program", "to"), [("iptables", OWN), ("ip6tables", OWN6)])
def test_what_comes_in_by_lo_is_no_late_answer(program: str, to: str, probe: str) -> None:
    """The probe itself comes from the address that it was sent to."""
    with Lab(load(find("bridge-walkthrough"))) as lab:
        run(lab, {NS01: f"{program} -A INPUT -i lo -j DROP"})

        reach = PROBES[probe](lab.place(NS01), to)

        assert reach.verdict is Verdict.DROPPED, reach.reason


@pytest.mark.parametrize(
    ("to", "sysctl"),
    [
        ("10.40.80.255", "net.ipv4.icmp_echo_ignore_broadcasts"),
        ("224.0.0.1", "net.ipv4.icmp_echo_ignore_broadcasts"),
        ("ff02::1%eth01", "net.ipv6.icmp.echo_ignore_multicast"),
    ],
)
def test_all_who_ignore_a_ping_of_a_group_are_named(to: str, sysctl: str) -> None:
    """A ping of many that nobody answers got to them; it is answered when one does not ignore it any more."""
    commands = dict.fromkeys(("node", "node/ns02"), f"sysctl -w {sysctl}=1")

    demand(
        Broken("host.group-echo-ignored", "echo ignored", "node", f"sysctl -w {sysctl}=0", commands, NS01, to),
        warm=False,
    )


@pytest.mark.parametrize("name", ["a;b", "$(id)", "a'b", "a&b", "a*"])
def test_names_of_links_are_quoted_in_commands(name: str) -> None:
    """A shell reads what a link is called, and nothing of it is run."""
    from cnitest.topology import loads

    ends = f'name: "{name}", addresses: [10.0.1.'
    topology = (
        f"name: odd\nhosts: {{a: {{}}, b: {{}}}}\nveths: [{{ends: [{{at: a, {ends}1/24]}}, {{at: b, {ends}2/24]}}]}}]\n"
    )
    with Lab(loads(topology)) as lab:
        lab.place("b").run(["ip", "link", "set", name, "down"])
        cause = lab.place("a").ping("10.0.1.2").cause
        assert cause is not None

        run(lab, {"b": cause.remedy})

        assert lab.place("a").ping("10.0.1.2"), cause.remedy
