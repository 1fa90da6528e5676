"""Bridges whose ports are smaller than themselves, of what their own place sends by them."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import Broken, demand

from cnitest.lab.place import Place
from cnitest.lab.reach import Reach

# A bridge's MTU is the least of its ports', until it is set.
KEPT = "ip link set br01 mtu 1500; ip link set veth01 mtu 1300; ip link set br01 mtu 1500"
NS01 = {4: "10.40.80.11", 6: "2001:db8:40::11"}


def _whole(place: Place, to: str) -> Reach:
    return place.ping(to, size=1400, df=True, wait=0.2)


@pytest.mark.parametrize("family", [4, 6])
def test_what_the_bridge_itself_sends_is_too_long_for_a_port(family):
    """The kernel says nothing to anybody: the bridge has room, and drops it where the port begins."""
    broken = Broken(
        "limits.bridge-port-mtu",
        "MTU of the bridge port",
        "node",
        "ip link set dev veth01 mtu 1500",
        {"node": KEPT},
        sender="node",
        to=NS01[family],
        probe=_whole,
    )
    demand(broken, warm=True)


@pytest.mark.parametrize("family", [4, 6])
def test_the_remedy_for_a_bridge_is_for_its_port_too(family):
    """A bridge that follows its smallest port and is enlarged alone drops the packet at that port."""
    size = {4: 1428, 6: 1448}[family]
    broken = Broken(
        "limits.path-mtu",
        "MTU",
        "node",
        f"ip link set dev veth01 mtu {size} && ip link set dev br01 mtu {size}",
        {"node": "ip link set veth01 mtu 1300"},
        sender="router",
        to=NS01[family],
        probe=_whole,
        setup={"router": "ip route add 10.40.80.0/24 via 192.168.80.100; "
               "ip -6 route add 2001:db8:40::/64 via 2001:db8:80::100"},
        afterwards={"router": "ip route flush cache; ip -6 route flush cache"},
    )  # fmt: skip
    demand(broken, warm=False)
