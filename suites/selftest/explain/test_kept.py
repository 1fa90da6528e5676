"""Routes that keep at a place what is for another one, and tunnels whose packets are translated or too large."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.test_carriers import ENDS, PODS, topology
from cnitest.suites.selftest.explain.ways import Broken, must_be_explained

from cnitest import Lab, Verdict
from cnitest.topology import loads

BOTH = pytest.mark.parametrize("family", [4, 6])
_TABLE = "{ip} route add local default dev lo table 100"


def kept(dropped_by: str, place: str, command: str, remedy: str, probe: str = "ping") -> Broken:
    """A route that keeps the packet at a place, or its reply."""
    return Broken("routing.loopback-route", (f"{place}: {command}",), dropped_by, place, remedy, probe=probe)


KEPT = [
    kept("route to lo", "server", "{ip} route replace default dev lo", "{ip} route del default dev lo"),
    kept("route to lo", "r1", "{ip} route replace {S} dev lo", "{ip} route del {S}/{128} dev lo"),
    kept("route to lo", "r1", "{ip} route add {1.1} dev lo", "{ip} route del {1.1}/{128} dev lo", "tcp"),
    kept("route to lo", "client", "{ip} route replace default dev lo", "{ip} route del default dev lo", "udp"),
    kept("local route", "r1", "{ip} route add local {S} dev lo", "{ip} route del local {S}/{128} dev lo", "tcp"),
    kept("local route", "r1", f"{{ip}} rule add pref 9 iif eth1 lookup 100; {_TABLE}", "{ip} rule del pref 9", "udp"),
]


@BOTH
@pytest.mark.parametrize("broken", KEPT, ids=lambda one: one.label)
def test_a_route_that_keeps_a_packet_is_named(broken, family):
    """A route to lo, or a local one for another place's address, is named, and no missing MASQUERADE."""
    must_be_explained(broken, family)


REDIRECTS = [
    ("n2", "{t} -t nat -A PREROUTING -p udp --dport 8472 -j REDIRECT --to-ports 9999", "{t} -t nat -D PREROUTING"),
    ("n1", "{t} -t nat -A OUTPUT -p udp --dport 8472 -j REDIRECT --to-ports 9999", "{t} -t nat -D OUTPUT"),
    ("mid", "{t} -t nat -A PREROUTING -p udp --dport 8472 -j DNAT --to-destination :9999", "{t} -t nat -D PREROUTING"),
    (
        "n2",
        "nft 'table {f} t {{ chain c {{ type nat hook prerouting priority -100; "
        "udp dport 8472 redirect to :9999; }}; }}'",
        "nft insert rule {f} t c udp dport 8472 accept",
    ),
]


@BOTH
@pytest.mark.parametrize(("place", "command", "remedy"), REDIRECTS)
@pytest.mark.requires(kernel="vxlan")
def test_a_translated_tunnel_is_named(place, command, remedy, family):
    """A rule that sends a tunnel's packets to a port where no tunnel receives is named where it is."""
    six = "6" if family == 6 else ""
    words = {**ENDS[family], "t": f"ip{six}tables", "f": f"ip{six}"}
    with Lab(loads(topology(family))) as lab:
        lab.host(place).run(["sh", "-ec", command.format(**words)])

        reach = lab.sandbox("p1").ping(PODS[family], wait=0.2)

        said = reach.cause and (reach.cause.id, reach.cause.place)
        assert said == ("nat.tunnel-destination", place), reach.explanation
        assert reach.cause.remedy.startswith(remedy.format(**words)), reach.cause.remedy
        lab.host(place).run(["sh", "-ec", reach.cause.remedy])
        assert lab.sandbox("p1").ping(PODS[family]), reach.cause.remedy


@pytest.mark.parametrize(("family", "df"), [(4, "set"), (4, "inherit"), (6, "unset")])
@pytest.mark.parametrize("place", ["n1", "mid"])
@pytest.mark.requires(kernel="vxlan")
def test_a_tunnel_that_is_too_large_is_named(family, df, place):
    """What a tunnel adds makes a packet too large for a link on its way, which is named with its size."""
    link = "eth0" if place == "n1" else "eth2"
    with Lab(loads(topology(family))) as lab:
        pod, node = lab.sandbox("p1"), lab.host("n1")
        options = {"size": 1350, "df": df == "inherit", "wait": 0.2}
        assert pod.ping(PODS[family], **options)
        node.run(["sh", "-ec", f"ip link set vx0 type vxlan df {df}"])
        lab.host(place).run(["sh", "-ec", f"ip link set {link} mtu 1300"])
        pod.ping(PODS[family], **options)

        reach = pod.ping(PODS[family], **options)

        assert reach.verdict is not Verdict.DELIVERED
        assert reach.cause and reach.cause.id == "limits.tunnel-mtu", reach.explanation
        assert f"{place}:{link} has MTU 1300, and the packet has" in reach.cause.words
        lab.host(reach.cause.place).run(["sh", "-ec", reach.cause.remedy])
        for each in (node, lab.host("n2")):
            each.run(["sh", "-ec", "ip route flush cache; ip -6 route flush cache"])
        lab.host(place).run(["ip", "link", "set", link, "mtu", "1500"])
        assert pod.ping(PODS[family], **options), reach.cause.remedy
