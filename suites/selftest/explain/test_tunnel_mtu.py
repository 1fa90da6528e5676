"""A VXLAN that is too small for its packets, as its own link is: both are made larger, the link first."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import Broken, demand

from cnitest import Lab
from cnitest.lab.place import Place
from cnitest.lab.reach import Reach
from cnitest.topology import loads

OVERLAY = """
name: overlay
hosts:
  n1:
    role: router
    vxlans: {vx: {id: 1, local: LOCAL1, parent: eth0, learning: false, addresses: [10.9.0.1/24, "2001:db8:9::1/64"]}}
    fdb: ["00:00:00:00:00:00 dev vx dst LOCAL2"]
    sandboxes: {p1: {routes: [default via 10.1.0.1, "default via 2001:db8:1::1"]}}
  n2:
    role: router
    vxlans:
      vx: {id: 1, local: LOCAL2, parent: eth0, learning: false, mtu: 1500, addresses: [10.9.0.2/24, "2001:db8:9::2/64"]}
    fdb: ["00:00:00:00:00:00 dev vx dst LOCAL1"]
    routes: [10.1.0.0/24 via 10.9.0.1, "2001:db8:1::/64 via 2001:db8:9::1"]
veths:
  - ends:
      - {at: n1, name: eth0, addresses: [192.168.0.1/24, "2001:db8::1/64"]}
      - {at: n2, name: eth0, mtu: 1600, addresses: [192.168.0.2/24, "2001:db8::2/64"]}
  - ends:
      - {at: n1/p1, name: eth0, addresses: [10.1.0.11/24, "2001:db8:1::11/64"]}
      - {at: n1, name: v1, addresses: [10.1.0.1/24, "2001:db8:1::1/64"]}
"""


SILENT = "iptables -A OUTPUT -p icmp -j DROP; ip6tables -A OUTPUT -p ipv6-icmp --icmpv6-type 2 -j DROP"


def _large(place: Place, to: str) -> Reach:
    return place.udp(to, 4711, size=1500 - 28 if "." in to else 1500 - 48)


@pytest.mark.parametrize("to", ["10.9.0.2", "2001:db8:9::2"])
@pytest.mark.parametrize(
    ("ends", "around"), [(("192.168.0.1", "192.168.0.2"), 50), (("2001:db8::1", "2001:db8::2"), 70)], ids=["4", "6"]
)
def test_a_tunnel_is_made_larger_behind_its_link(ends, around, to):
    """The kernel takes no MTU of a VXLAN above that of its link, less what is put around a packet."""
    topology = OVERLAY.replace("LOCAL1", f'"{ends[0]}"').replace("LOCAL2", f'"{ends[1]}"')
    for number in (1, 2):
        topology = topology.replace(f'dst "{ends[number - 1]}"', f"dst {ends[number - 1]}")
    demand(
        Broken(
            "limits.pmtu-black-hole",
            "pmtu black hole",
            "n1",
            f"ip link set dev eth0 mtu {1500 + around} && ip link set dev vx mtu 1500",
            {"n1": SILENT},
            "n1/p1",
            to,
            topology,
            probe=_large,
        ),
        warm=False,
    )


@pytest.mark.parametrize("to", ["10.9.0.2", "2001:db8:9::2"])
def test_the_other_end_that_is_too_small_as_well_is_told(to):
    """Where both ends of a tunnel's wire are too small, the first one's cause names the other; both remedies help."""
    topology = OVERLAY.replace("LOCAL1", "192.168.0.1").replace("LOCAL2", "192.168.0.2").replace("mtu: 1600, ", "")
    with Lab(loads(topology.replace("mtu: 1500, addresses", "addresses"))) as lab:
        lab.place("n1").run(["sh", "-ec", SILENT])
        first = _large(lab.place("n1/p1"), to)

        assert first.cause.place == "n1", first.explanation
        assert "n2:eth0, the other end, takes 1500 bytes: then it needs MTU 1550, too" in first.cause.evidence
        lab.place("n1").run(["sh", "-ec", first.cause.remedy])
        second = _large(lab.place("n1/p1"), to)
        assert (second.cause.id, second.cause.place) == ("limits.receiver-mtu", "n2"), second.explanation
        lab.place("n2").run(["sh", "-ec", second.cause.remedy])
        assert _large(lab.place("n1/p1"), to)
