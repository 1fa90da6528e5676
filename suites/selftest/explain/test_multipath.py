"""Routes with several next hops, of which one is gone: which one a packet takes hangs on its flow."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.ways import WAYS, Words

from cnitest import Lab, Verdict
from cnitest.topology import loads

_WORDS = {
    4: {"lan": "10.1.0.", "dmz": "10.2.0.", "length": "24", "ip": "ip", "v": "ipv4"},
    6: {"lan": "fd00:1::", "dmz": "fd00:2::", "length": "64", "ip": "ip -6", "v": "ipv6"},
}
_TWO_WAYS = """
name: two-ways
hosts:
  desk:
    setup:
      - {ip} route add default nexthop via {lan}1 nexthop via {lan}9
      - sysctl -qw net.{v}.fib_multipath_hash_policy=1
  gate: {{role: router}}
  spare: {{role: router}}
  server: {{routes: [{{via: "{dmz}1"}}]}}
switches: {{lan: {{}}, dmz: {{}}}}
veths:
  - ends: [{{at: desk, name: eth0, addresses: ["{lan}2/{length}"]}}, {{at: lan, name: p1}}]
  - ends: [{{at: gate, name: lan0, addresses: ["{lan}1/{length}"]}}, {{at: lan, name: p2}}]
  - ends: [{{at: spare, name: lan0, addresses: ["{lan}9/{length}"]}}, {{at: lan, name: p3}}]
  - ends: [{{at: server, name: eth0, addresses: ["{dmz}2/{length}"]}}, {{at: dmz, name: q1}}]
  - ends: [{{at: gate, name: dmz0, addresses: ["{dmz}1/{length}"]}}, {{at: dmz, name: q2}}]
  - ends: [{{at: spare, name: dmz0, addresses: ["{dmz}9/{length}"]}}, {{at: dmz, name: q3}}]
"""
_FLOWS = range(20, 36)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("probe", ["ping", "udp", "tcp"])
def test_the_next_hop_that_is_gone_is_named(probe, family):
    """Of the flows that took it: with its address, its place and the command that gives it back."""
    words = _WORDS[family]
    with Lab(loads(_TWO_WAYS.format(**words))) as lab:
        desk, spare = lab.host("desk"), lab.host("spare")
        spare.run(f"{words['ip']} address del {words['lan']}9/{words['length']} dev lan0".split())
        lost = False
        for number in _FLOWS:
            source = f"{words['lan']}{number}"
            nodad = ["nodad"] * (family == 6)
            desk.run(["ip", "address", "add", f"{source}/{words['length']}", "dev", "eth0", *nodad])

            flow = ((), {}) if probe == "ping" else ((53,), {"source_port": 40000 + number})
            reach = getattr(desk, probe)(f"{words['dmz']}2", *flow[0], source=source, **flow[1])

            if reach.verdict is not Verdict.DELIVERED:
                lost = True
                assert reach.cause is not None, str(reach.explanation)
                assert (reach.cause.id, reach.cause.place) == ("host.address-missing", "spare"), str(reach.explanation)
                assert reach.cause.remedy.startswith(f"ip address add {words['lan']}9/{words['length']} dev lan0")
                break

    assert lost


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("probe", ["udp", "tcp"])
@pytest.mark.parametrize(("gone", "address"), [("r1", "{1.2}/{64} dev eth1"), ("r2", "{2.2}/{64} dev eth2")])
def test_a_flow_by_the_next_hop_that_is_gone_is_a_proved_drop(gone, address, probe, family):
    """The other next hop, on another link, answers: that says nothing of a flow which never comes there."""
    words = Words(family)
    ways = words("{ip} route replace default nexthop via {1.2} dev eth1 nexthop via {2.2} dev eth2")
    with Lab(loads(WAYS)) as lab:
        client, server = lab.host("client"), lab.host("server")
        client.run(["sh", "-ec", f"{ways}; sysctl -qw net.{words('{v}')}.fib_multipath_hash_policy=1"])
        server.run(words("{ip} route add {2.0}/{64} via {4.2}").split())
        lab.host(gone).run(words(f"{{ip}} address del {address}").split())

        reaches = [getattr(client, probe)(words("{S}"), 53, source_port=40_000 + flow) for flow in _FLOWS]

        lost = [reach for reach in reaches if not reach]
        assert {reach.cause.id for reach in lost} == {"host.address-missing"}, [str(each.explanation) for each in lost]
        assert len(lost) < len(reaches)


def test_next_hops_of_the_other_family_are_waited_for_as_well():
    """IPv4 by neighbours of IPv6 (RFC 5549): who takes the one that is gone is a proved drop."""
    words = Words(4)
    with Lab(loads(WAYS)) as lab:
        client, server, second = lab.host("client"), lab.host("server"), lab.host("r2")
        there = next(one.ip for one in second.addresses if one.link == "eth2" and one.scope == "link")
        ways = f"nexthop via inet6 fe80::dead dev eth1 nexthop via inet6 {there} dev eth2"
        client.run(
            ["sh", "-ec", f"ip -4 route replace default {ways}; sysctl -qw net.ipv4.fib_multipath_hash_policy=1"]
        )
        server.run(words("{ip} route add {2.0}/{64} via {4.2}").split())

        reaches = [client.udp(words("{S}"), 53, source_port=40_000 + flow) for flow in _FLOWS]

        lost = [reach for reach in reaches if not reach]
        assert lost
        assert len(lost) < len(reaches)
        assert {reach.controls[-1].partition(" does not")[0] for reach in lost} == {"fe80::dead"}
