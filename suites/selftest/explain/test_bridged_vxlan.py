"""A VXLAN as port of a bridge, as overlays of engines make it: its table has lost a remote, or has a wrong one.

As in moby/moby issues 35401 and 52661.
"""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import Broken, demand

from cnitest.lab.place import Place


def node(number: int, others: tuple[int, ...]) -> str:
    """A node with a container, whose bridge has a VXLAN that learns nothing."""
    fdb = ", ".join(f"02:42:0a:00:01:0{other} dev vx0 dst 192.168.0.{other}" for other in others)
    neighbours = ", ".join(
        f"10.0.1.{other} lladdr 02:42:0a:00:01:0{other} dev eth0, "
        f'"2001:db8:1::{other} lladdr 02:42:0a:00:01:0{other} dev eth0"'
        for other in others
    )
    return f"""
  n{number}:
    bridges: {{br0: {{mtu: 1450}}}}
    vxlans: {{vx0: {{id: 4097, local: 192.168.0.{number}, learning: false, bridge: br0, mtu: 1450}}}}
    fdb: [{fdb}]
    sandboxes: {{c{number}: {{neighbours: [{neighbours}]}}}}"""


def wires(number: int) -> str:
    """The container's wire, and the node's."""
    return f"""
  - ends:
      - {{at: n{number}/c{number}, name: eth0, mac: "02:42:0a:00:01:0{number}", mtu: 1450,
         addresses: [10.0.1.{number}/24, "2001:db8:1::{number}/64"]}}
      - {{at: n{number}, name: v{number}, bridge: br0, mtu: 1450}}
  - ends:
      - {{at: n{number}, name: eth0, addresses: [192.168.0.{number}/24]}}
      - {{at: lan}}"""


OVERLAY = f"""
name: bridged-overlay
switches: {{lan: {{}}}}
hosts:{node(1, (2, 3))}{node(2, (1, 3))}{node(3, (1, 2))}
veths:{wires(1)}{wires(2)}{wires(3)}
"""
PROBES = {
    "ping": Place.ping,
    "tcp": lambda place, to: place.tcp(to, 80),
    "udp6": lambda place, to: place.udp(to.replace("10.0.1.", "2001:db8:1::"), 53),
}
ENTRY = "02:42:0a:00:01:02 dev vx0"
BROKEN = {
    "lost": ("no VXLAN remote", f"bridge fdb del {ENTRY} dst 192.168.0.2", "append"),
    "nobody": ("wrong VXLAN remote", f"bridge fdb replace {ENTRY} dst 192.168.0.9", "replace"),
    "other": ("wrong VXLAN remote", f"bridge fdb replace {ENTRY} dst 192.168.0.3", "replace"),
}


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.requires(kernel="vxlan")
def test_the_entry_of_a_bridged_vxlan_is_named(how, probe):
    """A frame that a bridge hands to its VXLAN ends for want of the right remote: the entry, and the node behind it."""
    dropped_by, command, word = BROKEN[how]
    remedy = f"bridge fdb {word} {ENTRY} dst 192.168.0.2"
    broken = Broken(
        "l2.vxlan-remote", dropped_by, "n1", remedy, {"n1": command}, "n1/c1", "10.0.1.2", OVERLAY, probe=PROBES[probe]
    )

    demand(broken, warm=False)


@pytest.mark.requires(kernel="vxlan")
def test_copies_for_each_remote_are_no_wrong_one():
    """Where a VXLAN sends groups to each of several remotes, a neighbour that does not answer is what ended it."""
    everybody = "; ".join(f"bridge fdb append 00:00:00:00:00:00 dev vx0 dst 192.168.0.{other}" for other in (2, 3))
    broken = Broken(
        "l2.arp-ignore",
        "arp_ignore",
        "n2/c2",
        "sysctl -w net.ipv4.conf.eth0.arp_ignore=0",
        {
            "n1/c1": "ip neigh flush nud permanent",
            "n1": everybody,
            "n2/c2": "sysctl -qw net.ipv4.conf.eth0.arp_ignore=8",
        },
        "n1/c1",
        "10.0.1.2",
        OVERLAY,
    )

    demand(broken, warm=False)
