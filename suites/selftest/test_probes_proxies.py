"""Probes for addresses that somebody answers for: the kernel may take `proxy_delay` for such an answer."""

from __future__ import annotations

import time

import pytest

from cnitest import Lab
from cnitest.lab.probe.verdict.holding import nothing_waits
from cnitest.topology import loads

_ROUTED = """name: proxied
hosts:
  asker: {}
  middle: {role: router}
  owner: {routes: [default via 10.1.0.1, "default via 2001:db8:1::1"]}
veths:
  - ends:
      - {at: asker, name: eth0, addresses: [10.0.0.1/8, "2001:db8::1/32"]}
      - {at: middle, name: lan, addresses: [10.0.0.2/24, "2001:db8::2/64"]}
  - ends:
      - {at: middle, name: wan, addresses: [10.1.0.1/24, "2001:db8:1::1/64"]}
      - {at: owner, name: eth0, addresses: [10.1.0.9/24, "2001:db8:1::9/64"]}
"""
V4, V6 = "10.1.0.9", "2001:db8:1::9"
PROXIES = {
    "proxy_arp of the link": (V4, ["sysctl -qw net.ipv4.conf.lan.proxy_arp=1"]),
    "proxy_arp of all links": (V4, ["sysctl -qw net.ipv4.conf.all.proxy_arp=1"]),
    "an entry for ARP": (V4, [f"ip neighbour add proxy {V4} dev lan"]),
    "proxy_arp_pvlan": ("10.0.0.77", ["sysctl -qw net.ipv4.conf.lan.proxy_arp_pvlan=1"]),
    "proxy_ndp of the link": (V6, ["sysctl -qw net.ipv6.conf.lan.proxy_ndp=1", f"ip neigh add proxy {V6} dev lan"]),
    "proxy_ndp of all links": (V6, ["sysctl -qw net.ipv6.conf.all.proxy_ndp=1", f"ip neigh add proxy {V6} dev lan"]),
    "anycast": ("2001:db8::", []),
}


@pytest.fixture
def lab():
    """A router between an asker, who takes the owner's network for its own, and the owner. Proxies take two seconds."""
    with Lab(loads(_ROUTED)) as built:
        for family in ("ipv4", "ipv6"):
            built.host("middle").sysctl(f"net.{family}.neigh.lan.proxy_delay", 200)
        yield built


@pytest.mark.parametrize(("address", "commands"), PROXIES.values(), ids=PROXIES)
def test_whoever_answers_for_others_has_the_time_for_it(lab, address, commands):
    """A question that is answered for another one, later than others wait, is answered by whoever does it."""
    middle = lab.host("middle")
    for command in commands:
        middle.run(command.split())

    reach = lab.host("asker").arp(address)

    assert reach
    assert reach.answered_by == middle.link("lan").mac


@pytest.mark.parametrize("address", [V4, V6])
def test_a_proxied_address_is_reached_as_soon_as_its_mac_is_known(lab, address):
    """A ping whose first hop is somebody who answers for others waits for that answer, too."""
    middle = lab.host("middle")
    for sysctl in ("net.ipv4.conf.lan.proxy_arp", "net.ipv6.conf.lan.proxy_ndp"):
        middle.sysctl(sysctl, 1)
    middle.run(["ip", "neighbour", "add", "proxy", V6, "dev", "lan"])

    assert lab.host("asker").ping(address)


def test_a_question_from_before_an_attempt_is_not_taken_for_one_of_it(lab):
    """The kernel rounds the age of an entry down: what was asked for shortly before still waits for its answer."""
    asker, middle = lab.host("asker"), lab.host("middle")
    middle.sysctl("net.ipv4.conf.lan.proxy_arp", 1)
    middle.sysctl("net.ipv4.neigh.lan.proxy_delay", 10_000_000)  # no answer comes meanwhile
    lab.sniffers(lab.places)
    for _ in range(10):
        asker.run(["ip", "neighbour", "replace", V4, "dev", "eth0", "nud", "none", "use"])
        assert not nothing_waits(lab, "icmp", since=time.time_ns())
        asker.run(["ip", "neighbour", "del", V4, "dev", "eth0"])


NOBODY = {
    "no proxy": (V4, []),
    "what is on the same link": ("10.0.0.77", ["sysctl -qw net.ipv4.conf.lan.proxy_arp=1"]),
    "no forwarding": (V4, ["sysctl -qw net.ipv4.conf.lan.proxy_arp=1", "sysctl -qw net.ipv4.ip_forward=0"]),
    "no route": ("10.2.0.9", ["sysctl -qw net.ipv4.conf.lan.proxy_arp=1"]),
    "an entry for another address": (V4, ["ip neighbour add proxy 10.1.0.10 dev lan"]),
    "an entry of another link": (V4, [f"ip neighbour add proxy {V4} dev wan"]),
    "proxy_ndp without an entry": (V6, ["sysctl -qw net.ipv6.conf.lan.proxy_ndp=1"]),
    "an entry without proxy_ndp": (V6, [f"ip neighbour add proxy {V6} dev lan"]),
}


@pytest.mark.parametrize(("address", "commands"), NOBODY.values(), ids=NOBODY)
def test_nobody_is_waited_for_who_does_not_answer(lab, address, commands):
    """Where nobody on the wire answers for the address, a question is dropped after two attempts, as ever."""
    for command in commands:
        lab.host("middle").run(command.split())

    reach = lab.host("asker").arp(address)

    assert not reach
    assert reach.attempts == 2
