"""static by traffic: each address answers, each route leads where it says, with all that a route may have."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.lan_networks import macvlan, ready_sandbox

pytestmark = [
    pytest.mark.topology("macvlan-modes-lan"),
    pytest.mark.requires(kernel="macvlan", plugin=["static", "macvlan"]),
]


def network(*addresses, **keys):
    """A macvlan network of the LAN that lists these."""
    return {**macvlan(), "capabilities": {"ips": True}, "ipam": {"type": "static", "addresses": [*addresses], **keys}}


@pytest.mark.covers("static.addresses", "packet")
@pytest.mark.covers("static.address", "packet")
def test_each_address_answers(lab, cni):
    """Every address of the list answers on the LAN, of both families."""
    listed_ones = ["192.168.80.120/24", "192.168.80.121/24", "2001:db8:80::120/64"]
    conf = network(*({"address": address} for address in listed_ones))
    cni.add(ready_sandbox(lab.host("node"), "c1"), conf)

    assert all(lab.host("peer").ping(address.partition("/")[0]) for address in listed_ones)


@pytest.mark.covers("static.gateway", "packet")
@pytest.mark.covers("static.routes", "packet")
@pytest.mark.covers("static.dst", "packet")
@pytest.mark.covers("static.gw", "packet")
@pytest.mark.parametrize("whose", ["of the address", "of the route"])
@pytest.mark.parametrize(
    ("own", "gateway", "far"),
    [
        ("192.168.80.120/24", "192.168.80.102", "203.0.113.1"),
        ("2001:db8:80::120/64", "2001:db8:80::102", "2001:db8:9::1"),
    ],
    ids=["ipv4", "ipv6"],
)
def test_a_route_leads_by_its_gateway(lab, cni, own, gateway, far, whose):
    """A route leads by its own gateway, or by that of the address."""
    lab.host("peer").run(["ip", "address", "add", far, "dev", "lo"])
    reported = {"gateway": gateway} if whose == "of the address" else {}
    conf = network(
        {"address": own, **reported},
        routes=[{"dst": f"{far}/{128 if ':' in far else 32}", **({} if reported else {"gw": gateway})}],
    )
    child = cni.add(ready_sandbox(lab.host("node"), "c1"), conf).sandbox

    assert child.ping(far)


@pytest.mark.covers("static.mtu", "kernel", "packet")
@pytest.mark.requires(plugin=["static>=1.6.0", "macvlan>=1.6.0"])
def test_a_routes_mtu_limits_its_packets(lab, cni):
    """The MTU of a route limits what is sent by it, and nothing else."""
    lab.host("peer").run(["ip", "address", "add", "203.0.113.1/32", "dev", "lo"])
    route = {"dst": "203.0.113.0/24", "gw": "192.168.80.102", "mtu": 1400}
    conf = {**network({"address": "192.168.80.120/24"}, routes=[route]), "cniVersion": "1.1.0"}

    child = cni.add(lab.host("node").sandbox("c1"), conf).sandbox

    assert child.ping("203.0.113.1", size=1372, df=True)
    assert not child.ping("203.0.113.1", size=1373, df=True)
    assert child.ping("192.168.80.102", size=1472, df=True)


@pytest.mark.covers("static.advmss", "packet")
@pytest.mark.covers("static.table", "kernel")
@pytest.mark.covers("static.priority", "kernel")
@pytest.mark.requires(plugin=["static>=1.6.0", "macvlan>=1.6.0"])
def test_what_else_a_route_may_have_is_in_the_kernel(lab, cni):
    """A route's table and priority are the kernel's, and its MSS is what a connection offers."""
    lab.host("peer").run(["ip", "address", "add", "203.0.113.1/32", "dev", "lo"])
    routes = [
        {"dst": "203.0.113.0/24", "gw": "192.168.80.102", "advmss": 1000, "priority": 77},
        {"dst": "198.51.100.0/24", "gw": "192.168.80.102", "table": 4242},
    ]
    conf = {**network({"address": "192.168.80.120/24"}, routes=routes), "cniVersion": "1.1.0"}
    child = cni.add(lab.host("node").sandbox("c1"), conf).sandbox

    rows = {route.to: route for route in child.routes}
    assert rows["203.0.113.0/24"].metric == 77
    assert rows["198.51.100.0/24"].table == 4242
    with lab.host("peer").capture("ens33") as wire:
        assert child.tcp("203.0.113.1", 80)
        (syn, *_) = wire.matching("TCP", flags="S")
    assert ("MSS", 1000) in syn["TCP"].options


@pytest.mark.covers("static.table", "kernel", "packet")
@pytest.mark.covers("static.priority", "packet")
@pytest.mark.covers("static.scope", "packet")
@pytest.mark.requires(plugin=["static>=1.6.0", "macvlan>=1.6.0"])
@pytest.mark.parametrize(
    "routes",
    [
        [{"gw": "192.168.80.99", "priority": 20}, {"gw": "192.168.80.102", "priority": 10}],
        [{"gw": "192.168.80.99"}, {"gw": "192.168.80.102", "table": 4242}],
        [{"scope": 253}],
    ],
    ids=["priority", "table", "scope"],
)
def test_which_route_is_taken(lab, cni, routes):
    """The lower priority goes first, a table is followed by who is sent there, and a scope of link needs nobody."""
    lab.host("peer").run(["ip", "address", "add", "203.0.113.1/32", "dev", "lo"])
    listed_ones = [{"dst": "203.0.113.0/24", **route} for route in routes]
    conf = {**network({"address": "192.168.80.120/24"}, routes=listed_ones), "cniVersion": "1.1.0"}

    child = cni.add(lab.host("node").sandbox("c1"), conf).sandbox
    child.run(["ip", "rule", "add", "to", "203.0.113.0/24", "lookup", "4242"])

    assert child.ping("203.0.113.1")


@pytest.mark.covers("static.runtimeConfig.ips", "packet")
@pytest.mark.covers("static.CNI_ARGS.IP", "packet")
@pytest.mark.parametrize("form", ["runtimeConfig", "CNI_ARGS"])
def test_a_wanted_address_answers(lab, cni, form):
    """The address that came with the call is the one that the LAN finds."""
    wanted = "192.168.80.127/24"
    keys = (
        {"capabilities": {"ips": [wanted]}}
        if form == "runtimeConfig"
        else {"args": {"IgnoreUnknown": "1", "IP": wanted}}
    )

    cni.add(lab.host("node").sandbox("c1"), network(), **keys)

    assert lab.host("peer").ping("192.168.80.127")
